"""Instructions that inferences execute: a figure that other processes and clocks don't move.

The kernel counts them in user space (perf_event_open). Where it doesn't, the whole runner may run
under an emulator that counts (`edge/emulation/counting.py`): marks show it where inferences begin
and end, calls of prctl that mean nothing to Linux.
"""

import ctypes
import errno
import gc
import os
import platform
import struct

import numpy as np

from .cores import pin
from .errors import RequestError
from .files import read_number
from .inputs import random_inputs
from .runtimes import import_runtime

WARM_UPS = 3
EMPTY_RUNS = 5
"""How often nothing is counted, to know what counting itself takes: the least of these."""

# <linux/perf_event.h>
PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS = 0, 1
PERF_FORMAT_TIMES = 1 | 2  # total time enabled, total time running
INHERIT, EXCLUDE_KERNEL, EXCLUDE_HV = 1 << 1, 1 << 5, 1 << 6
ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")  # the 64 bytes of its first version
CALLS = {"x86_64": 298, "aarch64": 241, "arm": 364}
"""The number of perf_event_open."""

LEAST_PARANOID = 2
"""The highest perf_event_paranoid at which users may count in user space."""

MARK = 0x4D41524B
BEGIN, END = 1, 2


class KernelCounter:
    """Counts of the kernel for this process, with all threads that start from now on."""

    name = "perf_event"

    def __init__(self):
        """Starts counting.

        Raises:
            RequestError: The kernel refuses; the message says what would help.
        """
        architecture = platform.machine()
        if struct.calcsize("P") == 4 and architecture.startswith(("arm", "aarch64")):
            architecture = "arm"
        if architecture not in CALLS:
            raise RequestError("instructions are not counted on " + architecture)
        attributes = ATTRIBUTES.pack(
            PERF_TYPE_HARDWARE,
            ATTRIBUTES.size,
            PERF_COUNT_HW_INSTRUCTIONS,
            0,
            0,
            PERF_FORMAT_TIMES,
            INHERIT | EXCLUDE_KERNEL | EXCLUDE_HV,
            0,
            0,
            0,
        )
        libc = ctypes.CDLL(None, use_errno=True)
        # This process on any core, in no group, without flags.
        self._file = libc.syscall(CALLS[architecture], attributes, 0, -1, -1, 0)
        if self._file < 0:
            raise RequestError(why_refused(ctypes.get_errno()))

    def read(self):
        """The instructions until now.

        Raises:
            RequestError: Others used the processor's counters at times.
        """
        count, enabled, running = struct.unpack("=QQQ", os.read(self._file, 24))
        if enabled != running:
            raise RequestError("another program uses the processor's counters: stop it")
        return count

    def around(self, run):
        """The instructions that `run()` takes, with those of the reading."""
        before = self.read()
        run()
        return self.read() - before


class Marks:
    """Marks for an emulator that counts; the counts are its own."""

    name = "marks"

    def around(self, run):
        """Marks the begin and the end of `run()`; returns 0."""
        libc = ctypes.CDLL(None)
        libc.prctl(MARK, ctypes.c_ulong(BEGIN), *[ctypes.c_ulong(0)] * 3)
        run()
        libc.prctl(MARK, ctypes.c_ulong(END), *[ctypes.c_ulong(0)] * 3)
        return 0


def why_refused(number):
    """Why perf_event_open failed, and what would help."""
    if number in (errno.EACCES, errno.EPERM):
        level = read_number("/proc/sys/kernel/perf_event_paranoid")
        if level is not None and level <= LEAST_PARANOID:
            return "a container forbids it: allow perf_event_open there (--cap-add PERFMON)"
        return (
            "the kernel lets users count no instructions: "
            f"sudo sysctl kernel.perf_event_paranoid={LEAST_PARANOID}"
        )
    if number in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
        return "the processor's counters are out of reach, as in most virtual machines"
    return "the kernel counts no instructions: " + os.strerror(number)


def count(request):
    """Runs the model `runs` times and counts each; returns the answer's fields.

    The counts are those of the kernel, or with `"marks": true` all 0.
    """
    # Before the runtime, whose threads are to be counted.
    counter = Marks() if request.get("marks") else KernelCounter()
    pin(request.get("affinity"))
    interpreter = import_runtime(request["runtime"])
    from .bench import load

    load(interpreter, request)
    inputs = random_inputs(np.random.default_rng(request["seed"]), interpreter.inputs)
    for _ in range(WARM_UPS):
        interpreter.run(inputs)
    gc.disable()
    empty = min(counter.around(lambda: None) for _ in range(EMPTY_RUNS))
    counts = [counter.around(lambda: interpreter.run(inputs)) for _ in range(request["runs"])]
    return {
        "runtime_version": interpreter.version,
        "counter": counter.name,
        "empty_runs": EMPTY_RUNS,
        "counts": [max(0, each - empty) for each in counts],
    }
