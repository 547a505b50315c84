"""Benchmarks files on setups: one cell, one process, one row."""

import dataclasses
import os
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from edge import measurement, rows
from edge.devices import Device, RunnerError
from edge.devices.local import LocalDevice
from edge.models import describe
from edge.rows import Host, Model, Parity, Row, Run, Setup
from edge.setups import RuntimeSetup, default_setups, find_setups
from onebit import __version__, provenance
from onebit.cli import progress
from onebit.delegate import MEND, find_delegate
from onebit.errors import UsageError

DEFAULT_TIMEOUT_SECONDS = 120.0
OUTPUTS_FILE = "outputs.npz"

Outputs = list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Cell:
    """What one row measures."""

    model: Model
    setup: RuntimeSetup
    threads: int

    @property
    def setup_label(self) -> str:
        """The setup as people read it: `lce` or `lce, 2 threads`."""
        return self.setup.name + ("" if self.threads == 1 else f", {self.threads} threads")


def plan_cells(
    paths: Sequence[str | os.PathLike[str]],
    runtimes: Sequence[str] | None = None,
    threads: Sequence[int] = (1,),
) -> list[Cell]:
    """Every file on every setup with every number of threads.

    Args:
        paths: `.tflite` files.
        runtimes: Names from `edge.setups.SETUPS`; those that suit the file when None.
        threads: Numbers of threads.

    Raises:
        UsageError: A file is no TensorFlow Lite file, a name is unknown, there is no cell, or the
            delegate is asked for and not built.
    """
    delegate = find_delegate()
    asked = None if runtimes is None else find_setups(runtimes)
    if delegate is None and any(setup.with_delegate for setup in asked or []):
        raise UsageError(f"the delegate is not there; {MEND}")
    if not paths or asked == [] or not threads or min(threads) < 1:
        raise UsageError("give at least one file, one runtime and one positive number of threads")
    cells = []
    for path in paths:
        model = describe(path)
        has_lce_ops = bool(model.lce_ops)
        if asked is None and has_lce_ops and delegate is None:
            progress.print(f"note: {model.file} runs without the delegate; {MEND}", markup=False)
        for setup in default_setups(has_lce_ops, delegate is not None) if asked is None else asked:
            cells += [Cell(model, setup, count) for count in dict.fromkeys(threads)]
    return cells


def run_cells(
    cells: Sequence[Cell],
    device: Device,
    plan: measurement.Plan,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    command: str | None = None,
    on_start: Callable[[Cell], None] = lambda cell: None,
) -> Iterator[Row]:
    """Yields each cell's row as soon as it ends; a cell that fails costs only its own row.

    Args:
        cells: What to measure, in this order.
        device: Where; already entered.
        plan: How much.
        timeout_seconds: For one cell, from the start of its process.
        command: Recorded in the rows; the process's own command line when None.
        on_start: Called before each cell.

    Raises:
        RunnerError: The device cannot even be probed.
    """
    run, host = _run(command), device.probe()
    references: dict[str, tuple[str, Outputs]] = {}
    for cell in cells:
        on_start(cell)
        row, outputs = _run_cell(cell, device, plan, timeout_seconds, run, host)
        if outputs is not None and row.parity is not None:
            reference = references.setdefault(cell.model.sha256, (cell.setup_label, outputs))
            if reference[1] is not outputs:
                difference, agreement = compare_outputs(outputs, reference[1])
                parity = dataclasses.replace(
                    row.parity,
                    reference=reference[0],
                    max_abs_difference=difference,
                    argmax_agreement=agreement,
                )
                row = dataclasses.replace(row, parity=parity)
        yield row


def benchmark(
    paths: Sequence[str | os.PathLike[str]],
    *,
    runtimes: Sequence[str] | None = None,
    threads: Sequence[int] = (1,),
    plan: measurement.Plan | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
) -> list[Row]:
    """The rows of `.tflite` files on this machine, one for each setup and number of threads.

        rows = edge.benchmark(["model.tflite"], runtimes=["lce", "litert"], threads=[1, 2])

    Args:
        paths: `.tflite` files.
        runtimes: Names such as `lce`, `lce:indirect_bgemm`, `litert`; those that suit each file
            when None.
        threads: Numbers of threads.
        plan: How much to measure.
        timeout_seconds: For each row.

    Raises:
        UsageError: A file is no TensorFlow Lite file or a name is unknown.
        RunnerError: This Python cannot run `edge/runner.py` at all.
    """
    cells = plan_cells(paths, runtimes, threads)
    with LocalDevice() as device:
        return list(run_cells(cells, device, plan or measurement.Plan(), timeout_seconds))


