"""`python -m convert`: Keras models → bitpacked `.tflite` files.

The one module of this package that looks names up in `zoo`.
"""

if __name__ == "__main__":  # before anything that takes time
    from onebit.interrupts import end_at_once

    end_at_once()

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.int8.options import int8_options
from onebit import __version__
from onebit.cli import (
    CommandGroup,
    emit,
    emit_document,
    format_option,
    options,
    require_suffix,
    stderr_console,
)
from onebit.errors import OnebitError, UsageError
from onebit.files import replacing, require_writable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    import zoo
    from convert.conversion import Conversion
    from convert.keras_model.samples import Samples
    from onebit.keras import keras

RANDOM_SAMPLES = 16
"""How many random inputs a model without data is verified on."""


_model_options = options(
    click.option(
        "--samples",
        "sample_count",
        default=1000,
        show_default=True,
        type=click.IntRange(min=0),
        help="How many samples to compare the file with Keras on; 0 skips the comparison.",
    ),
    click.option(
        "--verify-data",
        type=click.Path(path_type=Path),
        help="Where samples come from: a run folder or its card.json, or an .npz file with "
        "float32 `inputs` as the model takes them and optional `labels`.",
    ),
    click.option(
        "--delegate/--no-delegate",
        "with_delegate",
        default=True,
        show_default=True,
        help="Whether to compare stock LiteRT with Onebit's delegate too, where it is there.",
    ),
    click.option(
        "--custom-objects",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A Python file with the classes that the model uses; it is run.",
    ),
    click.option("--allow-code", is_flag=True, help="Run the code in the model's Lambda layers."),
)
"""The options of commands that load a model and compare a file with it."""


@click.group(cls=CommandGroup)
@click.version_option(__version__, prog_name="onebit convert")
def main() -> None:
    """Convert Keras models to bitpacked .tflite files, and say what became of every layer."""


@main.command()
@click.argument("source")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
@_model_options
@click.option(
    "--keep-mismatch", is_flag=True, help="Write the file even if it disagrees with Keras."
)
@click.option(
    "--header",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the file as a C header (.h) with its size and SHA-256.",
)
@int8_options
@format_option("table", "json")
def model(
    source: str,
    output: Path,
    sample_count: int,
    verify_data: Path | None,
    with_delegate: bool,
    custom_objects: Path | None,
    allow_code: bool,
    keep_mismatch: bool,
    header: Path | None,
    int8: bool,
    representative_data: Path | None,
    representative_samples: int,
    io: str,
    int8_ranges: str,
    int8_scope: str,
    format_: str,
) -> None:
    """Convert SOURCE to a .tflite file for Larq Compute Engine, and verify it against Keras.

    SOURCE is a run folder of `zoo train`, a .keras or .h5 file, a SavedModel folder, zoo:NAME for
    an untrained model of the zoo, or zoo:NAME@DATASET for one that ships trained. The report lies
    beside the file as OUTPUT.report.json.

    \b
    Example:
      python -m convert model runs/demo/bnn -o bnn.tflite
      python -m convert model runs/demo/bnn -o bnn.tflite --int8 --representative-data runs/demo/bnn
    """
    if int8 != (representative_data is not None):
        raise UsageError("--int8 and --representative-data FILE.npz|RUN|CARD need each other")
    if not int8 and io == "int8":
        raise UsageError("--io int8 needs --int8")
    require_suffix(output, ".tflite")
    require_writable(output)
    if header is not None:
        require_suffix(header, ".h")
        require_writable(header)
    from convert.conversion import convert_model
    from convert.int8.settings import Int8
    from convert.printing import print_layers, print_totals, print_verification

    with stderr_console.status("loading TensorFlow and the model") as status:
        loaded = _load(source, custom_objects, allow_code)
        samples = _samples(loaded, verify_data, sample_count) if sample_count else None
        settings = None
        if representative_data is not None:
            inputs = _representative(loaded, representative_data, representative_samples)
            settings = Int8(inputs, int8_ranges, io, int8_scope)  # type: ignore[arg-type]
        conversion = convert_model(
            loaded.model,
            samples=samples,
            int8=settings,
            name=loaded.name,
            source=source,
            card=loaded.card,
            with_delegate=with_delegate,
            on_stage=status.update,
        )
    _save(conversion, output, keep_mismatch, header)
    report = conversion.report
    if format_ == "json":
        emit_document(report.to_dict())
        return
    print_layers(report.layers, f"{report.name} → {output}")
    print_totals(report.totals, report.file.size_bytes)
    for note in report.notes:
        click.echo(f"note: {note}")
    if report.verification is not None:
        print_verification(report.verification)


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

    from convert.auditing.layers import audit as audit_content
    from convert.printing import listed, print_layers, print_totals
    from convert.tflite.graph import read_file

    result = audit_content(read_file(file), str(file))
    if format_ == "table":
        print_layers(result.layers, str(file))
        print_totals(result.totals, result.file.size_bytes)
    elif format_ == "json":
        emit_document(asdict(result))
    else:
        emit([asdict(layer) for layer in result.layers], format_)
    left = [layer.name for layer in result.layers if layer.kind == "float"]
    if fail_if_float and left:
        raise OnebitError(f"{len(left)} of {len(result.layers)} layers are float: {listed(left)}")


