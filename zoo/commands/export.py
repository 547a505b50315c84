"""`onebit zoo export`: a run's weights as a small file."""

from pathlib import Path

import click

from onebit.cli import require_suffix
from onebit.files import require_writable
from onebit.imports import import_option


@click.command()
@import_option
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The .npz file."
)
def export(run: Path, output: Path) -> None:
    """Write a run's weights, a bit for each binary one, and their card as OUTPUT's .json.

    \b
    Example:
      onebit zoo export runs/bnn -o bnn.npz
      python -c "import zoo; zoo.build('binary_net_mlp', weights='bnn.npz')"
    """
    require_suffix(output, ".npz")
    require_writable(output)
    import zoo

    zoo.export(zoo.load_run(run), output)
    click.echo(f"{output}: {output.stat().st_size:,} bytes; its card is {output.stem}.json")
