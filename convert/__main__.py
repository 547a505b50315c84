"""`python -m convert`: Keras models → bitpacked `.tflite` files.

The one module of this package that looks names up in `zoo`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onebit.cli import CommandGroup, emit, format_option, progress, require_suffix
from onebit.errors import OnebitError
from onebit.files import require_writable

if TYPE_CHECKING:
    from convert.conversion import Conversion, Samples
    from convert.report import Layer, Totals, Verification
    from onebit.keras import keras

RANDOM_SAMPLES = 16
"""How many random inputs a model without data is verified on."""


@click.group(cls=CommandGroup)
def main() -> None:
    """Convert Keras models to bitpacked .tflite files, and say what became of every layer."""


@main.command()
@click.argument("source")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--samples",
    "sample_count",
    default=1000,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many samples to compare the file with Keras on; 0 skips the comparison.",
)
@click.option(
    "--verify-data",
    type=click.Path(path_type=Path, dir_okay=False),
    help="An .npz file with float32 `inputs` as the model takes them and optional `labels`.",
)
@click.option(
    "--custom-objects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A Python file with the classes that the model uses; it is run.",
)
@click.option("--allow-code", is_flag=True, help="Run the code in the model's Lambda layers.")
@click.option(
    "--keep-mismatch", is_flag=True, help="Write the file even if it disagrees with Keras."
)
@format_option("table", "json")
def model(
    source: str,
    output: Path,
    sample_count: int,
    verify_data: Path | None,
    custom_objects: Path | None,
    allow_code: bool,
    keep_mismatch: bool,
    format_: str,
) -> None:
    """Convert SOURCE to a .tflite file for Larq Compute Engine, and verify it against Keras.

    SOURCE is a run folder of `zoo train`, a .keras or .h5 file, a SavedModel folder, or zoo:NAME
    for an untrained model of the zoo. The report lies beside the file as OUTPUT.report.json.

    \b
    Example:
      python -m convert model runs/demo/bnn -o bnn.tflite
    """
    require_suffix(output, ".tflite")
    require_writable(output)
    from convert.conversion import Samples, convert_model

    with progress.status("loading TensorFlow and the model") as status:
        loaded = _load(source, custom_objects, allow_code)
        samples = None
        if sample_count:
            samples = _samples(loaded, verify_data)
            samples = Samples(
                [array[:sample_count] for array in samples.inputs],
                None if samples.labels is None else samples.labels[:sample_count],
                samples.split,
            )
        conversion = convert_model(
            loaded.model,
            samples=samples,
            name=loaded.name,
            source=source,
            card=loaded.card,
            on_stage=status.update,
        )
    _save(conversion, output, keep_mismatch)
    report = conversion.report
    if format_ == "json":
        emit([], "json", document=report.to_dict())
        return
    _print_layers(report.layers, f"{report.name} → {output}")
    _print_totals(report.totals, report.file.size_bytes)
    for note in report.notes:
        click.echo(f"note: {note}")
    if report.verification is not None:
        _print_verification(report.verification)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--fail-if-float", is_flag=True, help="Exit with 1 if any layer is float.")
@format_option()
def audit(file: Path, fail_if_float: bool, format_: str) -> None:
    """Say of every layer in a .tflite FILE whether it is binary, and why not.

    \b
    Example:
      python -m convert audit bnn.tflite
      python -m convert audit anything.tflite --format json
      python -m convert audit bnn.tflite --fail-if-float
    """
    from dataclasses import asdict

    from convert.audit import audit as audit_content
    from convert.flatbuffer import read_file

    result = audit_content(read_file(file), str(file))
    if format_ == "table":
        _print_layers(result.layers, str(file))
        _print_totals(result.totals, result.file.size_bytes)
    else:
        emit([asdict(layer) for layer in result.layers], format_, document=asdict(result))
    left = [layer.name for layer in result.layers if layer.kind == "float"]
    if fail_if_float and left:
        raise OnebitError(f"{len(left)} of {len(result.layers)} layers are float: {_list(left)}")


def _list(names: list[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class _Loaded:
    """A model with what is known about it."""

    def __init__(
        self,
        model: "keras.Model",
        name: str,
        card: dict[str, Any] | None = None,
        samples: "Samples | None" = None,
    ) -> None:
        self.model, self.name, self.card, self.samples = model, name, card, samples


def _load(source: str, custom_objects: Path | None, allow_code: bool) -> _Loaded:
    import zoo
    import zoo.quantizers
    from convert.conversion import Samples
    from convert.sources import load_custom_objects, load_model

    if source.startswith("zoo:"):
        name = source.removeprefix("zoo:")
        return _Loaded(zoo.build(name), name)
    path = Path(source)
    if (path / "card.json").is_file() or (path / "config.json").is_file():
        run = zoo.load_run(path)
        images = run.preprocessing(run.samples.images)
        samples = Samples([images], run.samples.labels, run.card["accuracy"]["split"])
        return _Loaded(run.model, run.card["name"], dict(run.card), samples)
    objects = load_custom_objects(custom_objects) if custom_objects else None
    loaded = load_model(path, objects, allow_code)
    return _Loaded(loaded, loaded.name)


def _samples(loaded: _Loaded, verify_data: Path | None) -> "Samples":
    from convert.samples import random_samples, read_samples

    if verify_data is not None:
        return read_samples(verify_data, loaded.model)
    return loaded.samples or random_samples(loaded.model, RANDOM_SAMPLES)


def _save(conversion: "Conversion", output: Path, keep_mismatch: bool) -> None:
    verification = conversion.report.verification
    if verification is not None and verification.verdict == "mismatch" and not keep_mismatch:
        raise OnebitError(
            f"the converted file disagrees with Keras: {verification.summary()}; nothing was "
            "written, pass --keep-mismatch to write the file and its report for a closer look"
        )
    conversion.save(output)


def _print_layers(layers: "list[Layer]", title: str) -> None:
    records = [
        {
            "layer": layer.name,
            "kind": layer.kind.replace("_", " "),
            "filter": "×".join(map(str, layer.filter_shape)),
            "MACs": f"{layer.macs:,}",
            "bytes": f"{layer.size_bytes:,}",
            "predicted": f"{layer.predicted_bytes:,}",
            "as float32": f"{layer.float32_bytes:,}",
            "why not binary": "; mend: ".join(filter(None, [layer.reason, layer.mend])) or None,
        }
        for layer in layers
    ]
    emit(records, "table", title=title)


def _print_totals(totals: "Totals", file_bytes: int) -> None:
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


def _print_verification(verification: "Verification") -> None:
    click.echo(
        f"against Keras on {verification.samples} {verification.split} samples: "
        f"{verification.summary()}"
    )
    if verification.accuracy_keras is not None and verification.accuracy_file is not None:
        click.echo(
            f"accuracy: {verification.accuracy_keras:.2%} in Keras, "
            f"{verification.accuracy_file:.2%} in the file"
        )


if __name__ == "__main__":
    main(prog_name="python -m convert")
