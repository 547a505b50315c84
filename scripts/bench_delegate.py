"""Measures the delegate beside LCE and LiteRT and appends rows: `make bench`.

All contenders of a model run in one process and take turns, so that a slow phase of a shared
machine hits each of them. Weights are random: speed does not depend on them. "f32" and "int8" are
the same network without quantizers, as floats and after post-training quantisation.
"""

import argparse
import datetime
import hashlib
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "edge/native/python"), str(ROOT / "tests/edge")]
import onebit.keras  # noqa: E402, F401  (before LCE, which imports TensorFlow)

WARM_UP, ROUNDS, CALLS = 3, 12, 4
STACKS = {"stack64": (64, 56), "stack128": (128, 28), "stack256": (256, 14), "stack512": (512, 7)}
ZOO = ("QuickNetSmall", "QuickNet", "QuickNetLarge", "BiRealNet", "BinaryDenseNet28")
MODELS = (*ZOO, *STACKS, "mlp3x1024")


def keras_model(name: str) -> Any:
    """A larq-zoo model, or eight 3×3 convolutions with batch normalisation, with random weights."""
    import larq_zoo

    from onebit.keras import keras, lq

    keras.utils.set_random_seed(1)
    if name in ZOO:
        family = larq_zoo.sota if name.startswith("QuickNet") else larq_zoo.literature
        return getattr(family, name)(weights=None)
    channels, size = STACKS[name]
    x = inputs = keras.Input((size, size, channels))
    for _ in range(8):
        x = lq.layers.QuantConv2D(
            channels, 3, padding="same", pad_values=1, use_bias=False,
            input_quantizer="ste_sign", kernel_quantizer="ste_sign",
            kernel_constraint="weight_clip",
        )(x)  # fmt: skip
        x = keras.layers.BatchNormalization()(x)
    return keras.Model(inputs, x)


def float_model(model: Any) -> Any:
    """The same network without quantizers."""
    from onebit.keras import keras, lq

    config = model.get_config()
    for layer in config["layers"]:
        settings = layer["config"]
        for key in ("input_quantizer", "kernel_quantizer", "depthwise_quantizer"):
            if key in settings:
                settings[key] = None
        if settings.get("pad_values") == 1:
            settings["pad_values"] = 0.0
    objects = {n: getattr(lq.layers, n) for n in dir(lq.layers) if n.startswith("Quant")}
    with keras.utils.custom_object_scope(objects):
        return keras.Model.from_config(config)


def litert_files(model: Any) -> dict[str, bytes]:
    """The float32 and the int8 file of a Keras model without quantizers."""
    from onebit.keras import tf

    rng = np.random.default_rng(0)
    shape = (1, *model.input_shape[1:])
    plain = tf.lite.TFLiteConverter.from_keras_model(model)
    small = tf.lite.TFLiteConverter.from_keras_model(model)
    small.optimizations = [tf.lite.Optimize.DEFAULT]
    small.representative_dataset = lambda: (
        [rng.standard_normal(shape).astype(np.float32)] for _ in range(4)
    )
    return {"f32": plain.convert(), "int8": small.convert()}


def mlp_files() -> dict[str, bytes]:
    """784-1024×3-10 with ±1 weights, per-channel scale and bias: packed, and as floats."""
    from native.graphs import ABSENT, Graph, schema
    from native.test_weight_only import dense_options, elementwise

    from onebit.bits import pack

    rng = np.random.default_rng(0)
    sizes = (784, 1024, 1024, 1024, 10)
    packed, floats = Graph(), Graph()
    ends = [packed.tensor((1, sizes[0])), floats.tensor((1, sizes[0]))]
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        signs = rng.choice([-1, 1], (outputs, inputs)).astype(np.float32)
        scale = (rng.random(outputs).astype(np.float32) + 0.5) / np.float32(inputs**0.5)
        bias = rng.standard_normal(outputs).astype(np.float32)
        activation = 1 if i + 2 < len(sizes) else 0
        code = schema.BuiltinOperator.FULLY_CONNECTED
        weights = packed.dequantize(packed.constant(pack(signs)), inputs)
        out = packed.tensor((1, outputs))
        packed.operator(code, [ends[0], weights, ABSENT], [out], builtin=dense_options())
        ends[0] = elementwise(
            packed, "ADD", elementwise(packed, "MUL", out, scale), bias, activation
        )
        out = floats.tensor((1, outputs))
        constants = [floats.constant(signs * scale[:, None]), floats.constant(bias)]
        options = dense_options(activation=activation)
        floats.operator(code, [ends[1], *constants], [out], builtin=options)
        ends[1] = out
    return {"lce": packed.build([0], [ends[0]]), "f32": floats.build([0], [ends[1]])}


