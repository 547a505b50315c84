"""The options of `edge bench`: the file for the rows, and what is measured for how long."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from edge.bench.backends import BACKENDS, find_backends
from edge.bench.cells import check_affinity
from edge.bench.fleet_run import done_cells
from edge.bench.measurement import MODES, Plan, plan_for
from edge.devices import host_from_probe
from edge.devices.fleet_file import LOCAL, Entry
from edge.results.cell_key import CellKey
from edge.results.row import Row
from edge.results.row_files import RowWriter, read_rows, repair_rows
from edge.runner.cores import AFFINITY, MAX_THREADS, clusters
from onebit.cli import PositiveFloat, options
from onebit.errors import UsageError


def _names(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """`a,b` as a list; None where the option is absent."""
    return None if value is None else [name.strip() for name in value.split(",") if name.strip()]


def _counts(ctx: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """`1,2` as positive whole numbers."""
    try:
        counts = [int(part) for part in value.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise click.BadParameter(f"{value!r} is not a list of positive whole numbers such as 1,2")
    if max(counts) > MAX_THREADS:
        raise click.BadParameter(f"{max(counts)} threads are more than {MAX_THREADS}, the most")
    return counts


def _affinity(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """`big`, `little` or `0,2`; None where every core may be used."""
    if value is None or value == "none":
        return None
    if not re.fullmatch(AFFINITY, value):
        raise click.BadParameter(f"{value!r} is not big, little, none or cores such as 0,2")
    return value


@dataclass(frozen=True)
class Output:
    """The file for the rows, and how those that it holds are treated."""

    output: str | None
    append: bool
    overwrite: bool
    resume: bool

    def check(self) -> None:
        """Refuses options that contradict each other.

        Raises:
            UsageError: They do.
        """
        chosen = [name for name in ("append", "overwrite", "resume") if getattr(self, name)]
        if self.output is None and chosen:
            raise UsageError(f"--{chosen[0]} needs a file after -o")
        if self.output is not None and Path(self.output).suffix in (".csv", ".html", ".md"):
            raise UsageError(
                f"the rows in {self.output} would be JSON Lines",
                hint="name it ROWS.jsonl; --format csv prints CSV, onebit edge report the page",
            )
        if self.overwrite and len(chosen) > 1:
            other = next(name for name in chosen if name != "overwrite")
            raise UsageError(f"--overwrite and --{other} contradict each other")

    def done(self) -> Mapping[CellKey, int]:
        """With `--resume`, how often the file has each cell.

        Raises:
            OnebitError: The file holds something other than rows.
        """
        if self.output is None or not self.resume or not Path(self.output).is_file():
            return {}
        repair_rows(self.output)
        return done_cells(read_rows(self.output))

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[Row], None]]:
        """A function that writes a row to the file, which has been checked, if one is asked for."""
        if self.output is None:
            yield lambda row: None
            return
        with contextlib.closing(RowWriter(self.output, not self.overwrite)) as writer:
            yield writer.write


@dataclass(frozen=True)
class Measuring:
    """The backends to run, and for how long."""

    runtimes: list[str] | None
    threads: list[int]
    affinity: str | None
    mode: str
    runs: int | None
    seconds: float | None
    warmup: float | None
    timeout: float | None
    data_path: str | None
    seed: int
    profile_ops: bool
    instructions: bool
    repetitions: int
    retries: int

    def plan(self) -> Plan:
        """The mode's plan with these changes."""
        return plan_for(
            self.mode,
            min_runs=self.runs,
            min_seconds=self.seconds,
            warmup_seconds=self.warmup,
            timeout_seconds=self.timeout,
            seed=self.seed,
            profile_ops=self.profile_ops,
            instructions=self.instructions,
            affinity=self.affinity,
        )

    def check(self, entries: Sequence[Entry]) -> None:
        """Refuses options that a device would ignore, or cores that this machine lacks.

        Raises:
            UsageError: There are such.
        """
        if self.runtimes is not None:
            find_backends(self.runtimes)
        of_the_runner = {
            "--runtime": self.runtimes, "--data": self.data_path, "--profile-ops": self.profile_ops,
            "--retry-invalid": self.retries, "--instructions": self.instructions,
        }  # fmt: skip
        for option, value in of_the_runner.items():
            if value and all(entry.tool is not None for entry in entries):
                raise UsageError(f"{option} is for the runner, and every device here has a tool")
        for entry in entries:
            affinity = entry.affinity or self.affinity
            if affinity is None:
                continue
            if entry.tool is not None:
                raise UsageError(f"{entry.name} is measured by {entry.tool.name}: no affinity")
            if entry.address == LOCAL:
                here = host_from_probe(entry.name, LOCAL, {"clusters": clusters()})
                check_affinity(affinity, here)


