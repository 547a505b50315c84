"""Times a file on stock LiteRT in a process that may not use AMX.

Linux gives a process AMX's tile registers when it asks for them (arch_prctl, ARCH_REQ_XCOMP_PERM).
XNNPACK asks, and takes AVX-512 VNNI kernels when it is refused. `Worker` starts a process whose
seccomp filter refuses, and has it time calls.
"""

import argparse
import ctypes
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ARCH_PRCTL, REQUEST_PERMISSION, GET_PERMISSION = 158, 0x1023, 0x1022
TILE_DATA = 18


def refuse_amx() -> None:
    """Makes every later request of this process for tile registers fail with EPERM.

    Raises:
        OSError: The kernel refuses the filter.
    """
    equal, load, answer = 0x15, 0x20, 0x06
    allow, refuse = 0x7FFF0000, 0x00050001
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (load, 0, 0, 0),  # the number of the system call
            (equal, 0, 3, ARCH_PRCTL),
            (load, 0, 0, 16),  # its first argument
            (equal, 0, 1, REQUEST_PERMISSION),
            (answer, 0, 0, refuse),
            (answer, 0, 0, allow),
        )
    )

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_char_p))

    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, seccomp, filter_mode = 38, 22, 2
    rule = Filter(len(program) // 8, program)
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(
        seccomp, filter_mode, ctypes.byref(rule), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "cannot install a seccomp filter")


def may_use_amx() -> bool:
    """Whether this process asked for tile registers and got them."""
    permitted = ctypes.c_uint64()
    ctypes.CDLL(None).syscall(ARCH_PRCTL, GET_PERMISSION, ctypes.byref(permitted))
    return bool(permitted.value >> TILE_DATA & 1)


class Worker:
    """A process without AMX that holds an interpreter of `file`."""

    def __init__(self, file: bytes, threads: int):
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name, "model.tflite")
        path.write_bytes(file)
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(path), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def time_call(self) -> int:
        """Invokes once and returns the nanoseconds."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process without AMX was closed")
        print("call", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process without AMX ended with {self.process.wait()}")
        return int(answer)

    def close(self) -> None:
        """Ends the process."""
        self.process.communicate()
        self.folder.cleanup()


def main() -> None:
    """Answers each line of stdin with the nanoseconds of a call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("threads", type=int)
    arguments = parser.parse_args()
    refuse_amx()
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(arguments.model), num_threads=arguments.threads)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    x = np.random.default_rng(0).standard_normal(detail["shape"]).astype(detail["dtype"])
    interpreter.set_tensor(detail["index"], x)
    for _ in sys.stdin:
        start = time.perf_counter_ns()
        interpreter.invoke()
        print(time.perf_counter_ns() - start, flush=True)
        if may_use_amx():
            sys.exit("error: AMX was granted in spite of the filter")


if __name__ == "__main__":
    main()
