"""What the command line prints for people."""

import click

from convert.report import Comparison, Layer, Quantization, Totals, Verification
from onebit.cli import emit

MAX_FLIPS = 3


def print_layers(layers: list[Layer], title: str) -> None:
    """Prints the table of layers, with what they could take where that is less than they do."""
    shrinkable = any(layer.predicted_bytes < layer.size_bytes for layer in layers)
    records = [
        {
            "layer": layer.name,
            "kind": layer.kind.replace("_", " "),
            "filter": "×".join(map(str, layer.filter_shape)),
            "MACs": f"{layer.macs:,}",
            "bytes": f"{layer.size_bytes:,}",
            **({"predicted": f"{layer.predicted_bytes:,}"} if shrinkable else {}),
            "as float32": f"{layer.float32_bytes:,}",
            "why not binary": "; mend: ".join(filter(None, [layer.reason, layer.mend])) or None,
        }
        for layer in layers
    ]
    emit(records, "table", title=title)


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


def print_verification(verification: Verification) -> None:
    """Prints the verdicts, the accuracies, and where the first samples differ."""
    click.echo(
        f"against Keras on {verification.samples} {verification.split} samples: "
        f"{verification.summary()}"
    )
    if verification.accuracy_keras is not None and verification.accuracy_file is not None:
        click.echo(
            f"accuracy: {verification.accuracy_keras:.2%} in Keras, "
            f"{verification.accuracy_file:.2%} in the file"
        )
    if verification.quantization is not None:
        _print_quantization(verification.quantization)
    else:
        _print_flips(verification)
    if verification.delegate is None:
        click.echo(f"with the delegate: not compared, {verification.delegate_skipped}")
        return
    accuracy = verification.delegate.accuracy_file
    click.echo(
        f"with the delegate ({verification.delegate_label}): {verification.delegate.summary()}"
        + ("" if accuracy is None else f", accuracy {accuracy:.2%}")
    )
    # The same flips as LCE's would be told twice.
    if verification.delegate.flips != verification.flips:
        _print_flips(verification.delegate)


def _print_flips(comparison: Comparison) -> None:
    for flip in comparison.flips[:MAX_FLIPS]:
        explained = "within" if flip.margin <= flip.tolerance else "beyond"
        click.echo(
            f"sample {flip.sample} first differs in {flip.layer}: {flip.margin:.2g} from the "
            f"threshold, {explained} the {flip.tolerance:.2g} that rounding explains"
        )
    if len(comparison.flips) > MAX_FLIPS:
        click.echo(f"… and {len(comparison.flips) - MAX_FLIPS} more in the report")


def _print_quantization(quantization: Quantization) -> None:
    """Prints the verdict on the float file, and where the int8 file is noisiest."""
    click.echo(f"before quantisation: {quantization.float_file}")
    noisy = [piece for piece in quantization.pieces if piece.snr_db is not None]
    if noisy:
        worst = min(noisy, key=lambda piece: piece.snr_db or 0)
        click.echo(
            f"noise of 8 bits: {worst.snr_db:.0f} dB below the signal or less, in {worst.name}; "
            f"{len(quantization.pieces)} tensors compared one by one"
        )
    if quantization.flipped_bits:
        layer, share = max(quantization.flipped_bits.items(), key=lambda item: item[1])
        click.echo(f"input bits of binary layers turned round: {share:.2%} or less, in {layer}")
    for fault in quantization.faults:
        click.echo(f"fault in {fault}")


def listed(names: list[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