def compare_outputs(outputs: Outputs, reference: Outputs) -> tuple[float | None, float | None]:
    """How far the outputs for the same inputs are apart.

    Returns:
        The largest absolute difference over all elements, None if shapes differ or a value is not
        finite; and the fraction of the inputs with the same largest class, None unless the model
        has one output `[inputs, 1, classes]` of at least two classes.
    """
    same_shapes = [o.shape for o in outputs] == [r.shape for r in reference]
    if not same_shapes:
        return None, None
    difference = max(
        float(np.max(np.abs(o.astype(np.float64) - r.astype(np.float64)), initial=0.0))
        for o, r in zip(outputs, reference, strict=True)
    )
    agreement = None
    if len(outputs) == 1 and outputs[0].ndim == 3 and outputs[0].shape[-1] >= 2:
        same = outputs[0].argmax(axis=-1) == reference[0].argmax(axis=-1)
        agreement = float(np.mean(same))
    return (difference if np.isfinite(difference) else None), agreement


def _run_cell(
    cell: Cell,
    device: Device,
    plan: measurement.Plan,
    timeout_seconds: float,
    run: Run,
    host: Host,
) -> tuple[Row, Outputs | None]:
    setup = Setup(
        name=cell.setup.name,
        runtime=cell.setup.runtime,
        kernel=cell.setup.kernel,
        threads=cell.threads,
        seed=plan.seed,
    )

    def without_figures(status: str, reason: str) -> tuple[Row, None]:
        return Row(run, host, cell.model, setup, status, reason), None

    if cell.model.lce_ops and not cell.setup.runs_lce_ops:
        ops = ", ".join(cell.model.lce_ops)
        return without_figures(
            rows.SKIPPED, f"the file has ops of Larq Compute Engine ({ops}) that {setup.name} lacks"
        )
    request: dict[str, Any] = {
        "action": "bench",
        "model_path": device.put(cell.model.file),
        "runtime": cell.setup.runtime,
        "options": dict(cell.setup.options),
        "threads": cell.threads,
        "outputs_path": OUTPUTS_FILE,
        **plan.as_request(),
    }
    if cell.setup.with_delegate:
        delegate = find_delegate()
        if delegate is None:
            return without_figures(rows.FAILED, f"the delegate is not there; {MEND}")
        request["delegate"] = {"library": device.put(delegate.library), "options": {}}
        setup = dataclasses.replace(setup, delegate=delegate.label)
    try:
        answer = device.run(request, timeout_seconds)
        if answer["status"] != "ok":
            return without_figures(rows.FAILED, str(answer.get("reason") or "no reason given"))
        with np.load(device.get(OUTPUTS_FILE)) as archive:
            outputs = [archive[name] for name in archive.files]
        return _measured_row(answer, Row(run, host, cell.model, setup, rows.OK)), outputs
    except RunnerError as error:
        return without_figures(rows.FAILED, str(error))
    except (KeyError, TypeError, ValueError, OSError) as error:
        return without_figures(rows.FAILED, f"the runner's answer is incomplete: {error!r}")


def _measured_row(answer: dict[str, Any], row: Row) -> Row:
    """`row` with the runner's figures, marked invalid where they cannot be trusted."""
    samples = tuple(answer["samples_ns"])
    disturbed = measurement.disturbance(answer["before"], answer["after"])
    reason = measurement.why_invalid(samples, disturbed, row.setup.threads, row.host.cores)
    baseline, peak = answer["baseline_bytes"], answer["peak_bytes"]
    return dataclasses.replace(
        row,
        setup=dataclasses.replace(
            row.setup,
            runtime_version=answer["runtime_version"],
            warmup_runs=answer["warmup_runs"],
            warmup_steady=answer["warmup_steady"],
        ),
        status=rows.INVALID if reason else rows.OK,
        reason=reason,
        cold_start=rows.ColdStart(
            answer["import_ns"], answer["load_ns"], answer["first_inference_ns"]
        ),
        samples_ns=samples,
        summary=measurement.summarise(samples),
        memory=None if None in (baseline, peak) else rows.Memory(baseline, peak, peak - baseline),
        parity=Parity(output_sha256=answer["output_sha256"], inputs=answer["parity_inputs"]),
        disturbance=disturbed,
        profile=_profile(answer.get("profile")),
    )


def _profile(told: dict[str, Any] | None) -> rows.Profile | None:
    if told is None:
        return None
    return rows.Profile(
        told["runs"], told["total_ns"], tuple(rows.OpTime(**op) for op in told["ops"])
    )


def _run(command: str | None) -> Run:
    return Run(
        id=uuid.uuid4().hex[:12],
        timestamp=provenance.utc_now(),
        command=shlex.join(sys.argv) if command is None else command,
        onebit_version=__version__,
        git_commit=provenance.commit(),
    )
