"""Kernels compile without a warning, everywhere, and touch no memory that is not theirs."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convert.targets.c.project import network_files
from convert.targets.reading import read_network
from edge.boards.catalogue import BOARDS
from tests.support.c_networks import STRICT, run
from tests.support.lce_random_graphs import draw

RUNTIME = Path(__file__).parents[3] / "convert/targets/c/runtime"
KERNELS = [path for path in sorted(RUNTIME.glob("*.c")) if "cmsis_nn" not in path.stem]
"""test_c_cmsis_nn.py compiles the other."""

NEWLIB = Path("/usr/lib/arm-none-eabi/include")
TARGETS = {
    "gcc": ("gcc",),
    "gcc -O3": ("gcc", "-O3"),
    "gcc -m32": ("gcc", "-m32"),
    "clang": ("clang",),
    "g++ reads the header": ("g++", "-std=c++11", "-fsyntax-only", "-x", "c++"),
    **{
        f"clang {core}": (
            "clang",
            "--target=arm-none-eabi",
            f"-mcpu=cortex-{core}",
            "-mthumb",
            "-isystem",
            str(NEWLIB),
        )
        for core in ("m0", "m7", "m55")
    },
    **{board.core: (f"{board.toolchain.prefix}gcc", *board.flags) for board in BOARDS.values()},
}


DEFAULT = ("gcc", "clang", "Cortex-M0", "Cortex-M7", "g++ reads the header")


@pytest.mark.parametrize(
    "target", [pytest.param(t, marks=[] if t in DEFAULT else pytest.mark.slow) for t in TARGETS]
)
def test_kernels_compile_without_a_warning(target, tmp_path):
    compiler, *options = TARGETS[target]
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    if str(NEWLIB) in options and not NEWLIB.is_dir():
        pytest.skip("libnewlib-arm-none-eabi is not installed")
    command = [compiler, *STRICT, "-Wconversion", "-Wno-sign-conversion", "-O2", *options]
    if "c++" in target or "g++" in target:
        command = [part for part in command if part != "-std=c99"]
        run([*command, str(RUNTIME / "onebit_kernels.h")])
        return
    if target == "gcc -m32":
        done = subprocess.run(
            ["gcc", "-m32", "-fsyntax-only", "-x", "c", "-"], check=False, text=True,
            input="#include <string.h>\n#include <math.h>\n", capture_output=True,
        )  # fmt: skip
        if done.returncode:
            pytest.skip("gcc has no 32-bit headers")
    for kernel in KERNELS:
        run([*command, "-c", str(kernel), "-o", str(tmp_path / "kernel.o")])


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.stem)
def test_analyzer_finds_nothing(kernel, tmp_path):
    command = ["gcc", *STRICT, "-O2", "-fanalyzer", "-c", str(kernel)]
    run([*command, "-o", str(tmp_path / "kernel.o")])


MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "net.h"
int main(void) {
  /* Exact blocks of the heap, so that a byte beyond any of them is seen. */
  net_input_t *input = malloc(sizeof *input);
  net_output_t *output = malloc(sizeof *output);
  void *arena = malloc(NET_ARENA_BYTES);
  if (!input || !output || !arena) return 1;
  while (fread(input, sizeof *input, 1, stdin) == 1) {
    if (net_invoke_in(arena, input, output) != 0) return 2;
  }
  free(input), free(output), free(arena);
  return 0;
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5000, 5060))
def test_any_input_stays_within_its_memory(seed, tmp_path):
    network = read_network(draw(seed).model)
    files = network_files(network, "net", "0" * 64)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "main.c").write_text(MAIN)
    sources = [str(tmp_path / name) for name in (*files, "main.c") if name.endswith(".c")]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    run(["gcc", "-std=c99", "-O1", "-g", *sanitizers, *sources, "-o", str(tmp_path / "main")])
    # Any bits: floats that are not finite among them.
    data = np.random.default_rng(seed).bytes(1 << 18)
    done = subprocess.run([str(tmp_path / "main")], input=data, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def test_kernels_call_nothing_but_memcpy_and_memset(tmp_path):
    if shutil.which("nm") is None or sys.platform != "linux":
        pytest.skip("needs nm")
    own, undefined = set(), set()
    for kernel in KERNELS:
        target = tmp_path / f"{kernel.stem}.o"
        run(["gcc", *STRICT, "-O2", "-c", str(kernel), "-o", str(target)])
        listed = subprocess.run(["nm", str(target)], check=True, capture_output=True, text=True)
        for line in listed.stdout.splitlines():
            *_, kind, name = line.split()
            (undefined if kind == "U" else own).add(name)
    assert undefined - own <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
