"""`onebit convert export` and `weights`: a converted file in the forms of other tools."""

from pathlib import Path

import click

from convert.commands.options import export_options
from convert.targets.registry import TARGETS, load_target
from convert.targets.target import Export, ExportOptions
from onebit.cli import force_option, require_suffix
from onebit.files import replacing, require_writable


def _targets_help() -> str:
    lines = [f"  {name}: {summary}" for name, (_, summary) in TARGETS.items()]
    return "\n".join(["\b", "Targets:", *lines])


@click.command()
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


@click.command(epilog=_targets_help())
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
    from convert.tflite.files import read_file
    from convert.tflite.graph import Graph

    target.require_own(output, force)
    content = read_file(file)
    Graph.from_bytes(content, str(file))  # refuses a damaged file by its name
    with replacing(output) as temporary:
        summary = target.write(Export(content, str(file), temporary, options, output))
    click.echo(summary)