output_options = options(
    click.option(
        "-o",
        "--output",
        metavar="ROWS.jsonl",
        help="Write the rows to this file, behind those that it holds.",
    ),
    click.option(
        "--append", is_flag=True, hidden=True, help="Does nothing: rows are always appended."
    ),
    click.option("--overwrite", is_flag=True, help="Replace the rows that the output file holds."),
    click.option(
        "--resume",
        is_flag=True,
        help="Measure only cells that the output file lacks or has as failed.",
    ),
)

measuring_options = options(
    click.option(
        "--runtime",
        "--backend",
        "runtimes",
        callback=_names,
        metavar="NAME,...",
        help=f"Backends, any of {', '.join(BACKENDS)}. Default: lce,lce:indirect_bgemm for files "
        "with Larq Compute Engine's ops, and litert:delegate where the delegate is built; "
        "lce,litert for others.",
    ),
    click.option(
        "--threads",
        callback=_counts,
        default="1",
        show_default=True,
        metavar="N,...",
        help="Numbers of threads.",
    ),
    click.option(
        "--affinity",
        callback=_affinity,
        metavar="CORES",
        help="Run on these cores only: their numbers, such as 0,2, or on devices with two kinds of "
        "cores big or little. Default: any core.",
    ),
    click.option(
        "--mode",
        type=click.Choice(list(MODES)),
        default="standard",
        show_default=True,
        help="How long to measure: "
        + "; ".join(
            f"{mode} at least {plan.min_runs} runs and {plan.min_seconds:g} s"
            for mode, plan in MODES.items()
        )
        + ", after a cool-down.",
    ),
    click.option(
        "-r",
        "--repeat",
        "repetitions",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Measure everything N times, in turn (A B A B), each time in new processes.",
    ),
    click.option(
        "--retry-invalid",
        "retries",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="N",
        help="Measure again, up to N times, what comes out invalid.",
    ),
    click.option("--runs", type=click.IntRange(1), help="Minimum number of runs."),
    click.option("--seconds", type=PositiveFloat(), help="Minimum measuring time in seconds."),
    click.option(
        "--warmup",
        type=PositiveFloat(),
        help="Maximum warm-up time in seconds; it ends earlier once latencies are steady.",
    ),
    click.option(
        "--timeout",
        type=PositiveFloat(min_open=True),
        help="Time limit of a measurement in seconds. Default: the mode's.",
    ),
    click.option(
        "--data",
        "data_path",
        metavar="RUN|NPZ",
        help="Also run labelled samples, and report accuracy and agreement with this machine: a "
        "run folder, its card.json, or an .npz file with inputs and labels.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Seed of the random inputs.",
    ),
    click.option(
        "--profile-ops", is_flag=True, help="Also time each op, on backends with the delegate."
    ),
    click.option(
        "--instructions",
        is_flag=True,
        help="Also count the instructions of inferences, which noise doesn't move: by the kernel, "
        "or on this machine under QEMU where the kernel counts none.",
    ),
)