@main.command()
@click.argument("source")
@click.argument("file", type=click.Path(path_type=Path))
@_model_options
@format_option("table", "json")
def verify(
    source: str,
    file: Path,
    sample_count: int,
    verify_data: Path | None,
    with_delegate: bool,
    custom_objects: Path | None,
    allow_code: bool,
    format_: str,
) -> None:
    """Compare a .tflite FILE with the Keras model SOURCE that it was made from.

    The file runs on LCE's interpreter, and on stock LiteRT with Onebit's delegate if that is there.
    Exits with 1 if they differ by more than rounding explains.

    \b
    Example:
      python -m convert verify runs/demo/bnn bnn.tflite
      python -m convert verify model.keras model.tflite --verify-data samples.npz
    """
    if sample_count == 0:
        raise UsageError("--samples 0 leaves nothing to compare")
    from dataclasses import asdict

    from convert.conversion import verify_file
    from convert.printing import print_verification
    from convert.tflite.graph import read_file

    content = read_file(file)
    with stderr_console.status("loading TensorFlow and the model") as status:
        loaded = _load(source, custom_objects, allow_code)
        samples = _samples(loaded, verify_data, sample_count)
        result = verify_file(loaded.model, content, samples, status.update, with_delegate)
    if format_ == "json":
        emit_document(asdict(result))
    else:
        print_verification(result)
    if result.mismatches():
        raise OnebitError(f"{file} disagrees with {source}: {'; '.join(result.mismatches())}")


@main.command()
@click.argument("file", metavar="MODEL", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False))
def weights(file: Path, output: Path) -> None:
    """Write the bitpacked weights of a .tflite MODEL, with scales and thresholds, as .npz.

    \b
    Example:
      python -m convert weights bnn.tflite -o packed.npz
    """
    require_suffix(output, ".npz")
    require_writable(output)
    from convert.auditing.packed_weights import packed_weights, write_packed_weights
    from convert.tflite.graph import read_file

    arrays = packed_weights(read_file(file), str(file))
    write_packed_weights(output, arrays)
    bits = [key for key in arrays if key.endswith("/bits")]
    click.echo(f"{len(bits)} layers, {sum(arrays[key].nbytes for key in bits):,} bytes of bits")


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
    from convert.keras_model.loading import load_custom_objects, load_model

    if source.startswith("zoo:"):
        name, _, weights = source.removeprefix("zoo:").partition("@")
        if not weights:
            return _Loaded(zoo.build(name), name)
        return _of_run(zoo.load_trained(name, weights))
    path = Path(source)
    if _is_run(path):
        return _of_run(zoo.load_run(path))
    objects = load_custom_objects(custom_objects) if custom_objects else None
    loaded = load_model(path, objects, allow_code)
    return _Loaded(loaded, loaded.name)


def _of_run(run: "zoo.Run") -> _Loaded:
    return _Loaded(run.model, run.card["name"], dict(run.card), _run_samples(run))


def _is_run(path: Path) -> bool:
    return (path / "card.json").is_file() or (path / "config.json").is_file()


def _run_samples(run: "zoo.Run") -> "Samples":
    from convert.keras_model.samples import Samples
    from zoo.runs.run import preprocessed

    inputs = preprocessed(run.samples, run.preprocessing)
    return Samples([inputs], run.samples.labels, run.card["accuracy"]["split"])


def _samples(loaded: _Loaded, verify_data: Path | None, most: int) -> "Samples":
    """The first samples of what the user gave, else of the run, else random ones."""
    from convert.keras_model.samples import (
        check_samples,
        first_samples,
        random_samples,
        read_samples,
    )

    if verify_data is None:
        samples = loaded.samples or random_samples(loaded.model, RANDOM_SAMPLES)
    elif _is_run(verify_data) or verify_data.name == "card.json":
        import zoo

        folder = verify_data if verify_data.is_dir() else verify_data.parent
        samples = _run_samples(zoo.load_run(folder))
        check_samples(samples, loaded.model, str(verify_data))
    else:
        samples = read_samples(verify_data, loaded.model)
    return first_samples(samples, most)


def _representative(loaded: _Loaded, path: Path, most: int) -> "Sequence[NDArray[np.float32]]":
    """Samples to learn int8 ranges from, evenly spread over what there is."""
    from convert.keras_model.samples import read_samples, spread_samples

    if not _is_run(path) and path.name != "card.json":
        return spread_samples(read_samples(path, loaded.model), most)
    import zoo
    from convert.keras_model.samples import Samples, check_samples
    from zoo.datasets import Split
    from zoo.runs.run import load_card, load_preprocessor, preprocessed

    folder = path if path.is_dir() else path.parent
    card = load_card(folder)
    dataset = zoo.load_dataset(card["dataset"]["name"])
    if dataset.sha256 != card["dataset"]["sha256"]:
        raise OnebitError(
            f"{path} was made with other data than {dataset.name} here: pass an .npz file as "
            "--representative-data"
        )
    # Of records that lie in many files the first are read, not all.
    train = dataset.train
    split = train if isinstance(train, Split) else train.first(most)
    inputs = preprocessed(split, load_preprocessor(folder, card))
    samples = Samples([inputs], None, "train")
    check_samples(samples, loaded.model, str(path))
    return spread_samples(samples, most)


def _save(conversion: "Conversion", output: Path, keep_mismatch: bool, header: Path | None) -> None:
    verification = conversion.report.verification
    found = [] if verification is None else verification.mismatches()
    if found and not keep_mismatch:
        raise OnebitError(
            f"the converted file disagrees with Keras: {'; '.join(found)}; nothing was written, "
            "pass --keep-mismatch to write the file and its report for a closer look"
        )
    if header is None:
        conversion.save(output)
        return
    from convert.tflite.c_header import c_header

    # The header goes first, so that a full disk leaves neither.
    with replacing(header) as temporary:
        temporary.write_text(c_header(conversion.tflite, output.stem), encoding="utf-8")
        conversion.save(output)


if __name__ == "__main__":
    main(prog_name="python -m convert")
