"""`python -m convert`: Keras models and float `.tflite` files → bitpacked `.tflite` files.

The one module of this package that looks names up in `zoo`.
"""

if __name__ == "__main__":  # before anything that takes time
    from onebit.interrupts import end_at_once

    end_at_once()

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.options import (
    Describing,
    Loading,
    Quantizing,
    Verifying,
    describing_options,
    export_options,
    loading_options,
    quantizing_options,
    verifying_options,
)
from convert.targets.registry import TARGETS, load_target
from convert.targets.target import Export, ExportOptions
from onebit import __version__
from onebit.cli import (
    CommandGroup,
    Share,
    emit,
    emit_document,
    force_option,
    format_option,
    require_suffix,
    say,
    stderr_console,
    working,
)
from onebit.errors import OnebitError, UsageError
from onebit.files import replacing, require_writable
from onebit.metadata import Metadata, read_metadata

if TYPE_CHECKING:
    import zoo
    from convert.int8.settings import Int8
    from convert.report import Verification
    from convert.result import Conversion
    from convert.samples import Expected, Samples
    from onebit.keras import keras


def _targets_help() -> str:
    lines = [f"  {name}: {summary}" for name, (_, summary) in TARGETS.items()]
    return "\n".join(["\b", "Targets:", *lines])


@click.group(cls=CommandGroup)
@click.version_option(__version__, prog_name="onebit convert")
def main() -> None:
    """Convert Keras models and float .tflite files to bitpacked ones; explain every layer."""


@main.command()
@click.argument("source")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The .tflite file to write; its report goes beside it as NAME.report.json.",
)
@verifying_options
@click.option(
    "--keep-mismatch", is_flag=True, help="Write the file even if it disagrees with Keras."
)
@click.option(
    "--header",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the file as a C header (.h) with its size and SHA-256.",
)
@force_option
@describing_options
@quantizing_options
@loading_options
@format_option("table", "json")
def model(
    source: str,
    output: Path,
    verifying: Verifying,
    keep_mismatch: bool,
    header: Path | None,
    force: bool,
    describing: Describing,
    quantizing: Quantizing,
    loading: Loading,
    format_: str,
) -> None:
    """Convert SOURCE to a .tflite file for Larq Compute Engine, and verify it against SOURCE.

    SOURCE is a run folder of `zoo train`, a .keras or .h5 file of Keras 2 or 3, a SavedModel
    folder, zoo:NAME for an untrained model of the zoo, zoo:NAME@DATASET for a pretrained one, or a
    float .tflite file, whoever wrote it.

    \b
    Example:
      onebit convert model runs/demo/binary_net_mlp -o bnn.tflite
      onebit convert model float.tflite -o binary.tflite
      onebit convert model model.keras -o model.tflite --int8 --representative-data samples.npz
      onebit convert model model.keras -o model.tflite --labels labels.txt --normalize 127.5,127.5
    """
    quantizing.check()
    _check_outputs(output, header, force)
    if _goes_by_float_file(source, loading):
        conversion = _convert_float_file(source, output, verifying, describing, quantizing, loading)
    else:
        conversion = _convert_keras(source, verifying, describing, quantizing, loading)
    _save(conversion, output, keep_mismatch, header, force)
    _print_report(conversion, output, format_)


def _goes_by_float_file(source: str, loading: Loading) -> bool:
    from convert.sources import goes_by_float_file

    path = Path(source)
    by_zoo = source.startswith("zoo:") or _is_run(path)
    return not by_zoo and goes_by_float_file(path, loading.allow_code)


