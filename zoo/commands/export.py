"""`onebit zoo export`: a run's weights as a small file."""

from pathlib import Path

import click

from onebit.cli import force_option, require_suffix
from onebit.console import working
from onebit.files import require_writable
from onebit.imports import import_option


@click.command()
@import_option
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The .npz file."
)
@force_option
def export(run: Path, output: Path, force: bool) -> None:
    """Write a run's weights, a bit for each binary one, and their card as OUTPUT's .json.

    \b
    Example:
      onebit zoo export runs/bnn -o bnn.npz
      python -c "import zoo; zoo.build('binary_net_mlp', weights='bnn.npz')"
    """
    require_suffix(output, ".npz")
    require_writable(output)
    with working():
        from zoo.runs import packed_weights

        packed_weights.require_own(output, force)
        import zoo

        zoo.export(zoo.load_run(run), output, force=force)
    click.echo(f"{output}: {output.stat().st_size:,} bytes; its card is {output.stem}.json")
