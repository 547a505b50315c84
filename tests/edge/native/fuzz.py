"""Fuzzes the delegate: `python -m tests.edge.native.fuzz --minutes 20 --library FILE`.

Every input is made from a number. Random graphs are mutated in three ways: the bytes of their
options, their fields (shapes, types, constants, what operators read and write, the graph's inputs
and outputs), and the bytes of the whole file. Accepted files are resized and run again. Children
run a few hundred each under the sanitizers; a crash is kept in `corpus/` if the library is in its
stack, and so is what never ends. `test_library.py` replays them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CORPUS = Path(__file__).with_name("corpus")
ROOT = Path(__file__).resolve().parents[3]
PER_CHILD, CHILD_SECONDS = 300, 600


def base_model(rng):
    """A graph, its inputs and its outputs."""
    from tests.support.lce_interpreter import UnfitError
    from tests.support.lce_random_graphs import Drawing

    while True:
        drawing = Drawing(rng, neighbours=True)
        try:
            drawing.image()
            for _ in range(int(rng.integers(1, 5))):
                drawing.step()
            return drawing.g, drawing.inputs, drawing.choose_outputs()
        except UnfitError:  # too large, or without operators
            continue


def mutate_bytes(rng, data):
    """Flips, overwrites, truncates or repeats a few bytes."""
    data = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            break
        at = int(rng.integers(0, len(data)))
        how = rng.integers(0, 4)
        if how == 0:
            data[at] ^= 1 << int(rng.integers(0, 8))
        elif how == 1:
            data[at] = int(rng.choice([0, 1, 127, 128, 255]))
        elif how == 2 and len(data) > 4:
            del data[at:]
        else:
            data[at:at] = data[at : at + int(rng.integers(1, 9))]
    return bytes(data)


SIZES = [0, 1, 2, 3, 7, 33, 64, 65, 1000, 1 << 20, 1 << 30, -1]


def mutate_tensor(rng, g):
    """Changes the shape, type, data or quantization of a tensor."""
    tensors = g.graph.tensors
    t = tensors[int(rng.integers(0, len(tensors)))]
    how = rng.integers(0, 7)
    if how == 0 and len(t.shape):
        shape = list(t.shape)
        shape[int(rng.integers(0, len(shape)))] = int(rng.choice(SIZES))
        t.shape = shape
    elif how == 1:
        t.type = int(rng.choice([0, 2, 3, 6, 9]))
    elif how == 2:
        t.shape = list(t.shape)[:-1] if rng.integers(0, 2) else [*t.shape, 2]
    elif how == 3 and t.buffer:
        buffer = g.model.buffers[t.buffer]
        data = bytes(bytearray(buffer.data)) if buffer.data is not None else b""
        buffer.data = np.frombuffer(mutate_bytes(rng, data), np.uint8)
    elif how == 4:  # another tensor's data, or none
        t.buffer = int(rng.integers(0, len(g.model.buffers)))
    elif how == 5:
        t.isVariable = True
    elif t.quantization is not None:
        t.quantization.scale = [float(rng.choice([0, 1e-38, 1e38, np.nan, -1]))]
        t.quantization.zeroPoint = [int(rng.choice([-(2**31), 2**31 - 1, 128]))]


def mutate_operator(rng, g):
    """Changes what an operator reads or writes, or its place."""
    tensors, operators = g.graph.tensors, g.graph.operators
    op = operators[int(rng.integers(0, len(operators)))]
    how = rng.integers(0, 6)
    if how == 0 and len(op.inputs):
        inputs = list(op.inputs)
        inputs[int(rng.integers(0, len(inputs)))] = int(rng.integers(-1, len(tensors)))
        op.inputs = inputs
    elif how == 1:
        op.inputs = list(op.inputs)[:-1]
    elif how == 2:
        op.outputs = [int(rng.integers(0, len(tensors)))]
    elif how == 3:
        op.outputs = [*op.outputs, int(rng.integers(0, len(tensors)))]
    elif how == 4:
        operators.append(operators.pop(int(rng.integers(0, len(operators)))))
    else:  # an operator twice
        operators.insert(int(rng.integers(0, len(operators))), op)


def mutate_fields(rng, g, inputs, outputs):
    """Changes tensors, operators, or the graph's inputs and outputs, in place."""
    for _ in range(int(rng.integers(1, 4))):
        how = rng.integers(0, 8)
        if how < 4:
            mutate_tensor(rng, g)
        elif how < 7:
            mutate_operator(rng, g)
        else:
            (inputs if rng.integers(0, 2) else outputs).append(
                int(rng.integers(0, len(g.graph.tensors)))
            )


