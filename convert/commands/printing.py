"""Tables and verdicts as the command line prints them."""

import shutil
import textwrap
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import click

from convert.report import Comparison, Layer, Quantization, Reason, Totals, Verification
from convert.targets.c.lower import lower
from convert.targets.reading import read_network
from convert.tflite.graph import Graph
from onebit.audio import front_end_of
from onebit.cli import emit, shell_word
from onebit.errors import OnebitError
from onebit.metadata import read_metadata

MAX_PRINTED_FLIPS = 3

_PROSE_WIDTH = 100
_PIPE_WIDTH = 80
_OTHER_COLUMNS = 60
"""The width that a table of layers needs besides the names, at most."""
_MIN_NAME = 16


def print_layers(layers: list[Layer], title: str) -> None:
    """Prints the table of layers, and below it why they are not binary and how to fix that.

    The table fits 80 columns. Sizes that the layers could have are shown where they are smaller.
    Numbers per channel that belong to no layer are listed with the reasons only.
    """
    tabled = [layer for layer in layers if layer.reason_code != Reason.ELEMENTWISE]
    shrinkable = any(layer.predicted_bytes < layer.size_bytes for layer in tabled)
    width = max(_width() - _OTHER_COLUMNS - 10 * shrinkable, _MIN_NAME)
    records = [
        {
            "layer": _wrapped(layer.name, width),
            "kind": layer.kind.replace("_", " "),
            "filter": "×".join(map(str, layer.filter_shape)),
            "MACs": _short(layer.macs),
            "bytes": f"{layer.size_bytes:,}",
            **({"possible": f"{layer.predicted_bytes:,}"} if shrinkable else {}),
            "float32": _short(layer.float32_bytes),
        }
        for layer in tabled
    ]
    click.secho(title, bold=True)
    if records:
        emit(records, "table", optional=["filter", "float32"])
    _print_reasons(layers)


def _width() -> int:
    """The width of lines: the terminal's or that of COLUMNS, at most 100; 80 in a pipe."""
    return min(shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns, _PROSE_WIDTH)


def _wrapped(name: str, width: int) -> str:
    """A name in lines of at most a width, broken behind an underscore or a slash."""
    lines = [""]
    for part in name.replace("_", "_\0").replace("/", "/\0").split("\0"):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _short(count: int) -> str:
    """A count with three digits and a unit of 1000: `1.05M`."""
    value = float(count)
    for unit in ("", "k", "M", "G"):
        if value < 999.5 or unit == "G":
            break
        value /= 1000
    digits = 0 if not unit or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f}{unit}"


def _print_reasons(layers: Iterable[Layer]) -> None:
    """Prints each reason once, with the layers that it holds for and the fix."""
    groups: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for layer in layers:
        if layer.reason is not None:
            groups[layer.reason, layer.fix].append(layer.name)
    width = _width()
    for (reason, fix), names in groups.items():
        text = f"{listed(list(dict.fromkeys(names)))}: {reason}"
        click.echo(textwrap.fill(text, width, subsequent_indent="  ", break_long_words=False))
        if fix is not None:
            click.echo(
                textwrap.fill(
                    f"fix: {fix}",
                    width,
                    initial_indent="  ",
                    subsequent_indent="    ",
                    break_long_words=False,
                )
            )


def print_totals(totals: Totals, file_bytes: int) -> None:
    """Prints the shares of multiply-accumulates, and the sizes."""
    macs = {
        "binary": totals.binary_macs,
        "with binary weights": totals.binary_weight_macs,
        "int8": totals.int8_macs,
        "float": totals.float_macs,
    }
    shares = ", ".join(
        f"{count / sum(macs.values()):.1%} {kind}" for kind, count in macs.items() if count
    )
    click.echo(f"multiply-accumulates: {shares or 'none'}")
    if totals.compression is not None:
        click.echo(
            f"weights: {totals.weight_bytes:,} bytes, {totals.compression:.1f} times smaller than "
            f"float32; file: {file_bytes:,} bytes"
        )


def print_metadata(content: bytes, file: Path) -> None:
    """Prints what a file says about itself, if anything."""
    metadata = read_metadata(content, str(file))
    for line in metadata.lines() if metadata else []:
        click.echo(line)


