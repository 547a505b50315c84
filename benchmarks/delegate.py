"""Measures the delegate beside LCE and LiteRT and appends rows: `make bench`.

All contenders of a model run in one process and take turns, so that a slow phase of a shared
machine hits each of them. Weights are random: speed does not depend on them. "f32" and "int8" are
the same network without quantizers, as floats and after post-training quantisation. Where the CPU
has AMX, "int8" uses it, "int8 without amx" is a process that may not (see
`benchmarks.without_amx`), and "delegate without amx" uses AVX-512 only.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT, RUNS
from benchmarks.delegate_models import MODELS, STACKS, files_of
from benchmarks.without_amx import Worker
from onebit.files import read_json_lines

WARM_UP, ROUNDS, CALLS, PROFILED_CALLS = 3, 8, 8, 30
PAUSE_SECONDS = 0.05


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
    import onebit.keras  # noqa: F401, I001  (before LCE, which imports TensorFlow)
    import larq_compute_engine

    interpreter = larq_compute_engine.testing.Interpreter(file, threads, **options).interpreter

    def call() -> Any:
        result = interpreter.predict([x])[0]
        return lambda: result

    return call


def contenders(
    files: dict[str, bytes], x: np.ndarray, threads: int
) -> dict[str, tuple[str, Callable[[], Any] | Worker]]:
    """Name → (kind of file, call)."""
    import onebit_delegate

    isas = onebit_delegate.features()["isas"]
    f = files["lce"]
    found: dict[str, tuple[str, Callable[[], Any] | Worker]] = {
        "lce": ("lce", lce(f, x, threads)),
        "lce indirect": ("lce", lce(f, x, threads, use_indirect_bgemm=True)),
        "lce indirect xnnpack": (
            "lce", lce(f, x, threads, use_indirect_bgemm=True, use_xnnpack=True)
        ),
        "delegate": ("lce", litert(f, x, threads, [onebit_delegate.load()])),
    }  # fmt: skip
    if "avx2" in isas:
        found["delegate avx2"] = ("lce", litert(f, x, threads, [onebit_delegate.load(isa="avx2")]))
    if "amx" in isas:
        avx512 = onebit_delegate.load(isa="avx512vpopcntdq")
        found["delegate without amx"] = ("lce", litert(f, x, threads, [avx512]))
    for kind in ("f32", "int8"):
        if kind in files:
            found[f"litert {kind}"] = (kind, litert(files[kind], x, threads, []))
    if "amx" in isas and "int8" in files:
        found["litert int8 without amx"] = ("int8", Worker(files["int8"], threads))
    return found


def timed(call: Callable[[], Any] | Worker) -> int:
    """The nanoseconds of a call."""
    if isinstance(call, Worker):
        return call.time_call()
    start = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - start


def measure(calls: Mapping[str, Callable[[], Any] | Worker], rounds: int) -> dict[str, list[int]]:
    """Nanoseconds of each call; contenders take turns."""
    samples: dict[str, list[int]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(PAUSE_SECONDS)  # until waiting threads of the one before stop spinning
            for _ in range(WARM_UP):  # its data left the caches while the others ran
                timed(call)
            samples[name] += [timed(call) for _ in range(CALLS)]
    return samples


def profile(file: bytes, x: np.ndarray, folder: Path, **options: str) -> dict[str, Any]:
    """Binary multiply-adds of a call, and its time inside and outside the delegate, one thread."""
    import gc

    import onebit_delegate

    path = folder / "profile.json"
    call = litert(file, x, 1, [onebit_delegate.load(profile=path, **options)])
    times = sorted(timed(call) for _ in range(PROFILED_CALLS))
    del call
    gc.collect()
    nodes = json.loads(path.read_text())["delegated"]
    inside = sum(node["time_ns"] for node in nodes) / PROFILED_CALLS
    return {
        "macs": sum(node["macs"] for node in nodes),
        "delegated_ns": inside,
        "not_delegated_ns": max(0, statistics.mean(times) - inside),
    }


def host() -> dict[str, Any]:
    """The machine that the figures depend on."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    import onebit_delegate

    return {
        "cpu": cpu[0].split(":")[1].strip() if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "isas": onebit_delegate.features()["isas"],
        "os": platform.platform(),
        "load_average": os.getloadavg()[0],
    }


def limits() -> dict[str, float]:
    """Instruction set → binary multiply-adds per second that it allows, measured in registers.

    One core's rates; instruction sets that the CPU lacks are absent.
    """
    program = ROOT / "edge/native/build/native/onebit_limit"
    if not program.exists():
        return {}
    text = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    return {isa: float(rate) for isa, rate in (line.split() for line in text.splitlines())}


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
        "command": " ".join(["python", "benchmarks/delegate.py", *sys.argv[1:]]),
        "commit": subprocess.run(commit, cwd=ROOT, capture_output=True, text=True).stdout.strip(),
    }