def _convert_float_file(
    source: str,
    output: Path,
    verifying: Verifying,
    describing: Describing,
    quantizing: Quantizing,
    loading: Loading,
) -> "Conversion":
    path = Path(source)
    if path.absolute() == output.absolute():
        raise UsageError(f"{output} is the file to convert; give another output")
    import zoo  # noqa: F401 - names its Keras 3 layers to the process that loads the model
    from convert.file_conversion import convert_file
    from convert.sources import opened_float_file

    with (
        stderr_console.status("reading the model") as status,
        opened_float_file(path, loading.custom_objects, loading.allow_code) as (content, options),
    ):
        expected = _expected_of(content, source)
        int8 = _int8(quantizing, expected)
        count = verifying.sample_count
        return convert_file(
            content,
            metadata=_file_metadata(content, path, describing),
            samples=_file_samples(content, source, verifying, int8) if count else None,
            int8=int8,
            verification=verifying.sample_count > 0,
            name=path.stem,
            source=source,
            with_delegate=verifying.with_delegate,
            on_stage=status.update,
            **options,
        )


def _file_metadata(content: bytes, path: Path, describing: Describing) -> Metadata | None:
    """The file's own metadata with what the command line gives; None where it gives nothing."""
    if describing.is_empty:
        return None
    from convert.metadata import described

    return described(read_metadata(content, str(path)) or Metadata(path.stem), describing)


def _expected_of(content: bytes, source: str) -> "Expected":
    from convert.file_conversion import expected_of_file, float_graph

    return expected_of_file(float_graph(content, source))


def _file_samples(
    content: bytes, source: str, verifying: Verifying, int8: "Int8 | None" = None
) -> "Samples":
    """The first samples of the user's data, else those of int8, else a few random ones."""
    from convert.file_conversion import default_file_samples, expected_of_file, float_graph
    from convert.samples import checked, first_samples, read

    graph, path = float_graph(content, source), verifying.verify_data
    if path is None:
        samples = default_file_samples(graph, int8)
    elif _is_run(path) or path.name == "card.json":
        import zoo

        run = zoo.load_run(path if path.is_dir() else path.parent)
        samples = checked(_run_samples(run), expected_of_file(graph), str(path))
    else:
        samples = read(path, expected_of_file(graph))
    return first_samples(samples, verifying.sample_count)


def _convert_keras(
    source: str,
    verifying: Verifying,
    describing: Describing,
    quantizing: Quantizing,
    loading: Loading,
) -> "Conversion":
    with working("loading TensorFlow and the model") as status:
        from convert.conversion import convert_model
        from convert.keras_model.samples import expected_of
        from convert.metadata import described, metadata_of_card

        loaded = _load(source, loading)
        known = metadata_of_card(loaded.card) if loaded.card else Metadata(loaded.name)
        metadata = described(known, describing)
        int8 = _int8(quantizing, expected_of(loaded.model), loaded.samples)
        samples = _samples(loaded, verifying, int8) if verifying.sample_count else None
        return convert_model(
            loaded.model,
            samples=samples,
            verification=verifying.sample_count > 0,
            int8=int8,
            name=loaded.name,
            source=source,
            card=loaded.card,
            metadata=metadata,
            with_delegate=verifying.with_delegate,
            on_stage=status.update,
        )


def _print_report(conversion: "Conversion", output: Path, format_: str) -> None:
    from convert.printing import how_to_run, print_layers, print_totals, print_verification

    report = conversion.report
    if format_ == "json":
        emit_document(report.to_dict())
        return
    print_layers(report.layers, f"{report.name} → {output}")
    print_totals(report.totals, report.file.size_bytes)
    _print_metadata(conversion.tflite, output)
    for note in report.notes:
        click.echo(f"note: {note}")
    if report.verification is not None:
        print_verification(report.verification)
    for line in how_to_run(output):
        say(line)


def _is_of(layer: str, name: str) -> bool:
    """Whether a layer has that name, or is a half of it: `separable (pointwise)`."""
    return layer == name or layer.startswith(f"{name} (")


def _print_metadata(content: bytes, file: Path) -> None:
    """Prints what a file says about itself, if anything."""
    metadata = read_metadata(content, str(file))
    for line in metadata.lines() if metadata else []:
        click.echo(line)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--fail-if-float", is_flag=True, help="Exit with 1 if any layer is float.")
