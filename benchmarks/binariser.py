"""The binariser beside LCE's converter, over every architecture of larq-zoo and of the zoo.

    python -m benchmarks.binariser [NAME …]
    python -m benchmarks.binariser --table

Each model goes both ways: as `convert model` takes it, through LCE's converter, whose file the
binariser completes, and through TensorFlow Lite's converter and the binariser alone. Both files are
compared with Keras on the same samples, bit by bit, and with each other. Rows that
results/binariser.jsonl has already are not made again.

Weights, processes and CPU seconds are as in `benchmarks.conversions`.
"""

import argparse
import json
import sys
from typing import Any

from benchmarks import RESULTS, append_row
from benchmarks.conversions import SAMPLES, build, calibrate, cpu_seconds, names, run
from onebit.files import read_json_lines

OUTPUT = RESULTS / "binariser.jsonl"


def row_of(name: str) -> dict[str, Any]:
    """The row of one architecture."""
    from convert.conversion import convert_model
    from convert.errors import ConversionError
    from convert.file_conversion import convert_file
    from convert.keras_model.samples import random_samples
    from onebit import provenance
    from onebit.errors import first_line
    from tests.support.plain_tflite import plain_tflite

    model = build(name)
    calibrate(model)
    samples = random_samples(model, SAMPLES)
    row: dict[str, Any] = {
        "schema_version": 1,
        "model": name,
        "commit": provenance.commit(),
        "date": provenance.utc_now(),
    }
    files = {}
    start = cpu_seconds()
    try:
        by_lce = convert_model(model, verification=False)
        row["lce"] = {"cpu_seconds": round(cpu_seconds() - start, 1), **facts(by_lce)}
        row["lce"]["verdict"] = judged(model, by_lce.tflite, samples)
        files["lce"] = by_lce.tflite
    except ConversionError as error:
        row["lce"] = {"reason": first_line(error)[:300]}
    try:
        start = cpu_seconds()
        content = plain_tflite(model)
        seconds = {"float_cpu_seconds": round(cpu_seconds() - start, 1)}
        start = cpu_seconds()
        conversion = convert_file(content, verification=False)
        seconds["cpu_seconds"] = round(cpu_seconds() - start, 1)
        row["binariser"] = {"float_bytes": len(content), **seconds, **facts(conversion)}
        row["binariser"]["verdict"] = judged(model, conversion.tflite, samples)
        files["binariser"] = conversion.tflite
    except Exception as error:  # TensorFlow Lite's converter raises whatever comes up
        row["binariser"] = {"reason": first_line(error)[:300]}
    if len(files) == 2:
        row["difference"] = difference(files["lce"], files["binariser"], samples)
    row["status"] = "converted" if "binariser" in files else "failed"
    return row


def facts(conversion: Any) -> dict[str, Any]:
    """The size, the layers and what is left float of a conversion."""
    report = conversion.report
    return {
        "bytes": len(conversion.tflite),
        "layers": report.kinds(),
        "binary_macs": report.totals.binary_macs,
        "binary_weight_macs": report.totals.binary_weight_macs,
    }


def judged(model: Any, content: bytes, samples: Any) -> str:
    """The verdict of the verification against Keras, or why there is none."""
    from convert.errors import ConversionError
    from convert.verification import verify

    try:
        return verify(model, content, samples, with_delegate=False).summary()
    except ConversionError as error:
        return str(error)[:200]


def difference(left: bytes, right: bytes, samples: Any) -> float | None:
    """The largest difference of the first outputs, relative to the largest number in them."""
    import numpy as np

    from convert.errors import ConversionError
    from convert.runtimes.lce_interpreter import LceInterpreter

    try:
        first, second = (
            LceInterpreter(content).run(samples.arrays)[0].astype(np.float64)
            for content in (left, right)
        )
    except ConversionError:
        return None
    return float(np.abs(first - second).max() / np.abs(first).max())


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: sizes in MB of 10^6 bytes, CPU times in seconds."""
    from onebit.console import markdown_table

    headings = ["architecture", "layers, LCE", "layers, binariser", "size, LCE", "size, binariser"]
    headings += ["s, LCE", "s, float file + binariser", "verdict, LCE", "verdict, binariser"]
    headings += ["difference"]
    lines = []
    for row in sorted(rows, key=lambda row: row["model"].lower()):
        lce, ours = row.get("lce", {}), row.get("binariser", {})
        label = row["model"].replace("larq_zoo:", "").replace("zoo:", "`zoo:`")
        lines.append(
            [
                label,
                *(_layers(side) for side in (lce, ours)),
                *(
                    f"{side['bytes'] / 1e6:.2f} MB" if "bytes" in side else "–"
                    for side in (lce, ours)
                ),
                _number(lce.get("cpu_seconds")),
                f"{_number(ours.get('float_cpu_seconds'))} + {_number(ours.get('cpu_seconds'))}",
                *(side.get("verdict") or side.get("reason", "–") for side in (lce, ours)),
                "–" if row.get("difference") is None else f"{row['difference']:.2g}",
            ]
        )
    return markdown_table(lines, headings)


def _layers(side: dict[str, Any]) -> str:
    if "layers" not in side:
        return "–"
    kinds = side["layers"]
    return f"{kinds.get('binary', 0)} + {kinds.get('binary_weights', 0)} of {sum(kinds.values())}"


def _number(value: float | None) -> str:
    return "–" if value is None else format(value, ".1f")


def main() -> None:
    """Appends the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="such as larq_zoo:QuickNet; all when absent")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown instead")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(row_of(options.one), allow_nan=False))
        return
    if options.table:
        print(table(read_json_lines(OUTPUT)), end="")
        return
    done = {row["model"] for row in read_json_lines(OUTPUT)}
    for name in options.names or names():
        if name in done:
            continue
        print(name, file=sys.stderr, flush=True)
        row = {"model": name, **run("--one", name, "benchmarks.binariser")}
        append_row(OUTPUT, row)


if __name__ == "__main__":
    main()
