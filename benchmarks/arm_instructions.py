"""Counts the instructions of the delegate on aarch64 and writes rows: `make arm-instructions`.

There is no clock here, but an emulator that counts: the numbers are the same on every machine and
in every run, so that a change in them is a change in the code. They are not times: how many cycles
an instruction takes depends on the processor, and llvm-mca's estimate of the innermost loop assumes
that all data lies in the first cache.
"""

import argparse
import functools
import gc
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import RESULTS, ROOT
from onebit import files

OUTPUT = RESULTS / "arm_instructions.jsonl"
CHANNELS, SIZE, KERNEL = 256, 14, 3
CONVOLUTION = f"convolution {KERNEL}×{KERNEL}, {CHANNELS} channels, {SIZE}×{SIZE}"
MODELS = ("larq_zoo:QuickNetSmall", "zoo:binary_net_mlp", "zoo:binary_connect_mlp")
# Bits that one NEON register holds.
REGISTER_BITS = 128


def chain(layers: int) -> bytes:
    """A file of equal binary convolutions, each of which gives the next one its bits."""
    from onebit.bits import pack
    from tests.support.lce_graphs import ABSENT, Graph, bconv_options

    graph, rng = Graph(), np.random.default_rng(0)
    x = graph.tensor((1, SIZE, SIZE, CHANNELS))
    bits = graph.quantize(x)
    case = {
        "channels_in": CHANNELS, "dilation": (1, 1), "activation": 0, "pad_values": 1,
        "same": True, "stride": (1, 1),
    }  # fmt: skip
    for _ in range(layers):
        filters = graph.constant(pack(rng.choice([-1, 1], (CHANNELS, KERNEL, KERNEL, CHANNELS))))
        middle = KERNEL * KERNEL * CHANNELS // 2
        limits = graph.constant(np.full(CHANNELS, middle, np.int32))
        out = graph.tensor((1, SIZE, SIZE, CHANNELS // 32), np.int32)
        inputs = [bits, filters, ABSENT, ABSENT, limits]
        graph.operator("LceBconv2d", inputs, [out], bconv_options(case))
        bits = out
    return graph.build([x], [bits])


def file_of(name: str) -> bytes:
    """The file of an architecture with random weights, as `python -m convert model` makes it."""
    from benchmarks.conversions import build, calibrate
    from convert.conversion import convert_model

    model = build(name)
    calibrate(model)
    return convert_model(model).tflite


def model_record(name: str, file: bytes, binary_macs: int) -> dict[str, Any]:
    """The `model` part of a row."""
    return {
        "name": name.partition(":")[2] or name,
        "sha256": hashlib.sha256(file).hexdigest(),
        "size_bytes": len(file),
        "binary_macs": binary_macs,
    }


def rows() -> list[dict[str, Any]]:
    """Counts everything.

    Raises:
        UnavailableError: This machine has no emulated boards.
    """
    import onebit.keras  # noqa: F401  (before LCE, which imports TensorFlow)
    from edge.emulation import board_counting, recipes, userland

    root, qemu = userland.build(recipes.AARCH64), userland.build(recipes.QEMU)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        count = functools.partial(board_counting.count, root, qemu, wheel)
        one, three = count(chain(1)), count(chain(3))
        macs = (SIZE * SIZE * CHANNELS) * (KERNEL * KERNEL * CHANNELS)
        spent = (three.delegate - one.delegate) / 2
        context = {
            "schema_version": 1,
            "benchmark": "arm-instructions",
            "status": "emulated",
            "run": provenance_record(),
            "setup": {
                "target": "aarch64",
                "threads": 1,
                "runtime": one.runtime,
                "compiler": compiler(),
                "emulator": one.emulator,
            },
        }
        found.append({
            **context,
            "model": model_record(CONVOLUTION, chain(3), macs),
            "method": "a chain of three, less a chain of one, halved",
            "instructions": {
                "inference": None,
                "delegate": spent,
                "per_128_macs": round(spent / (macs / REGISTER_BITS), 3),
            },
            "loop": {
                "instructions": len(one.hottest),
                "assembly": list(one.hottest),
                "llvm_mca": board_counting.estimate_cycles(one.hottest),
            },
        })  # fmt: skip
        for name in MODELS:
            file = file_of(name)
            counts = count(file)
            macs = binary_macs(file, Path(folder))
            found.append({
                **context,
                "model": model_record(name, file, macs),
                "method": "one inference after two",
                "instructions": {
                    "inference": counts.inference,
                    "delegate": counts.delegate,
                    "per_128_macs": None,  # the delegate does more than convolve
                },
                "loop": None,
            })  # fmt: skip
    return found


def binary_macs(file: bytes, folder: Path) -> int:
    """Binary multiply-adds of one inference, as the delegate's profile counts them."""
    from ai_edge_litert.interpreter import Interpreter

    import onebit_delegate

    path = folder / "profile.json"
    delegate = onebit_delegate.load(num_threads=1, profile=path)
    interpreter = Interpreter(model_content=file, experimental_delegates=[delegate])
    interpreter.allocate_tensors()
    interpreter.invoke()
    del interpreter, delegate
    gc.collect()  # the profile is written when the delegate is freed
    return sum(node["macs"] for node in json.loads(path.read_text())["delegated"])


def build_wheel(folder: Path) -> Path:
    """The delegate's aarch64 wheel, as `make wheels` builds it."""
    command = [sys.executable, "edge/native/wheels.py", "-o", str(folder), "aarch64"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("error: the aarch64 wheel cannot be built")
    return Path(done.stdout.splitlines()[-1])


def compiler() -> str:
    """The compiler of the wheel."""
    sys.path.insert(0, str(ROOT / "edge/native"))
    import build_library

    command = [*build_library.find_zig(), "version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return f"zig c++ {version} -target {build_library.TARGETS['aarch64'][0]} -O3"


def provenance_record() -> dict[str, str | None]:
    """When, with which command and at which commit the rows are made."""
    from onebit import provenance

    return {
        "time": provenance.utc_now(),
        "command": "make arm-instructions",
        "commit": provenance.commit(),
    }


def table(found: list[dict[str, Any]]) -> str:
    """The rows as Markdown, and what there is to say of the innermost loop."""
    lines = [
        "| model | binary MACs | instructions of an inference | of these the delegate's | "
        "per 128 binary MACs |",
        "| --- " * 5 + "|",
    ]
    said = "The innermost loop was not looked at"
    for row in found:
        counts = row["instructions"]
        whole = f"{counts['inference']:,}" if counts["inference"] else "–"
        lines.append(
            f"| {row['model']['name']} | {row['model']['binary_macs']:,} | {whole} "
            f"| {counts['delegate']:,.0f} | {counts['per_128_macs'] or '–'} |"
        )
        if row["loop"] is not None:
            loop, estimate = row["loop"], row["loop"]["llvm_mca"]
            products = sum(line.startswith("cnt ") for line in loop["assembly"])
            said = f"The convolution's innermost loop has {loop['instructions']} instructions for "
            said += f"{products} products of {REGISTER_BITS} bits"
            if estimate is not None:
                said += f"; llvm-mca (LLVM {estimate['llvm_version']}) estimates "
                said += f"{estimate['cycles_per_iteration']:.1f} cycles on a {estimate['cpu']}"
    lines += ["", f"{said}."]
    return "\n".join(lines)


def main() -> None:
    """Parses the command line, counts, writes the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, help="JSON Lines file")
    parser.add_argument("--table", type=Path, help="print the rows of a file instead")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(files.read_json_lines(arguments.table)))
        return
    from edge.emulation.userland import UnavailableError

    try:
        found = rows()
    except UnavailableError as error:
        sys.exit(f"error: no emulated board: {error}")
    files.write_text(arguments.output, "".join(json.dumps(row) + "\n" for row in found))
    print(table(found))


if __name__ == "__main__":
    main()