def print_verification(verification: Verification, with_report: bool = True) -> None:
    """Prints the verdicts, the accuracies, and where the first samples differ.

    Args:
        verification: The comparison.
        with_report: Whether a report holds what is left out here.
    """
    click.echo(
        f"against {verification.reference} on {verification.samples} {verification.split} samples: "
        f"{verification.summary()}"
    )
    if verification.accuracy_keras is not None and verification.accuracy_file is not None:
        click.echo(
            f"accuracy: {verification.accuracy_keras:.2%} in {verification.reference}, "
            f"{verification.accuracy_file:.2%} in the file"
        )
    if verification.quantization is not None:
        _print_quantization(verification.quantization)
    else:
        _print_flips(verification, with_report)
    for warning in verification.warnings:
        click.echo(f"warning: {warning}")
    if verification.delegate is None:
        click.echo(f"with the delegate: not compared, {verification.delegate_skipped}")
        return
    accuracy = verification.delegate.accuracy_file
    click.echo(
        f"with the delegate ({verification.delegate_label}): {verification.delegate.summary()}"
        + ("" if accuracy is None else f", accuracy {accuracy:.2%}")
    )
    # The same flips as LCE's need not be printed twice.
    if verification.delegate.bit_flips != verification.bit_flips:
        _print_flips(verification.delegate, with_report)


def _print_flips(comparison: Comparison, with_report: bool) -> None:
    flips = comparison.bit_flips
    for flip in flips[:MAX_PRINTED_FLIPS]:
        explained = "within" if flip.explained else "beyond"
        click.echo(
            f"sample {flip.sample} first differs in {flip.layer}: {flip.distance} from the "
            f"threshold, {explained} the {flip.tolerance:.2g} that rounding explains"
        )
    if len(flips) > MAX_PRINTED_FLIPS:
        more = len(flips) - MAX_PRINTED_FLIPS
        click.echo(f"… and {more} more" + (" in the report" if with_report else ""))


def _print_quantization(quantization: Quantization) -> None:
    """Prints the verdict on the float file, and where the int8 file is noisiest."""
    click.echo(f"before quantisation: {quantization.float_file}")
    noisy = [tensor for tensor in quantization.tensors if tensor.snr_db is not None]
    if noisy:
        worst = min(noisy, key=lambda tensor: tensor.snr_db or 0)
        click.echo(
            f"quantisation noise: at least {worst.snr_db:.0f} dB below the signal (in "
            f"{worst.name}); {len(quantization.tensors)} tensors compared"
        )
    if quantization.flipped_bits:
        layer, share = max(quantization.flipped_bits.items(), key=lambda item: item[1])
        click.echo(f"flipped input bits of binary layers: at most {share:.2%} (in {layer})")
    for fault in quantization.faults:
        click.echo(f"fault in {fault}")


def listed(names: list[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def how_to_run(content: bytes, path: Path) -> list[str]:
    """The next steps with a converted file of that content, a line each."""
    name = shell_word(path)
    export = f"in C: onebit convert export {name} --to c -o FOLDER"
    return [
        f"run it: onebit run {name} --input {'|'.join(_what_it_takes(content))}",
        "in Python: ai_edge_litert.interpreter.Interpreter("
        f"{str(path)!r}, experimental_delegates=[onebit_delegate.load()])",
        *([export] if _has_kernels(content) else []),
        f"measure it: onebit edge bench {name} -o rows.jsonl",
    ]


def _has_kernels(content: bytes) -> bool:
    """Whether there is a kernel in C for each of a file's operators."""
    try:
        lower(read_network(content, ""))
    except OnebitError:
        return False
    return True


def _what_it_takes(content: bytes) -> list[str]:
    """The kinds of files that `onebit run` makes the model's inputs of."""
    graph = Graph.from_bytes(content)
    if len(graph.subgraph.inputs) > 1:
        return ["SAMPLES.npz"]
    _, *shape = graph.shape(int(graph.subgraph.inputs[0]))
    kinds = ["ARRAY.npy", "SAMPLES.npz"]
    if front_end_of(tuple(shape)):
        return ["SOUND.wav", *kinds]
    return ["IMAGE", *kinds] if len(shape) == 3 and shape[-1] in (1, 3, 4) else kinds
