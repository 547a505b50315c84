"""The command line's groups of options, each a dataclass. Imports no TensorFlow, for `--help`."""

from dataclasses import dataclass
from pathlib import Path

import click

from convert.metadata import Describing
from convert.targets.target import ExportOptions
from onebit.cli import grouped, options
from onebit.errors import UsageError
from onebit.imports import import_option
from onebit.metadata import Normalization


@dataclass(frozen=True)
class Loading:
    """How to load a model."""

    custom_objects: Path | None
    allow_code: bool


@dataclass(frozen=True)
class Verifying:
    """How to compare a file with Keras."""

    sample_count: int
    verify_data: Path | None
    with_delegate: bool


@dataclass(frozen=True)
class Quantizing:
    """How to make float layers int8."""

    int8: bool
    representative_data: Path | None
    representative_samples: int
    io: str
    int8_ranges: str
    int8_scope: str

    def check(self) -> None:
        """Refuses options that need others.

        Raises:
            UsageError: One is missing.
        """
        if self.int8 != (self.representative_data is not None):
            raise UsageError("--int8 and --representative-data need each other")
        changed = {
            "--representative-samples": self.representative_samples != REPRESENTATIVE_SAMPLES,
            "--io": self.io != "float",
            "--int8-ranges": self.int8_ranges != "mse",
            "--int8-scope": self.int8_scope != "layers",
        }
        given = [option for option, is_given in changed.items() if is_given]
        if not self.int8 and given:
            raise UsageError(f"{given[0]} needs --int8")


REPRESENTATIVE_SAMPLES = 200

loading_options = options(
    import_option,
    click.option(
        "--custom-objects",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Python file that defines the model's own classes and functions; it is run.",
    ),
    click.option(
        "--allow-code",
        is_flag=True,
        help="Run Python code stored in the model file, as that of Lambda layers.",
    ),
    grouped("loading", Loading),
)

verifying_options = options(
    click.option(
        "--samples",
        "sample_count",
        default=1000,
        show_default=True,
        type=click.IntRange(min=0),
        help="Maximum number of samples to compare the file with Keras on; 0 skips the comparison.",
    ),
    click.option(
        "--verify-data",
        type=click.Path(path_type=Path),
        help="Samples to compare on: a run folder, its card.json, or an .npz file with `inputs` "
        "preprocessed as in training (for several inputs, one array per input name) and "
        "optional `labels`.  [default: the run's test split, else random inputs]",
    ),
    click.option(
        "--delegate/--no-delegate",
        "with_delegate",
        default=True,
        show_default=True,
        help="Also compare stock LiteRT with Onebit's delegate, if it is installed.",
    ),
    grouped("verifying", Verifying),
)

quantizing_options = options(
    click.option("--int8", is_flag=True, help="Make float layers int8; binary layers stay binary."),
    click.option(
        "--representative-data",
        type=click.Path(path_type=Path),
        help="Samples to learn the int8 ranges from: an .npz file with `inputs`, or a run folder "
        "or its card.json, whose training data are used.",
    ),
    click.option(
        "--representative-samples",
        default=REPRESENTATIVE_SAMPLES,
        show_default=True,
        type=click.IntRange(min=1),
        help="Maximum number of samples to learn the ranges from.",
    ),
    click.option(
        "--io",
        type=click.Choice(["float", "int8"]),
        default="float",
        show_default=True,
        help="Type of the file's inputs and outputs.",
    ),
    click.option(
        "--int8-ranges",
        type=click.Choice(["mse", "minmax", "percentile"]),
        default="mse",
        show_default=True,
        help="How to choose the int8 ranges.",
    ),
    click.option(
        "--int8-scope",
        type=click.Choice(["layers", "all"]),
        default="layers",
        show_default=True,
        help="Which operators become int8: layers with real weights, or all that can, including "
        "sums of binary layers and layers with packed ±1 weights.",
    ),
    grouped("quantizing", Quantizing),
)


def _normalization(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> Normalization | None:
    """`MEAN,STD`, or the means of all channels and then their deviations."""
    if value is None:
        return None
    try:
        numbers = [float(part) for part in value.split(",")]
        half, odd = divmod(len(numbers), 2)
        if odd:
            raise ValueError("as many deviations as means")
        return Normalization(tuple(numbers[:half]), tuple(numbers[half:]))
    except ValueError as error:
        raise click.BadParameter(
            f"{value!r} is not MEAN,STD such as 127.5,127.5, or the means of all channels and then "
            f"their deviations ({error})"
        ) from error


describing_options = options(
    click.option(
        "--labels",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Names of the classes, a line each, to store in the file.  [default: those of a run]",
    ),
    click.option(
        "--normalize",
        callback=_normalization,
        metavar="MEAN,STD",
        help="How pixels from 0 to 255 become the model's numbers, (pixel - MEAN) / STD, to store "
        "in the file; per channel as R,G,B,R,G,B.  [default: as a run was trained]",
    ),
    click.option("--author", help="Author, to store in the file."),
    click.option("--license", help="Licence, such as Apache-2.0, to store in the file."),
    click.option("--description", help="Description, to store in the file."),
    grouped("describing", Describing),
)

export_options = options(
    click.option(
        "--name",
        help="Name of the C symbols (c, c-array).  [default: the output's name]",
    ),
    click.option(
        "--for",
        "for_",
        type=click.Choice(["generic", "finn", "hls4ml"]),
        help="The tool that reads the file (qonnx).  [default: generic]",
    ),
    click.option(
        "--input-bits",
        type=click.IntRange(2, 16),
        help="Bits of the signed integers that hardware reads (qonnx for finn or hls4ml, "
        "verilog).  [default: 8]",
    ),
    click.option(
        "--input-scale",
        type=click.FloatRange(min=0, min_open=True),
        help="What one step of these integers stands for in the model's input.  [default: 1/128]",
    ),
    click.option(
        "--input-type",
        type=click.Choice(["float", "integer", "uint8", "int8"]),
        help="Whether FINN reads floats, which hardware rounds, or the integers themselves "
        "(qonnx for finn); whether a network in C takes floats, or pixels from 0 to 255 (uint8) or "
        "128 less (int8), which it normalises as the file says (c).  [default: float]",
    ),
    click.option(
        "--cmsis-nn",
        is_flag=True,
        help="Leave int8 layers with filters to CMSIS-NN, Arm's library, of which you have a copy "
        "(c).",
    ),
    click.option(
        "--style",
        type=click.Choice(["folded", "combinational"]),
        help="Layer after layer with a clock, or everything at once without one (verilog).  "
        "[default: folded]",
    ),
    click.option(
        "--pe",
        type=click.IntRange(1, 4096),
        help="Outputs that a layer of a folded design computes at once, at most (verilog).  "
        "[default: 4]",
    ),
    click.option(
        "--simd",
        type=click.IntRange(1, 4096),
        help="Bits that a layer of a folded design takes in a cycle, at most (verilog).  "
        "[default: 32]",
    ),
    grouped("export_options", ExportOptions),
)
