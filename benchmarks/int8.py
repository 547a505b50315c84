"""Cost of int8 in accuracy, and savings in bytes and time: one row per model and setting.

    python -m benchmarks.int8 MODEL …        # appends to results/int8.jsonl what it lacks
    python -m benchmarks.int8 --table        # the rows as Markdown

MODEL is a run folder of `zoo train`, or an architecture with random weights as in
`benchmarks/conversions.py` (`larq_zoo:QuickNetSmall`), which has no accuracy. Ranges are learnt
from 200 training samples, accuracies measured on the test split by LCE's interpreter. With the
ranges `mse`, the float and the int8 file also take turns on LCE's interpreter and on LiteRT with
the delegate, one thread.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import RESULTS
from convert.int8.settings import RangeMethod, Scope
from onebit.files import read_json_lines

OUTPUT = RESULTS / "int8.jsonl"
CALIBRATION_SAMPLES, RANDOM_CALIBRATION, RANDOM_SAMPLES = 200, 32, 4
ROUNDS = 10
# Scope, ranges, and whether signs are centered (`convert/int8/passes/center_signs.py`).
SETTINGS: list[tuple[Scope, RangeMethod, bool]] = [
    ("layers", "mse", True),
    ("layers", "minmax", True),
    ("layers", "percentile", True),
    ("all", "mse", True),
    ("all", "mse", False),
]
RANDOM_SETTINGS: list[tuple[Scope, RangeMethod, bool]] = [
    ("layers", "mse", True),
    ("all", "mse", True),
]


def trained(folder: Path, most: int) -> tuple[Any, list, Any, dict]:
    """A run's model, calibration inputs, test samples, and the start of its rows."""
    import zoo
    from convert.samples import Samples, spread_samples

    run = zoo.load_run(folder)
    preprocessing = run.preprocessing
    if preprocessing is None:
        raise SystemExit(f"error: {folder} takes texts; int8 is measured of networks on images")
    card, dataset = run.card, zoo.load_dataset(run.card["dataset"]["name"])
    train = Samples([preprocessing(dataset.train.first(len(dataset.train)).images)], None, "train")
    images, labels = run.samples.images[:most], run.samples.labels[:most]
    said = {
        "model": card["name"],
        "options": dict(card["options"]),
        "dataset": card["dataset"]["name"],
        "model_sha256": card["model_sha256"],
        "seed": card["seed"],
        "train_command": card["command"],
        "calibration_split": "train",
    }
    test = Samples([preprocessing(images)], labels, "test")
    return run.model, spread_samples(train, CALIBRATION_SAMPLES), test, said


def untrained(name: str) -> tuple[Any, list, Any, dict]:
    """The same for an architecture with random weights and random images."""
    from benchmarks.conversions import SEED, build, calibrate
    from convert.keras_model.samples import random_samples

    model = build(name)
    calibrate(model)
    said = {"model": name, "dataset": None, "model_sha256": None, "seed": SEED}
    inputs = list(random_samples(model, RANDOM_CALIBRATION, 2).arrays)
    return model, inputs, random_samples(model, RANDOM_SAMPLES, 3), said


def latencies(float_file: bytes, int8_file: bytes, shape: list[int]) -> dict[str, list[int]]:
    """Nanoseconds of single inferences, each of four contenders in turn."""
    import numpy as np

    import onebit_delegate
    from benchmarks.delegate import lce, litert, measure

    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    calls = {}
    for kind, file in (("float", float_file), ("int8", int8_file)):
        calls[f"{kind} lce"] = lce(file, x, 1, use_indirect_bgemm=True)
        calls[f"{kind} delegate"] = litert(file, x, 1, [onebit_delegate.load()])
    return measure(calls, ROUNDS)


