"""The command line's options for int8; apart, so that they import nothing heavy."""

from pathlib import Path

import click

from onebit.cli import options

int8_options = options(
    click.option("--int8", is_flag=True, help="Make float layers int8; binary ones stay binary."),
    click.option(
        "--representative-data",
        type=click.Path(path_type=Path),
        help="What the ranges of int8 tensors are learnt from: an .npz file with float32 "
        "`inputs`, or a run folder or its card.json, for the training data of its data "
        "set.",
    ),
    click.option(
        "--representative-samples",
        default=200,
        show_default=True,
        type=click.IntRange(min=1),
        help="How many of them to take.",
    ),
    click.option(
        "--io",
        type=click.Choice(["float", "int8"]),
        default="float",
        show_default=True,
        help="The type of the file's inputs and outputs.",
    ),
    click.option(
        "--int8-ranges",
        type=click.Choice(["mse", "minmax", "percentile"]),
        default="mse",
        show_default=True,
        help="How ranges are chosen.",
    ),
    click.option(
        "--int8-scope",
        type=click.Choice(["layers", "all"]),
        default="layers",
        show_default=True,
        help="all: also sums of binary layers, and layers with packed ±1 weights.",
    ),
)
"""The options that make float layers int8."""
