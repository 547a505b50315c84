"""Runs on an emulated ARM board: marks each inference for the plugin `count_instructions.c`.

    python count_guest.py RUNS MODEL

Prints the runtime and its version.
"""

import ctypes
import gc
import sys
from importlib import metadata

import numpy as np

import onebit_delegate

MARK = 0x4D41524B
BEGIN, END = 1, 2
WARM_UPS = 2


def mark(tag, first=0, last=0):
    """Has the plugin write its counts down, or count a range of addresses apart."""
    ctypes.CDLL(None).prctl(MARK, *map(ctypes.c_ulong, (tag, first, last, 0)))


def mark_library(path):
    """Counts the code of a library, which is loaded here, apart."""
    ctypes.CDLL(path)
    with open("/proc/self/maps") as maps:
        fields = [line.split() for line in maps if line.rstrip().endswith(path)]
    code = [line[0] for line in fields if "x" in line[1]]
    addresses = [int(end, 16) for pair in code for end in pair.split("-")]
    mark(0, min(addresses), max(addresses))


def main():
    """Runs the model some times, each between two marks."""
    runs, path = int(sys.argv[1]), sys.argv[2]
    mark_library(str(onebit_delegate.library_path()))
    runtime = onebit_delegate._runtime()
    interpreter = runtime.Interpreter(
        path, num_threads=1, experimental_delegates=[onebit_delegate.load(num_threads=1)]
    )
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    x = np.random.default_rng(0).uniform(-1, 1, detail["shape"]).astype(np.float32)
    interpreter.set_tensor(detail["index"], x)
    for _ in range(WARM_UPS):
        interpreter.invoke()
    gc.disable()
    for _ in range(runs):
        mark(BEGIN)
        interpreter.invoke()
        mark(END)
    package = runtime.__name__.split(".")[0].replace("_", "-")
    print(f"{package} {metadata.version(package)}")


if __name__ == "__main__":
    main()
