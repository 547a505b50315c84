"""Fuzzes the delegate: `cd tests/edge && python -m native.fuzz --minutes 20 --library FILE`.

Every input is made from a number. Models of LCE's operators are mutated in three ways: the bytes
of their options, their fields (shapes, types, constants, operands), and the bytes of the whole
file. Children run a few hundred each under AddressSanitizer and UBSan; a crash is kept in `corpus/`
if the library is in its stack, and so is what never ends. `test_library.py` replays them.
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
PER_CHILD, CHILD_SECONDS = 300, 600


def convolution(rng, g, value, outputs):
    """The binary convolution 3x3 of a float image, with floats of its size."""
    from onebit.bits import pack

    from .graphs import ABSENT, bconv_options

    *shape, channels = g.graph.tensors[value].shape
    case = {"channels_in": channels, "dilation": (1, 1), "activation": 0, "pad_values": 1}
    case |= {"same": True, "stride": (1, 1)}
    out = g.tensor([*shape, outputs])
    scale = g.constant(rng.standard_normal(outputs).astype(np.float32))
    filters = g.constant(pack(rng.choice([-1, 1], (outputs, 3, 3, channels))))
    inputs = [g.quantize(value), filters, scale, scale, ABSENT]
    g.operator("LceBconv2d", inputs, [out], bconv_options(case))
    return out


def base_model(rng):
    """A chain of the four operators, perhaps with residuals, poolings or a dense block; or layers
    with binary weights only."""
    from onebit.bits import pack

    from .graphs import ABSENT, Graph, bconv_options, options, schema
    from .test_weight_only import conv_options, dense_options, elementwise

    g = Graph()
    c, o = int(rng.choice([32, 33, 64, 96])), int(rng.choice([8, 32, 40, 64]))
    x = g.tensor([1, 4, 5, c])
    value = x
    kind = rng.integers(0, 6)
    if kind == 3:
        weights = g.dequantize(g.constant(pack(rng.choice([-1, 1], (o, c)))), c)
        flat = g.tensor([20, o])
        g.operator(
            schema.BuiltinOperator.FULLY_CONNECTED,
            [x, weights, ABSENT],
            [flat],
            builtin=dense_options(),
        )
        out = elementwise(g, "MUL", flat, rng.standard_normal(o).astype(np.float32))
        out = elementwise(g, "ADD", out, rng.standard_normal(o).astype(np.float32), 1)
        filters = rng.choice([-1, 1], (o, 2, 2, c))
        second = g.tensor([1, 4, 5, o])
        if rng.integers(0, 2):  # packed flat, as the converter packs few channels
            signs = g.dequantize(g.constant(pack(filters.reshape(o, -1))), 4 * c)
            unpacked = g.tensor([o, 2, 2, c])
            shape = g.constant(np.array([o, 2, 2, c], np.int32))
            g.operator(schema.BuiltinOperator.RESHAPE, [signs, shape], [unpacked])
        else:
            unpacked = g.dequantize(g.constant(pack(filters)), c)
        zero = g.constant(np.zeros(o, np.float32))
        g.operator(
            schema.BuiltinOperator.CONV_2D,
            [x, unpacked, zero],
            [second],
            builtin=conv_options((1, 1), (1, 1), True),
        )
        return g, [x], [out, second]
    width = c
    if kind == 4:
        new = convolution(rng, g, x, o)
        features = g.concatenate([x, new])
        normal = elementwise(g, "MUL", features, rng.standard_normal(c + o).astype(np.float32))
        return g, [x], [g.concatenate([features, new]), g.dequantize(g.quantize(normal), c + o)]
    if kind == 5:
        value = g.max_pool(x, (3, 2), (1, 1))
        value = g.add(convolution(rng, g, value, c), value)
        for name in ("MUL", "ADD"):
            value = elementwise(g, name, value, rng.standard_normal(c).astype(np.float32))
        return g, [x], [g.max_pool(value, (2, 2), (2, 2), same=bool(rng.integers(0, 2)))]
    for step in range(int(rng.integers(1, 4))):
        bits = g.quantize(value)
        same = bool(rng.integers(0, 2)) or kind == 1
        shape = [1, 4, 5] if same else [1, 2, 3]
        final = step == 2
        outputs = width if kind == 1 else o
        dtype = rng.choice([np.float32, np.int8, np.int32]) if final else np.float32
        case = {
            "channels_in": width,
            "dilation": (1, 1),
            "activation": int(rng.integers(0, 4)),
            "pad_values": int(rng.integers(0, 2)),
            "same": same,
            "stride": (1, 1),
        }
        filters = g.constant(pack(rng.choice([-1, 1], (outputs, 3, 3, width))))
        floats = [g.constant(rng.standard_normal(outputs).astype(np.float32)) for _ in range(2)]
        thresholds = g.constant(rng.integers(0, 200, outputs).astype(np.int32))
        last = -(-outputs // 32) if dtype == np.int32 else outputs
        out = g.tensor([*shape, last], dtype, **({"scale": 0.5} if dtype == np.int8 else {}))
        g.operator("LceBconv2d", [bits, filters, *floats, thresholds], [out], bconv_options(case))
        if dtype != np.float32 or not same:
            value = out
            break
        value = g.add(out, value) if kind == 1 else out
        width = outputs
    if kind == 2:
        words = -(-c // 32)
        pooled = g.tensor([1, 2, 2, words], np.int32)
        pool = options(filter_height=2, filter_width=2, stride_height=2, stride_width=2, padding=1)
        g.operator("LceBMaxPool2d", [g.quantize(x)], [pooled], pool)
        return g, [x], [value, g.dequantize(pooled, c)]
    return g, [x], [value]


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


def mutate_fields(rng, g):
    """Changes shapes, types, constants or operands of a graph in place."""
    tensors, operators = g.graph.tensors, g.graph.operators
    for _ in range(int(rng.integers(1, 4))):
        t = tensors[int(rng.integers(0, len(tensors)))]
        how = rng.integers(0, 7)
        if how == 0 and len(t.shape):
            i = int(rng.integers(0, len(t.shape)))
            t.shape[i] = int(rng.choice([0, 1, 2, 3, 7, 33, 64, 65, 1000, 1 << 20, 1 << 30, -1]))
        elif how == 1:
            t.type = int(rng.choice([0, 2, 3, 6, 9]))
        elif how == 2:
            t.shape = list(t.shape)[:-1] if rng.integers(0, 2) else [*t.shape, 2]
        elif how == 3 and t.buffer:
            buffer = g.model.buffers[t.buffer]
            buffer.data = np.frombuffer(mutate_bytes(rng, bytes(buffer.data)), np.uint8)
        elif how == 4:
            op = operators[int(rng.integers(0, len(operators)))]
            if len(op.inputs):
                at = int(rng.integers(0, len(op.inputs)))
                op.inputs[at] = int(rng.integers(-1, len(tensors)))
        elif how == 5:
            op = operators[int(rng.integers(0, len(operators)))]
            op.inputs = list(op.inputs)[:-1]
        elif t.quantization is not None:
            t.quantization.scale = [float(rng.choice([0, 1e-38, 1e38, np.nan, -1]))]
            t.quantization.zeroPoint = [int(rng.choice([-(2**31), 2**31 - 1, 128]))]


def make_input(seed):
    """The file of a number."""
    rng = np.random.default_rng(seed)
    g, inputs, outputs = base_model(rng)
    way = rng.integers(0, 3)
    if way == 0:
        custom = [op for op in g.graph.operators if op.customOptions is not None]
        op = custom[int(rng.integers(0, len(custom)))]
        data = mutate_bytes(rng, bytes(op.customOptions) or b"\x00")
        op.customOptions = np.frombuffer(data, np.uint8)
    elif way == 1:
        mutate_fields(rng, g)
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
        accepted += try_model(make_input(seed), {"isa": isas[seed % len(isas)], "num_threads": 1})
    print(f"{count} inputs, {accepted} accepted", flush=True)


def sanitizer_environment(library):
    """The environment in which a Python process can load the sanitized library."""
    names = ("libasan.so", "libubsan.so", "libstdc++.so")
    preload = [
        subprocess.run(
            ["gcc", f"-print-file-name={n}"], capture_output=True, text=True
        ).stdout.strip()
        for n in names
    ]
    package = Path(__file__).resolve().parents[3] / "edge" / "native" / "python"
    return os.environ | {
        "LD_PRELOAD": " ".join(preload),
        "ASAN_OPTIONS": "detect_leaks=0:handle_abort=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
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
        command = [sys.executable, "-m", "native.fuzz", "--child"]
        try:
            done = subprocess.run(
                [*command, str(seed), str(PER_CHILD), str(log)],
                env=environment,
                cwd=Path(__file__).parents[1],
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