def rows_of(name: str, most: int, known: set[tuple]) -> list[dict]:
    """The rows of one model: the settings that are not among the known ones."""
    from benchmarks.delegate import host
    from convert.conversion import convert_model
    from convert.int8.settings import Int8
    from onebit import provenance

    random = name.startswith(("larq_zoo:", "zoo:"))
    model, inputs, test, said = untrained(name) if random else trained(Path(name), most)
    rows: list[dict] = []
    plain, centered_file = None, b""
    for scope, ranges, centered in RANDOM_SETTINGS if random else SETTINGS:
        if (said["model"], said["model_sha256"], scope, ranges, centered) in known:
            continue
        plain = plain or convert_model(model, verification=False)
        left_out: frozenset[str] = frozenset() if centered else frozenset({"center_signs"})
        settings = Int8(inputs, ranges, "float", scope, left_out)
        conversion = convert_model(model, samples=test, int8=settings)
        if not centered and conversion.tflite == centered_file:
            continue  # no sign reads only an int8 layer
        centered_file = conversion.tflite
        verification = conversion.report.verification
        if verification is None:
            raise RuntimeError(f"{name} was not verified")
        tensors = verification.quantization.tensors if verification.quantization else []
        timed = ranges == "mse" and centered and conversion.tflite != plain.tflite
        shape = [1, *test.arrays[0].shape[1:]]
        row = {
            "schema_version": 1,
            **said,
            "command": f"python -m benchmarks.int8 {'RUN' if not random else name}",
            "commit": provenance.commit(),
            "date": provenance.utc_now(),
            "host": host(),
            "scope": scope,
            "ranges": ranges,
            "center_signs": centered,
            "calibration_samples": len(inputs[0]),
            "split": verification.split,
            "samples": verification.samples,
            "float_bytes": len(plain.tflite),
            "bytes": len(conversion.tflite),
            "layers": conversion.report.kinds(),
            "accuracy_keras": verification.accuracy_keras,
            "accuracy_file": verification.accuracy_file,
            "agreement": verification.agreement,
            "verdict": verification.summary(),
            "flipped_bits": verification.quantization and verification.quantization.flipped_bits,
            "least_snr_db": min((t.snr_db for t in tensors if t.snr_db is not None), default=None),
            "samples_ns": latencies(plain.tflite, conversion.tflite, shape) if timed else None,
        }
        rows.append(row)
        print(name, scope, ranges, row["accuracy_file"], row["verdict"], file=sys.stderr)
    return rows


def table(rows: list[dict]) -> str:
    """The rows as Markdown: sizes in kB of 1000 bytes, median times in ms, float → int8."""
    from onebit.console import markdown_table

    headings = ["model", "data", "scope", "ranges", "layers", "file, kB", "accuracy, %"]
    headings += ["argmax agrees", "bits turned round", "LCE, ms", "delegate, ms"]
    lines = []

    def times(row: dict, runtime: str) -> str:
        if row["samples_ns"] is None:
            return "–"
        return " → ".join(
            f"{sorted(ns)[len(ns) // 2] / 1e6:.3g}"
            for ns in (row["samples_ns"][f"{kind} {runtime}"] for kind in ("float", "int8"))
        )

    for row in sorted(rows, key=lambda row: (row["dataset"] or "~", row["model"])):
        flips = row["flipped_bits"]
        accuracies = [row["accuracy_keras"], row["accuracy_file"]]
        lines.append(
            [
                row["model"].removeprefix("larq_zoo:"),
                row["dataset"] or "random weights",
                row["scope"],
                row["ranges"] if row["center_signs"] else f"{row['ranges']}, signs not centered",
                ", ".join(f"{n} {k.replace('_', ' ')}" for k, n in row["layers"].items()),
                f"{row['float_bytes'] / 1e3:.0f} → {row['bytes'] / 1e3:.0f}",
                "–" if None in accuracies else " → ".join(f"{100 * a:.2f}" for a in accuracies),
                "–" if row["dataset"] is None else f"{row['agreement']:.2%}",
                f"{max(flips.values()):.2%}" if flips else "–",
                times(row, "lce"),
                times(row, "delegate"),
            ]
        )
    return markdown_table(lines, headings)


def main() -> None:
    """Appends the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="run folders, or larq_zoo:NAME")
    parser.add_argument("--samples", type=int, default=1000, help="test samples at most")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown instead")
    options = parser.parse_args()
    rows = read_json_lines(OUTPUT)
    if options.table:
        print(table(rows), end="")
        return
    keys = ("model", "model_sha256", "scope", "ranges", "center_signs")
    known = {tuple(row[key] for key in keys) for row in rows}
    for name in options.models:
        new = rows_of(name, options.samples, known)
        with OUTPUT.open("a") as file:
            file.writelines(json.dumps(row, allow_nan=False) + "\n" for row in new)


if __name__ == "__main__":
    main()
