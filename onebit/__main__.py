"""The `onebit` command: `onebit zoo|convert|edge …`, also as `python -m onebit`."""

if __name__ == "__main__":  # before anything that takes time
    from onebit.interrupts import end_at_once

    end_at_once()

import importlib

import click

from onebit import __version__
from onebit.cli import CommandGroup

STAGES = {
    "zoo": ("zoo.__main__:main", "Train binary networks."),
    "convert": ("convert.__main__:main", "Convert Keras models to bitpacked .tflite files."),
    "run": ("edge.commands.run:run", "Run a .tflite file on one image or array."),
    "edge": ("edge.__main__:main", "Measure .tflite files on devices."),
}
"""Stage → (its command, its help). A stage is imported when it is used, not for `--help`."""


class Stages(CommandGroup):
    """The commands of the stages as subcommands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The stages in their order."""
        return list(STAGES)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """A stage's command; None for an unknown name."""
        if name not in STAGES:
            return None
        module, _, attribute = STAGES[name][0].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the stages without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in STAGES.items()])


@click.group(cls=Stages)
@click.version_option(__version__, prog_name="onebit")
def main() -> None:
    """Binary neural networks from Keras to the edge.

    \b
    Example:
      onebit zoo train binary_net_mlp_mnist_5k -o runs/bnn
      onebit convert model runs/bnn -o bnn.tflite
      onebit run bnn.tflite --input runs/bnn
      onebit edge bench bnn.tflite -o rows.jsonl
    """


if __name__ == "__main__":
    main(prog_name="python -m onebit")
