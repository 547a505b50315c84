"""`edge harness`: what a real board runs so that it can be measured."""

from pathlib import Path

import click

from edge.boards.exports import read_export
from edge.boards.harness import harness_files
from onebit.cli import force_option
from onebit.errors import UsageError
from onebit.files import replacing, require_writable
from onebit.own_folders import require_own_folder, write_folder


@click.command()
@click.argument("network", metavar="EXPORTED", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder to write, which is an Arduino sketch.",
)
@force_option
def harness(network: Path, output: Path, force: bool) -> None:
    """Write what a real board runs to be measured: an exported network, and a program around it.

    The folder is an Arduino sketch, and its C files fit into any other firmware. Once it is on the
    board, `onebit edge bench` measures it through its serial port.

    \b
    Example:
      onebit edge harness bnn_c -o bnn_board
      onebit edge bench bnn_c --device serial:/dev/ttyACM0 -o rows.jsonl
    """
    exported = read_export(network)
    require_writable(output)
    if output.resolve() == network.resolve():
        raise UsageError(f"{output} is the exported network itself", hint="give another -o")
    require_own_folder(output, force, target="harness")
    files = harness_files(exported, output.resolve().name)
    with replacing(output) as temporary:
        write_folder(temporary, files, target="harness")
    click.echo(f"{len(files)} files; {output / 'README.md'} says how they get onto a board")
