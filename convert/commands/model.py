"""`onebit convert model`: a model or a float file becomes a bitpacked `.tflite` file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.commands import float_source
from convert.commands.data import int8_settings, verification_samples
from convert.commands.options import (
    Loading,
    Quantizing,
    Verifying,
    describing_options,
    loading_options,
    quantizing_options,
    verifying_options,
)
from convert.metadata import Describing, described, metadata_of_card
from onebit.cli import emit_document, force_option, format_option, require_suffix
from onebit.console import say, working
from onebit.errors import UsageError
from onebit.files import replacing, require_writable
from onebit.metadata import Metadata, left_out, metadata_buffer, read_metadata

if TYPE_CHECKING:
    from convert.result import Conversion


@click.command()
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
    if float_source.goes_by_float_file(source, loading):
        conversion = _by_float_file(source, output, verifying, describing, quantizing, loading)
    else:
        conversion = _by_keras(source, verifying, describing, quantizing, loading)
    _save(conversion, output, keep_mismatch, header, force)
    _print_report(conversion, output, format_)


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


def _by_float_file(
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
    from convert.file_conversion import convert_file, expected_of_file, float_graph

    with (
        working("reading the model") as status,
        float_source.opened(source, loading) as (content, options),
    ):
        graph = float_graph(content, source)
        expected = expected_of_file(graph)
        int8 = int8_settings(quantizing, expected)
        samples = None
        if verifying.sample_count:
            samples = float_source.samples_for(graph, expected, verifying, int8)
        return convert_file(
            content,
            metadata=_file_metadata(content, path, describing),
            samples=samples,
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
    known = read_metadata(content, str(path))
    buffer = metadata_buffer(content)
    lost = left_out(buffer) if buffer else []
    if lost:
        say(f"note: the metadata of {path} are written again, without {', '.join(lost)}")
    return described(known or Metadata(path.stem), describing)


def _by_keras(
    source: str,
    verifying: Verifying,
    describing: Describing,
    quantizing: Quantizing,
    loading: Loading,
) -> "Conversion":
    with working("loading TensorFlow and the model") as status:
        from convert.commands.keras_source import load
        from convert.conversion import convert_model, default_samples
        from convert.keras_model.samples import expected_of

        loaded = load(source, loading)
        known = metadata_of_card(loaded.card) if loaded.card else Metadata(loaded.name)
        metadata = described(known, describing)
        expected = expected_of(loaded.model)
        int8 = int8_settings(quantizing, expected, loaded.samples)
        samples = None
        if verifying.sample_count:
            samples = verification_samples(
                verifying, expected, loaded.samples, lambda: default_samples(loaded.model, int8)
            )
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


def _print_report(conversion: "Conversion", output: Path, format_: str) -> None:
    from convert.commands.printing import (
        how_to_run,
        print_layers,
        print_metadata,
        print_totals,
        print_verification,
    )

    report = conversion.report
    if format_ == "json":
        emit_document(report.to_dict())
        return
    print_layers(report.layers, f"{report.name} → {output}")
    print_totals(report.totals, report.file.size_bytes)
    print_metadata(conversion.tflite, output)
    for note in report.notes:
        click.echo(f"note: {note}")
    if report.verification is not None:
        print_verification(report.verification)
    for line in how_to_run(conversion.tflite, output):
        say(line)