def output_of(call: Callable[[], Any] | Worker) -> np.ndarray:
    """The output of a call in this process."""
    if isinstance(call, Worker):
        raise TypeError("a worker keeps its results")
    return call()()


def rows_of(
    name: str, threads: int, rounds: int, cache: Path, context: dict[str, Any]
) -> list[dict[str, Any]]:
    """Measures one model and returns a row per contender; `context` is the same in all rows."""
    files = files_of(name, cache)
    from ai_edge_litert.interpreter import Interpreter

    shape = Interpreter(model_content=files["f32"]).get_input_details()[0]["shape"]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = contenders(files, x, threads)
    reference = output_of(found["lce indirect"][1])
    rates = limits()
    rate = rates.get("avx512vpopcntdq")
    profiled = profile(files["lce"], x, cache)
    macs = profiled["macs"]
    samples = measure({key: call for key, (_, call) in found.items()}, rounds)
    rows = []
    for key, (kind, call) in found.items():
        difference = float(np.abs(output_of(call) - reference).max()) if kind == "lce" else None
        if isinstance(call, Worker):
            call.close()
        stats = summary(samples[key])
        rows.append({
            "schema_version": 2,
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
            "limit_macs_per_s": rates,
            "profile": profiled if key == "delegate" else None,
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
    for row in read_json_lines(path):
        cell, contender = (row["model"]["name"], row["setup"]["threads"]), row["setup"]["contender"]
        medians.setdefault(cell, {})[contender] = row["summary"]["median_ns"]
        if contender in ("delegate", "delegate without amx"):
            shares[cell] = row["share_of_limit"] if cell[0] in STACKS else None
    lines = [
        "| model | threads | delegate | best of LCE | LiteRT float32 | LiteRT int8 | "
        "delegate without AMX | best of LCE | LiteRT int8 without AMX | "
        "share of the popcount limit | delegate, AVX2 only | best of LCE |",
        "| --- " * 12 + "|",
    ]
    for (name, threads), median in medians.items():
        lce = min(median[k] for k in LCE_KEYS if k in median)
        ours, avx2 = median["delegate"], median.get("delegate avx2")
        plain = median.get("delegate without amx", ours)
        int8 = median.get("litert int8")
        share = shares[name, threads]
        cells = [
            name, str(threads), milliseconds(ours), times(lce, ours),
            times(median.get("litert f32"), ours), times(int8, ours),
            milliseconds(plain), times(lce, plain),
            times(median.get("litert int8 without amx", int8), plain),
            f"{share:.0%}" if share else "–", milliseconds(avx2), times(lce, avx2),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


BOUNDED = (
    ("amx", "AMX", "LiteRT int8", ("litert int8",)),
    ("avx512vpopcntdq", "VPOPCNTD", "LiteRT int8 without AMX", ("litert int8 without amx",)),
    ("avx2", "AVX2", "best of LCE", LCE_KEYS),
)
"""With which instructions whom could be beaten how far: (instruction set, its name, heading of
the others, the others)."""


def bounds(path: Path) -> str:
    """How far others could be beaten on one thread, as Markdown.

    The operators that the delegate leaves to LiteRT take their time in any case, and the binary
    ones at least that of their products at the rate that the instructions allow in registers.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in read_json_lines(path):
        if row["setup"]["threads"] == 1:
            found.setdefault(row["model"]["name"], {})[row["setup"]["contender"]] = row
    headings = ["model", "left to LiteRT"]
    for _, name, others, _ in BOUNDED:
        headings += [f"binary at {name}'s rate", others, "at most"]
    lines = [f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    for name, rows in found.items():
        row = rows["delegate"]
        if "litert int8" not in rows:
            continue
        left, macs = row["profile"]["not_delegated_ns"], row["profile"]["macs"]
        cells = [name, milliseconds(left)]
        for isa, _, _, keys in BOUNDED:
            rate = row["limit_macs_per_s"].get(isa)
            binary = macs / rate * 1e9 if rate else None
            theirs = min((rows[k]["summary"]["median_ns"] for k in keys if k in rows), default=None)
            least = left + binary if binary else None
            cells += [milliseconds(binary), milliseconds(theirs), times(theirs, least)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def milliseconds(nanoseconds: float | None) -> str:
    """A cell with a time."""
    return f"{nanoseconds / 1e6:.3f} ms" if nanoseconds else "–"


def times(other: float | None, ours: float | None) -> str:
    """A cell with how many times `ours` another contender takes."""
    return f"{other / ours:.1f}×" if other and ours else "–"


def main() -> None:
    """Parses the command line, measures, appends rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(MODELS), help=f"of {', '.join(MODELS)}")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, help="JSON Lines file to append to")
    parser.add_argument("--cache", type=Path, default=RUNS / "bench")
    parser.add_argument("--table", type=Path, help="print the rows of a file instead")
    parser.add_argument("--bounds", type=Path, help="print how far others can be beaten instead")
    arguments = parser.parse_args()
    if arguments.bounds:
        print(bounds(arguments.bounds))
        return
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
