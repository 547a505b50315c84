"""`python -m edge`: benchmark `.tflite` files, report and compare the results."""

if __name__ == "__main__":  # before anything that takes time
    from onebit.interrupts import end_at_once

    end_at_once()

import click

from edge.commands.bench import bench
from edge.commands.compare import compare_command
from edge.commands.devices import devices, doctor
from edge.commands.harness import harness
from edge.commands.report import report
from onebit import __version__
from onebit.cli import CommandGroup


@click.group(cls=CommandGroup)
@click.version_option(__version__, prog_name="onebit edge")
def main() -> None:
    """Measures .tflite files and reports what was measured."""


for _command in (devices, doctor, bench, compare_command, report, harness):
    main.add_command(_command)


if __name__ == "__main__":
    main(prog_name="python -m edge")