def files_of(name: str, cache: Path) -> dict[str, bytes]:
    """The files of a model: lce, f32 and, where it has one, int8; kept in `cache`."""
    kinds = ("lce", "f32") if name == "mlp3x1024" else ("lce", "f32", "int8")
    paths = {kind: cache / f"{name}.{kind}.tflite" for kind in kinds}
    if not all(path.exists() for path in paths.values()):
        import larq_compute_engine

        cache.mkdir(parents=True, exist_ok=True)
        if name == "mlp3x1024":
            files = mlp_files()
        else:
            model = keras_model(name)
            files = {"lce": larq_compute_engine.convert_keras_model(model)}
            files |= litert_files(float_model(model))
        for kind, path in paths.items():
            path.write_bytes(files[kind])
    return {kind: path.read_bytes() for kind, path in paths.items()}


def litert(file: bytes, x: np.ndarray, threads: int, delegates: list[Any]) -> Callable[[], Any]:
    """A call that invokes the stock interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(
        model_content=file, num_threads=threads, experimental_delegates=delegates or None
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    output = interpreter.get_output_details()[0]["index"]

    def call() -> Any:
        interpreter.invoke()
        return lambda: interpreter.get_tensor(output)

    return call


def lce(file: bytes, x: np.ndarray, threads: int, **options: bool) -> Callable[[], Any]:
    """A call that predicts with LCE's interpreter; it copies the input and the output too."""
    import larq_compute_engine

    interpreter = larq_compute_engine.testing.Interpreter(file, threads, **options).interpreter

    def call() -> Any:
        result = interpreter.predict([x])[0]
        return lambda: result

    return call


def contenders(
    files: dict[str, bytes], x: np.ndarray, threads: int
) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Name → (kind of file, call)."""
    import onebit_delegate

    isas = onebit_delegate.features()["isas"]
    f = files["lce"]
    found = {
        "lce": ("lce", lce(f, x, threads)),
        "lce indirect": ("lce", lce(f, x, threads, use_indirect_bgemm=True)),
        "lce indirect xnnpack": (
            "lce", lce(f, x, threads, use_indirect_bgemm=True, use_xnnpack=True)
        ),
        "delegate": ("lce", litert(f, x, threads, [onebit_delegate.load()])),
    }  # fmt: skip
    if "avx2" in isas:
        found["delegate avx2"] = ("lce", litert(f, x, threads, [onebit_delegate.load(isa="avx2")]))
    for kind in ("f32", "int8"):
        if kind in files:
            found[f"litert {kind}"] = (kind, litert(files[kind], x, threads, []))
    return found


def measure(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[int]]:
    """Nanoseconds of each call; contenders take turns."""
    samples: dict[str, list[int]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    for _ in range(rounds):
        for name, call in calls.items():
            call()  # untimed: its data left the caches while the others ran
            for _ in range(CALLS):
                start = time.perf_counter_ns()
                call()
                samples[name].append(time.perf_counter_ns() - start)
    return samples


def binary_macs(file: bytes, x: np.ndarray, folder: Path) -> int:
    """Binary multiply-adds of one call, as the delegate's profile counts them."""
    import gc

    import onebit_delegate

    path = folder / "profile.json"
    call = litert(file, x, 1, [onebit_delegate.load(profile=path)])
    call()
    del call
    gc.collect()
    return sum(node["macs"] for node in json.loads(path.read_text())["delegated"])


def host() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    import onebit_delegate

    return {
        "cpu": cpu[0].split(":")[1].strip() if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "isas": onebit_delegate.features()["isas"],
        "os": platform.platform(),
        "load_average": os.getloadavg()[0],
    }


def limit() -> float | None:
    """Binary multiply-adds per second that XOR, VPOPCNTD and ADD allow one core."""
    program = ROOT / "edge/native/build/native/onebit_limit"
    if not program.exists():
        return None
    text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return float(text) if text.strip() else None


def summary(samples: list[int]) -> dict[str, float]:
    """Minimum, median, and 90th percentile."""
    ordered = sorted(samples)
    return {
        "min_ns": ordered[0],
        "median_ns": statistics.median(ordered),
        "p90_ns": ordered[int(0.9 * (len(ordered) - 1))],
    }


def run_record() -> dict[str, Any]:
    """When, with which command and at which commit the rows are made."""
    commit = ["git", "rev-parse", "--short", "HEAD"]
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join(["python", "scripts/bench_delegate.py", *sys.argv[1:]]),
        "commit": subprocess.run(commit, cwd=ROOT, capture_output=True, text=True).stdout.strip(),
    }


