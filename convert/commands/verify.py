"""`onebit convert verify`: an existing file against the model that it was made from."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.commands import float_source
from convert.commands.data import verification_samples
from convert.commands.options import Loading, Verifying, loading_options, verifying_options
from onebit.cli import emit_document, format_option
from onebit.console import working
from onebit.errors import OnebitError, UsageError

if TYPE_CHECKING:
    from convert.report import Verification


@click.command()
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
    from convert.commands.printing import print_verification
    from convert.tflite.files import read_file
    from convert.tflite.graph import Graph

    content = read_file(file)
    Graph.from_bytes(content, str(file))  # a damaged one is named before anything is loaded
    by_float_file = float_source.goes_by_float_file(source, loading)
    verified = _by_float_file if by_float_file else _by_keras
    result = verified(source, content, str(file), verifying, loading)
    if format_ == "json":
        emit_document(asdict(result))
    else:
        print_verification(result, with_report=False)
    if result.mismatches():
        raise OnebitError(f"{file} disagrees with {source}: {'; '.join(result.mismatches())}")


def _by_keras(
    source: str, content: bytes, name: str, verifying: Verifying, loading: Loading
) -> "Verification":
    with working("loading TensorFlow and the model") as status:
        from convert.commands.keras_source import load
        from convert.conversion import default_samples, verify_file
        from convert.keras_model.samples import expected_of

        loaded = load(source, loading)
        samples = verification_samples(
            verifying,
            expected_of(loaded.model),
            loaded.samples,
            lambda: default_samples(loaded.model, None),
        )
        return verify_file(loaded.model, content, samples, status.update, verifying.with_delegate)


def _by_float_file(
    source: str, content: bytes, name: str, verifying: Verifying, loading: Loading
) -> "Verification":
    from convert.file_conversion import expected_of_file, float_graph, verify_converted_file
    from convert.tflite.graph import Graph

    with working("comparing"), float_source.opened(source, loading) as (float_content, options):
        original = float_graph(float_content, source)
        result = verify_converted_file(
            original,
            Graph.from_bytes(content, name),
            float_source.samples_for(original, expected_of_file(original), verifying),
            verifying.with_delegate,
            **options,
        )
    if isinstance(result, str):
        raise OnebitError(f"nothing can run {name}: {result}")
    return result