def make_input(seed):
    """The file of a number."""
    rng = np.random.default_rng(seed)
    g, inputs, outputs = base_model(rng)
    way = rng.integers(0, 3)
    if way == 0:
        custom = [op for op in g.graph.operators if op.customOptions is not None]
        for op in custom[: int(rng.integers(0, len(custom) + 1))]:
            data = mutate_bytes(rng, bytes(bytearray(op.customOptions)) or b"\x00")
            op.customOptions = np.frombuffer(data, np.uint8)
    elif way == 1:
        mutate_fields(rng, g, inputs, outputs)
    model = g.build(inputs, outputs)
    return mutate_bytes(rng, model) if way == 2 else model


def try_model(model, options):
    """Runs a file on the stock interpreter; whether it was accepted."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    import onebit_delegate

    try:
        interpreter = Interpreter(
            model_content=model,
            experimental_delegates=[onebit_delegate.load(**options)],
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        interpreter.invoke()
        for detail in interpreter.get_input_details():
            if len(detail["shape"]) == 4:
                interpreter.resize_tensor_input(detail["index"], [2, *detail["shape"][1:]])
        interpreter.allocate_tensors()
        interpreter.invoke()
    except (RuntimeError, ValueError, MemoryError):
        return False
    return True


def child(first, count, log):
    """Runs inputs `first`..., writing each number before it runs."""
    import onebit_delegate

    isas = onebit_delegate.features()["isas"]
    accepted = 0
    for seed in range(first, first + count):
        with open(log, "w") as file:
            file.write(str(seed))
        options = {"isa": isas[seed % len(isas)], "num_threads": 1 + seed % 3}
        accepted += try_model(make_input(seed), options)
    print(f"{count} inputs, {accepted} accepted", flush=True)


def sanitizer_environment(library):
    """The environment in which a Python process can load the sanitized library."""
    thread = b"__tsan_init" in Path(library).read_bytes()
    names = ("libtsan.so",) if thread else ("libasan.so", "libubsan.so", "libstdc++.so")
    preload = [
        subprocess.run(
            ["gcc", f"-print-file-name={n}"], capture_output=True, text=True
        ).stdout.strip()
        for n in names
    ]
    package = ROOT / "edge" / "native" / "python"
    return os.environ | {
        "LD_PRELOAD": " ".join(preload),
        "ASAN_OPTIONS": "detect_leaks=0:handle_abort=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1",
        "ONEBIT_DELEGATE_LIBRARY": str(library),
        "PYTHONPATH": str(package),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def main():
    """Fuzzes for some minutes and reports what crashed where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--library", help="the library built with --sanitize")
    parser.add_argument("--child", nargs=3)
    arguments = parser.parse_args()
    if arguments.child:
        first, count, log = arguments.child
        child(int(first), int(count), log)
        return
    environment = sanitizer_environment(arguments.library)
    end, seed, ours, theirs = time.monotonic() + 60 * arguments.minutes, arguments.first, 0, 0
    log = Path(tempfile.mkdtemp()) / "number"
    while time.monotonic() < end:
        command = [sys.executable, "-m", "tests.edge.native.fuzz", "--child"]
        try:
            done = subprocess.run(
                [*command, str(seed), str(PER_CHILD), str(log)],
                env=environment,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=CHILD_SECONDS,
            )
            code, stderr = done.returncode, done.stderr
        except subprocess.TimeoutExpired:
            code, stderr = -1, f"onebit:: still running after {CHILD_SECONDS} seconds"
        if code == 0:
            seed += PER_CHILD
            print(seed, done.stdout.strip().splitlines()[-1], flush=True)
            continue
        crashed = int(log.read_text())
        mine = "onebit::" in stderr or "b1::" in stderr
        ours, theirs = ours + mine, theirs + (not mine)
        print(f"crash at {crashed}: {'the delegate' if mine else 'the interpreter'}", flush=True)
        if mine:
            CORPUS.mkdir(exist_ok=True)
            (CORPUS / f"{crashed}.tflite").write_bytes(make_input(crashed))
            (CORPUS / f"{crashed}.log").write_text(stderr[-6000:])
        seed = crashed + 1
    log.unlink(missing_ok=True)
    print(f"{seed - arguments.first} inputs; crashes: {ours} here, {theirs} in the interpreter")


if __name__ == "__main__":
    main()