@click.option(
    "--allow",
    multiple=True,
    metavar="LAYER",
    help="A layer that may be float under --fail-if-float, such as the first; repeatable. A "
    "separable layer stands for both of its halves.",
)
@click.option(
    "--fail-if-float-above",
    "most_float",
    type=Share(),
    metavar="SHARE",
    help="Exit with 1 if more than this share of the multiply-accumulates, such as 10%, is float; "
    "those of --allow don't count.",
)
@format_option()
def audit(
    file: Path,
    fail_if_float: bool,
    allow: tuple[str, ...],
    most_float: float | None,
    format_: str,
) -> None:
    """List the layers of a .tflite FILE: which are binary, why the others are not, and the fix.

    \b
    Example:
      onebit convert audit bnn.tflite
      onebit convert audit anything.tflite --format json
      onebit convert audit bnn.tflite --fail-if-float --allow stem
      onebit convert audit bnn.tflite --fail-if-float-above 10% --allow stem
    """
    if allow and not fail_if_float and most_float is None:
        raise UsageError("--allow needs --fail-if-float or --fail-if-float-above")
    from dataclasses import asdict

    from convert.auditing.layers import audit as audit_content
    from convert.printing import listed, print_layers, print_totals
    from convert.tflite.graph import read_file
    from onebit.errors import near_matches

    content = read_file(file)
    result = audit_content(content, str(file))
    names = [layer.name for layer in result.layers]
    for name in allow:
        if not any(_is_of(layer, name) for layer in names):
            raise UsageError(
                f"--allow {name}: {file} has no such layer; {near_matches(name, names)}"
            )
    if format_ == "table":
        print_layers(result.layers, str(file))
        print_totals(result.totals, result.file.size_bytes)
        _print_metadata(content, file)
    elif format_ == "json":
        emit_document(asdict(result))
    else:
        emit([asdict(layer) for layer in result.layers], format_)
    floats = [layer for layer in result.layers if layer.kind == "float"]
    left = [layer for layer in floats if not any(_is_of(layer.name, name) for name in allow)]
    left_names = listed([layer.name for layer in left])
    if fail_if_float and left:
        raise OnebitError(f"{len(left)} of {len(names)} layers are float: {left_names}")
    share = sum(layer.macs for layer in left) / max(1, sum(layer.macs for layer in result.layers))
    if most_float is not None and share > most_float:
        raise OnebitError(
            f"{share:.1%} of the multiply-accumulates are float, over {most_float:.1%}: "
            f"{left_names}"
        )


@main.command()
@click.argument("source")
@click.argument("file", type=click.Path(path_type=Path))
@verifying_options
@loading_options
@format_option("table", "json")
def verify(source: str, file: Path, verifying: Verifying, loading: Loading, format_: str) -> None:
    """Compare a .tflite FILE with SOURCE, the Keras model or float file that it was made from.

    The file runs on LCE's interpreter, and on stock LiteRT with Onebit's delegate if that is
    installed. Exits with 1 if they differ by more than rounding explains.

    \b
    Example:
      onebit convert verify runs/demo/binary_net_mlp bnn.tflite
      onebit convert verify model.keras model.tflite --verify-data samples.npz
      onebit convert verify float.tflite binary.tflite
    """
    if source.endswith(".tflite") and file.suffix != ".tflite":
        raise UsageError(
            f"{source} and {file} are swapped", hint="name the Keras model first, then its file"
        )
    if verifying.sample_count == 0:
        raise UsageError("--samples 0 leaves nothing to compare")
    from dataclasses import asdict

    from convert.printing import print_verification
    from convert.tflite.graph import read_file

    content = read_file(file)
    if _goes_by_float_file(source, loading):
        result = _verify_float_file(source, content, str(file), verifying, loading)
    else:
        with working("loading TensorFlow and the model") as status:
            from convert.conversion import verify_file

            loaded = _load(source, loading)
            samples = _samples(loaded, verifying)
            result = verify_file(
                loaded.model, content, samples, status.update, verifying.with_delegate
            )
    if format_ == "json":
        emit_document(asdict(result))
    else:
        print_verification(result, with_report=False)
    if result.mismatches():
        raise OnebitError(f"{file} disagrees with {source}: {'; '.join(result.mismatches())}")


