"""`python -m zoo`: lists, shows, trains, evaluates, exports and imports."""

if __name__ == "__main__":  # before anything that takes time
    from onebit.interrupts import end_at_once

    end_at_once()

import click

from onebit import __version__
from onebit.cli import CommandGroup
from zoo.commands.evaluate import evaluate
from zoo.commands.export import export
from zoo.commands.import_ import import_
from zoo.commands.listing import list_
from zoo.commands.runs import runs
from zoo.commands.show import show
from zoo.commands.sweep import sweep
from zoo.commands.train import train


@click.group(cls=CommandGroup)
@click.version_option(__version__, prog_name="onebit zoo")
def main() -> None:
    """Binary neural networks: families, data sets, recipes and training.

    \b
    Example:
      onebit zoo list
      onebit zoo train binary_net_mlp_mnist_5k -o runs/bnn
      onebit zoo evaluate runs/bnn
    """


for _command in (list_, show, train, sweep, runs, evaluate, export, import_):
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="python -m zoo")
