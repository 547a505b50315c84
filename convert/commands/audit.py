"""`onebit convert audit`: the layers of a file, and what keeps them from being binary."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from convert.report import Layer
from onebit.cli import Share, emit, emit_document, format_option
from onebit.errors import OnebitError, UsageError, near_matches


@click.command()
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
    from convert.auditing.layers import audit as audit_content
    from convert.commands.printing import print_layers, print_metadata, print_totals
    from convert.tflite.files import read_file

    content = read_file(file)
    result = audit_content(content, str(file))
    _check_allowed(allow, [layer.name for layer in result.layers], file)
    if format_ == "table":
        print_layers(result.layers, str(file))
        print_totals(result.totals, result.file.size_bytes)
        print_metadata(content, file)
    elif format_ == "json":
        emit_document(asdict(result))
    else:
        emit([asdict(layer) for layer in result.layers], format_)
    _require_binary(result.layers, allow, fail_if_float, most_float)


def _check_allowed(allow: Sequence[str], names: Sequence[str], file: Path) -> None:
    """Refuses names of `--allow` that no layer has."""
    for name in allow:
        if not any(_is_of(layer, name) for layer in names):
            raise UsageError(
                f"--allow {name}: {file} has no such layer; {near_matches(name, names)}"
            )


def _require_binary(
    layers: Sequence[Layer], allow: Sequence[str], fail_if_float: bool, most_float: float | None
) -> None:
    """Raises where float layers that are not allowed break a limit of the command line.

    Args:
        layers: All layers of the file.
        allow: Names of layers that may be float.
        fail_if_float: Whether no other may be.
        most_float: The largest share of multiply-accumulates that the others may have.
    """
    from convert.commands.printing import listed

    floats = [layer for layer in layers if layer.kind == "float"]
    left = [layer for layer in floats if not any(_is_of(layer.name, name) for name in allow)]
    names = listed([layer.name for layer in left])
    if fail_if_float and left:
        raise OnebitError(f"{len(left)} of {len(layers)} layers are float: {names}")
    share = sum(layer.macs for layer in left) / max(1, sum(layer.macs for layer in layers))
    if most_float is not None and share > most_float:
        raise OnebitError(
            f"{share:.1%} of the multiply-accumulates are float, over {most_float:.1%}: {names}"
        )


def _is_of(layer: str, name: str) -> bool:
    """Whether a layer has that name, or is a half of it: `separable (pointwise)`."""
    return layer == name or layer.startswith(f"{name} (")
