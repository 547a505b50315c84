"""Executed instructions of inferences, for rows: by the kernel, else under QEMU on this machine."""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge.devices import Completed, PythonDevice, RunnerError
from edge.devices.remote import runner_answer
from edge.devices.runner_archive import write_runner
from edge.emulation.counting import run_counted
from edge.emulation.userland import UnavailableError
from edge.results.row import Instructions
from onebit.console import say
from onebit.errors import first_line

RUNS = 5
"""Inferences that are counted; all numbers of one thread are almost equal."""

EMULATION_SECONDS = 900.0
"""A time limit under QEMU, which takes some tens of times as long as the processor."""


def count_instructions(
    device: PythonDevice, request: Mapping[str, Any], seconds: float
) -> Instructions:
    """The instructions of a cell's inferences, counted by the kernel, else under QEMU.

    Where the kernel refuses, `refused` says why, and where nobody counts, why QEMU doesn't either.

    Args:
        device: Where the cell was measured.
        request: The fields of a runner's request that name file, backend, threads and seed.
        seconds: A time limit where the kernel counts.

    Raises:
        InterruptedRunError: `device.interrupt` was called.
        RunnerError: The runner gave no answer.
    """
    request = {**request, "action": "count", "runs": RUNS}
    answer = device.run(request, seconds)
    if answer["status"] == "ok":
        return Instructions(tuple(answer["counts"]), answer["counter"])
    why = str(answer.get("reason") or "no reason given")
    if device.kind != "local":
        return Instructions(refused=why)
    if request["threads"] > 1:
        return Instructions(refused=f"{why}; QEMU counts one thread")
    say("counting instructions under QEMU")
    try:
        return replace(_under_qemu(request), refused=why)
    except (UnavailableError, RunnerError) as error:
        return Instructions(refused=f"{why}; nor does QEMU: {first_line(error)}")


def _under_qemu(request: Mapping[str, Any]) -> Instructions:
    with tempfile.TemporaryDirectory(prefix="onebit-count-") as folder:
        command = [sys.executable, str(write_runner(folder))]
        asked = json.dumps({**request, "marks": True}).encode()
        done = run_counted(command, asked, EMULATION_SECONDS)
    answer = runner_answer(Completed(done.code, done.output, done.errors))
    if answer["status"] != "ok":
        raise RunnerError(str(answer.get("reason") or "no reason given"))
    empty = answer["empty_runs"]
    counted = done.spent[empty:]
    if len(counted) != RUNS:
        raise RunnerError(f"{len(counted)} of {RUNS} inferences were counted")
    overhead = min(done.spent[:empty])
    return Instructions(tuple(spent - overhead for spent in counted), done.emulator)