def _verify_float_file(
    source: str, content: bytes, name: str, verifying: Verifying, loading: Loading
) -> "Verification":
    import zoo  # noqa: F401 - names its Keras 3 layers to the process that loads the model
    from convert.file_conversion import float_graph, verify_converted_file
    from convert.sources import opened_float_file
    from convert.tflite.graph import Graph

    with (
        stderr_console.status("comparing"),
        opened_float_file(Path(source), loading.custom_objects, loading.allow_code) as opened,
    ):
        original, options = opened
        samples = _file_samples(original, source, verifying)
        result = verify_converted_file(
            float_graph(original, source),
            Graph.from_bytes(content, name),
            samples,
            verifying.with_delegate,
            **options,
        )
    if isinstance(result, str):
        raise OnebitError(f"nothing can run {name}: {result}")
    return result


@main.command()
@click.argument("file", metavar="MODEL", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The .npz file to write.",
)
@force_option
def weights(file: Path, output: Path, force: bool) -> None:
    """Write the bitpacked weights of a .tflite MODEL, with scales and thresholds, as .npz.

    \b
    Example:
      onebit convert weights bnn.tflite -o packed.npz
    """
    _export(file, "npz", output, force, ExportOptions())


@main.command(epilog=_targets_help())
@click.argument("file", metavar="MODEL", type=click.Path(path_type=Path))
@click.option(
    "--to", "target", required=True, type=click.Choice(list(TARGETS)), help="The target; see below."
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The file or folder to write.",
)
@force_option
@export_options
def export(
    file: Path, target: str, output: Path, force: bool, export_options: ExportOptions
) -> None:
    """Write a converted .tflite MODEL in the form that another tool takes.

    What the target cannot express is refused, with the layer's name, before anything is written.

    \b
    Example:
      onebit convert export bnn.tflite --to c-array -o bnn.h
      onebit convert export bnn.tflite --to npz -o packed.npz
    """
    _export(file, target, output, force, export_options)


def _export(file: Path, name: str, output: Path, force: bool, options: ExportOptions) -> None:
    target = load_target(name)
    target.check(name, options)
    if target.suffix is not None:
        require_suffix(output, target.suffix)
    require_writable(output)
    from convert.tflite.graph import Graph, read_file

    target.require_own(output, force)
    content = read_file(file)
    Graph.from_bytes(content, str(file))  # refuses a damaged file by its name
    with replacing(output) as temporary:
        summary = target.write(Export(content, str(file), temporary, options))
    click.echo(summary)


class _Loaded:
    """A model with its name, its card and its own samples."""

    def __init__(
        self,
        model: "keras.Model",
        name: str,
        card: dict[str, Any] | None = None,
        samples: "Samples | None" = None,
    ) -> None:
        self.model, self.name, self.card, self.samples = model, name, card, samples


def _load(source: str, loading: Loading) -> _Loaded:
    import zoo
    from convert.keras_model.loading import load_model
    from convert.model_files import load_custom_objects
    from onebit.keras import keras

    objects = load_custom_objects(loading.custom_objects) if loading.custom_objects else {}
    if source.startswith("zoo:"):
        name, _, weights = source.removeprefix("zoo:").partition("@")
        if not weights:
            return _Loaded(zoo.build(name), name)
        return _of_run(zoo.load_trained(name, weights))
    path = Path(source)
    if _is_run(path):
        with keras.utils.custom_object_scope(objects):
            return _of_run(zoo.load_run(path))
    loaded = load_model(path, objects, loading.allow_code)
    return _Loaded(loaded, loaded.name)


def _of_run(run: "zoo.Run") -> _Loaded:
    return _Loaded(run.model, run.card["name"], dict(run.card), _run_samples(run))


def _is_run(path: Path) -> bool:
    return (path / "card.json").is_file() or (path / "config.json").is_file()


