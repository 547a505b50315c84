"""`python -m convert`: Keras models and float `.tflite` files → bitpacked `.tflite` files."""

if __name__ == "__main__":  # before anything that takes time
    from onebit.interrupts import end_at_once

    end_at_once()

import click

from convert.commands.audit import audit
from convert.commands.export import export, weights
from convert.commands.model import model
from convert.commands.verify import verify
from onebit import __version__
from onebit.cli import CommandGroup


@click.group(cls=CommandGroup)
@click.version_option(__version__, prog_name="onebit convert")
def main() -> None:
    """Convert Keras models and float .tflite files to bitpacked ones; explain every layer."""


for _command in (model, audit, verify, weights, export):
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="python -m convert")