def rows_of(
    name: str, threads: int, rounds: int, cache: Path, context: dict[str, Any]
) -> list[dict[str, Any]]:
    """Measures one model and returns a row per contender; `context` is the same in all rows."""
    files = files_of(name, cache)
    from ai_edge_litert.interpreter import Interpreter

    shape = Interpreter(model_content=files["f32"]).get_input_details()[0]["shape"]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = contenders(files, x, threads)
    reference = found["lce indirect"][1]()()
    rate = limit()
    macs = binary_macs(files["lce"], x, cache)
    samples = measure({key: call for key, (_, call) in found.items()}, rounds)
    rows = []
    for key, (kind, call) in found.items():
        difference = float(np.abs(call()() - reference).max()) if kind == "lce" else None
        stats = summary(samples[key])
        rows.append({
            "schema_version": 1,
            "benchmark": "delegate",
            "model": {
                "name": name, "file": kind, "sha256": hashlib.sha256(files[kind]).hexdigest(),
                "size_bytes": len(files[kind]), "macs": macs,
            },
            "setup": {
                "contender": key, "threads": threads, "warm_up": WARM_UP,
                "timed": "predict" if key.startswith("lce") else "invoke",
            },
            **context,
            "samples_ns": samples[key],
            "summary": stats,
            "difference_to_lce": difference,
            "limit_macs_per_s": rate,
            "share_of_limit": macs / (stats["median_ns"] * 1e-9) / rate
            if rate and threads == 1 and key.startswith("delegate") else None,
        })  # fmt: skip
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Prints a model's contenders, and how much slower than the delegate each is."""
    ours = next(r for r in rows if r["setup"]["contender"] == "delegate")["summary"]["median_ns"]
    for row in rows:
        median = row["summary"]["median_ns"]
        share = f"  {row['share_of_limit']:.0%} of the limit" if row["share_of_limit"] else ""
        print(
            f"{row['model']['name']:<17}{row['setup']['threads']} thr  "
            f"{row['setup']['contender']:<21}{median / 1e6:9.3f} ms {median / ours:7.2f}x{share}",
            file=sys.stderr, flush=True,
        )  # fmt: skip


LCE_KEYS = ("lce", "lce indirect", "lce indirect xnnpack")


def table(path: Path) -> str:
    """The rows of a file as Markdown: the delegate's median, and how many times that others take.

    The best of LCE's configurations counts. Of several rounds of a model, the last does.
    """
    medians: dict[tuple[str, int], dict[str, float]] = {}
    shares: dict[tuple[str, int], float | None] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        cell, contender = (row["model"]["name"], row["setup"]["threads"]), row["setup"]["contender"]
        medians.setdefault(cell, {})[contender] = row["summary"]["median_ns"]
        if contender == "delegate":
            shares[cell] = row["share_of_limit"] if cell[0] in STACKS else None
    lines = [
        "| model | threads | delegate | best of LCE | LiteRT float32 | LiteRT int8 | "
        "delegate, AVX2 only | share of the popcount limit |",
        "| --- " * 8 + "|",
    ]
    for (name, threads), median in medians.items():
        ours, lce = median["delegate"], min(median[k] for k in LCE_KEYS if k in median)
        others = [lce, median.get("litert f32"), median.get("litert int8")]
        ratios = [f"{other / ours:.1f}×" if other else "–" for other in others]
        avx2 = median.get("delegate avx2")
        share = shares[name, threads]
        cells = [
            name, str(threads), f"{ours / 1e6:.3f} ms", *ratios,
            f"{avx2 / 1e6:.3f} ms ({lce / avx2:.1f}× faster than LCE)" if avx2 else "–",
            f"{share:.0%}" if share else "–",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Parses the command line, measures, appends rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, help="JSON Lines file to append to")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "bench")
    parser.add_argument("--table", type=Path, help="print the rows of a file instead")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(arguments.table))
        return
    names = arguments.models.split(",")
    unknown = set(names) - set(MODELS)
    if unknown:
        parser.error(f"unknown model {', '.join(sorted(unknown))}: use {', '.join(MODELS)}")
    context = {"run": run_record(), "host": host()}
    for name in names:
        for threads in map(int, arguments.threads.split(",")):
            rows = rows_of(name, threads, arguments.rounds, arguments.cache, context)
            show(rows)
            if arguments.output:
                arguments.output.parent.mkdir(parents=True, exist_ok=True)
                with arguments.output.open("a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    main()