def _run_samples(run: "zoo.Run") -> "Samples":
    from convert.samples import Samples
    from zoo.runs.run import preprocessed

    inputs = preprocessed(run.samples, run.preprocessing)
    return Samples([inputs], run.samples.labels, run.card["accuracy"]["split"])


def _samples(loaded: _Loaded, verifying: Verifying, int8: "Int8 | None" = None) -> "Samples":
    """The first samples of the user's data, else of the run's, else the model's own choice."""
    from convert.conversion import default_samples
    from convert.keras_model.samples import checked_samples, read_samples
    from convert.samples import first_samples, require_same_range

    path = verifying.verify_data
    if path is None:
        samples = loaded.samples or default_samples(loaded.model, int8)
    elif _is_run(path) or path.name == "card.json":
        import zoo

        run = zoo.load_run(path if path.is_dir() else path.parent)
        samples = checked_samples(_run_samples(run), loaded.model, str(path))
    else:
        samples = read_samples(path, loaded.model)
        if loaded.samples is not None:
            require_same_range(samples, loaded.samples, str(path))
    return first_samples(samples, verifying.sample_count)


def _int8(
    quantizing: Quantizing, expected: "Expected", own: "Samples | None" = None
) -> "Int8 | None":
    """The settings of a conversion to int8, with samples evenly spread over the user's data.

    Args:
        quantizing: The options.
        expected: The samples that the model takes.
        own: Samples that came with the model, whose range the data shall have.
    """
    path, most = quantizing.representative_data, quantizing.representative_samples
    if path is None:
        return None
    from convert.int8.settings import Int8
    from convert.samples import Samples, checked, read, require_same_range, spread_samples

    if _is_run(path) or path.name == "card.json":
        samples = checked(Samples([_train_inputs(path, most)]), expected, str(path))
    else:
        samples = read(path, expected)
        if own is not None:
            require_same_range(samples, own, str(path))
    return Int8(
        spread_samples(samples, most),
        quantizing.int8_ranges,  # type: ignore[arg-type]
        quantizing.io,  # type: ignore[arg-type]
        quantizing.int8_scope,  # type: ignore[arg-type]
    )


def _train_inputs(path: Path, most: int) -> Any:
    """The training inputs of a run's data set, preprocessed as the run's model takes them."""
    import zoo
    from zoo.datasets import Split
    from zoo.runs.run import load_card, load_preprocessor, preprocessed

    folder = path if path.is_dir() else path.parent
    card = load_card(folder)
    dataset = zoo.load_dataset(card["dataset"]["name"])
    if dataset.sha256 != card["dataset"]["sha256"]:
        raise OnebitError(
            f"{path} was made with other data than {dataset.name} here",
            hint="pass an .npz file as --representative-data",
        )
    # Of records that lie in many files the first are read, not all.
    train = dataset.train
    split = train if isinstance(train, Split) else train.first(most)
    return preprocessed(split, load_preprocessor(folder, card))


def _check_outputs(output: Path, header: Path | None, force: bool) -> None:
    """Refuses outputs that cannot be written, before anything takes time."""
    require_suffix(output, ".tflite")
    require_writable(output)
    if header is not None:
        require_suffix(header, ".h")
        require_writable(header)
    from convert.outputs import require_own_tflite
    from convert.targets.own_files import require_own_header

    require_own_tflite(output, force)
    if header is not None:
        require_own_header(header, force)


def _save(
    conversion: "Conversion", output: Path, keep_mismatch: bool, header: Path | None, force: bool
) -> None:
    if header is None:
        conversion.save(output, keep_mismatch=keep_mismatch, force=force)
        return
    from convert.targets.c_array import c_header

    # The header goes first, so that a full disk leaves neither.
    with replacing(header) as temporary:
        temporary.write_text(c_header(conversion.tflite, output.stem), encoding="utf-8")
        conversion.save(output, keep_mismatch=keep_mismatch, force=force)


if __name__ == "__main__":
    main(prog_name="python -m convert")
