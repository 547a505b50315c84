"""Counting in the runner: the kernel's counter, its refusals, marks for an emulator."""

import errno
import itertools
import json
import os
import struct
import subprocess
import sys
import threading
import time
import types

import pytest

from edge.devices.runner_archive import write_runner
from edge.runner import files, instructions
from edge.runner.errors import RequestError


class Kernel:
    """Stands for libc and the file of a counter, which grows by 100 a reading and by `step`."""

    def __init__(self, running=1.0, error=0):
        self.running, self.error, self.calls = running, error, []
        self.count = itertools.count(0, 100)
        self.extra = 0

    def syscall(self, number, attributes, *arguments):
        self.calls.append((number, struct.unpack("=IIQQQQQIIQ", attributes), arguments))
        return -1 if self.error else 77

    def read(self, file, size):
        assert (file, size) == (77, 24)
        return struct.pack("=QQQ", next(self.count) + self.extra, 1000, int(1000 * self.running))


@pytest.fixture
def kernel(monkeypatch):
    def make(**options):
        made = Kernel(**options)
        monkeypatch.setattr(instructions.ctypes, "CDLL", lambda *_, **__: made)
        monkeypatch.setattr(instructions.ctypes, "get_errno", lambda: made.error)
        monkeypatch.setattr(
            instructions, "os", types.SimpleNamespace(read=made.read, strerror=os.strerror)
        )
        monkeypatch.setattr(instructions.platform, "machine", lambda: "x86_64")
        return made

    return make


def test_counter_asks_for_user_space_of_this_process_and_its_threads(kernel):
    made = kernel()
    counter = instructions.KernelCounter()
    ((number, attributes, arguments),) = made.calls
    assert number == 298
    assert attributes[:3] == (0, 64, 1)  # hardware, the size, instructions
    assert attributes[6] == 0b1100010  # inherited; neither kernel nor hypervisor
    assert arguments == (0, -1, -1, 0)

    def run():
        made.extra += 5000

    assert counter.around(run) == 5100


def use_processor():
    start = time.process_time()
    while time.process_time() - start < 0.02:
        pass


def in_a_thread():
    thread = threading.Thread(target=use_processor)
    thread.start()
    thread.join()


@pytest.mark.parametrize("run", [use_processor, in_a_thread])
def test_kernel_counts_what_this_process_and_new_threads_do(monkeypatch, run):
    """With another event, the time on a processor in ns: virtual machines have that one too."""
    monkeypatch.setattr(instructions, "PERF_TYPE_HARDWARE", 1)
    monkeypatch.setattr(instructions, "PERF_COUNT_HW_INSTRUCTIONS", 1)
    try:
        counter = instructions.KernelCounter()
    except RequestError as error:
        pytest.skip(str(error))
    # Time in the kernel is not counted, nor is that of other threads that run meanwhile.
    assert counter.around(lambda: time.sleep(0.02)) < 0.01e9 < counter.around(run)


def test_counter_that_others_share_is_refused(kernel):
    kernel(running=0.5)
    with pytest.raises(RequestError, match="another program uses the processor's counters"):
        instructions.KernelCounter().read()


@pytest.mark.parametrize(
    ("number", "level", "words"),
    [
        (errno.EACCES, 4, "users count no instructions: sudo sysctl kernel.perf_event_paranoid=2"),
        (
            errno.EPERM,
            2,
            r"a container forbids it: allow perf_event_open there \(--cap-add PERFMON",
        ),
        (errno.ENOENT, 2, "out of reach, as in most virtual machines"),
        (errno.ENOSYS, 2, "counts no instructions: Function not implemented"),
    ],
)
def test_refusal_says_what_would_help(kernel, monkeypatch, tmp_path, number, level, words):
    monkeypatch.setattr(files, "ROOT", str(tmp_path))
    path = tmp_path / "proc/sys/kernel/perf_event_paranoid"
    path.parent.mkdir(parents=True)
    path.write_text(f"{level}\n")
    kernel(error=number)
    with pytest.raises(RequestError, match=words):
        instructions.KernelCounter()


def test_other_processors_are_refused(monkeypatch):
    monkeypatch.setattr(instructions.platform, "machine", lambda: "riscv64")
    with pytest.raises(RequestError, match="not counted on riscv64"):
        instructions.KernelCounter()


def test_marks_leave_the_run_as_it_is(binary_file, tmp_path):
    """Linux refuses the marks' call, and the runner goes on."""
    request = {
        "action": "count", "model_path": str(binary_file.path), "runtime": "lce", "options": {},
        "threads": 1, "seed": 7, "runs": 3, "marks": True,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(write_runner(tmp_path))],
        input=json.dumps(request),
        capture_output=True,
        text=True,
    )
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["counter"]) == ("ok", "marks")
    assert answer["counts"] == [0, 0, 0]
