"""Trains BiT's chain of stages on Debian's package descriptions, one row of results a stage.

    python -m benchmarks.binary_bert [--seeds 1,2,3]   # trains what is missing, replaces the rows
    python -m benchmarks.binary_bert --finished        # trains nothing: rows of what is finished
    python -m benchmarks.binary_bert --table

Each stage's test accuracy is that of its last epoch; the validation split, a tenth of the sources,
is only looked at. Each network is converted too and compared with Keras on 1,000 test samples. Runs
lie in runs/binary_bert, rows in results/binary_bert.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import RESULTS, ROOT, RUNS
from onebit.files import read_json_lines, write_text

OUTPUT = RESULTS / "binary_bert.jsonl"
FOLDER = RUNS / "binary_bert"
RECIPES = ("binary_bert_tiny_debian_sections", "binary_bert_tiny_direct_debian_sections")
VERIFIED = 1000


def rows_of(recipe: str, seed: int, *, train: bool) -> list[dict[str, Any]]:
    """One row for a recipe and each of its teachers, whose training is finished first if asked."""
    folder = FOLDER / f"{recipe}-seed{seed}"
    command = ["python", "-m", "zoo", "train", recipe, "-o", str(folder.relative_to(ROOT))]
    command += ["--seed", str(seed)]
    if train and not (folder / "card.json").is_file():
        subprocess.run([sys.executable, *command[1:]], cwd=ROOT, check=True)
    rows: list[dict[str, Any]] = []
    while folder.is_dir():
        if (folder / "card.json").is_file():
            rows.insert(0, {**row_of(folder), "command": " ".join(command)})
        folder = folder / "teacher"
    return rows


def row_of(folder: Path) -> dict[str, Any]:
    """The row of a finished run, its converted model included."""
    import zoo
    from convert.conversion import convert_model
    from convert.samples import Samples

    run = zoo.load_run(folder)
    config = json.loads((folder / "config.json").read_text())
    tokens, labels = (a[:VERIFIED] for a in (run.samples.images, run.samples.labels))
    conversion = convert_model(run.model, samples=Samples([tokens], labels, "test"))
    layers, checked = conversion.report.layers, conversion.report.verification
    assert checked is not None  # noqa: S101 - there are samples
    return {
        "schema_version": 1,
        "recipe": run.card["recipe"],
        "model": run.card["name"],
        "activation_bits": config["options"].get("activation_bits", 32),
        "seed": run.card["seed"],
        "epochs": len(run.history),
        "parameters": run.card["parameters"],
        "dataset": run.card["dataset"],
        "accuracy": run.card["accuracy"]["value"],
        "split": run.card["accuracy"]["split"],
        "samples": run.card["accuracy"]["samples"],
        "validation_accuracy": [round(epoch["val_accuracy"], 5) for epoch in run.history],
        "file": {
            "bytes": len(conversion.tflite),
            "sha256": conversion.report.file.sha256,
            "layers": conversion.report.kinds(),
            "binary_macs": conversion.report.totals.binary_macs,
            "macs": sum(layer.macs for layer in layers),
            "verdict": checked.summary(),
            "accuracy": checked.accuracy_file,
            "accuracy_keras": checked.accuracy_keras,
        },
        "model_sha256": run.card["model_sha256"],
        "versions": config["versions"],
        "commit": config["commit"],
        "date": run.card["created"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, a recipe and seed a line."""
    from onebit.console import markdown_table

    headings = ["network", "trained", "epochs", "seed", "test accuracy", "file", "Keras and file"]
    lines = []
    trained = {
        "bert_tiny_debian_sections": "on the labels",
        "binary_bert_tiny_2_bit_debian_sections": "from the float network",
        "binary_bert_tiny_debian_sections": "from the 2-bit network",
        "binary_bert_tiny_direct_debian_sections": "on the labels, without stages",
    }
    for row in rows:
        bits = row["activation_bits"]
        lines.append(
            [
                "float" if bits == 32 else f"1-bit weights, {bits}-bit activations",
                trained[row["recipe"]],
                str(row["epochs"]),
                str(row["seed"]),
                f"{row['accuracy']:.2%}",
                f"{row['file']['bytes'] / 1e3:.0f} kB",
                row["file"]["verdict"],
            ]
        )
    return markdown_table(lines, headings)


def main() -> None:
    """Trains what is missing and writes the rows, or prints them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="1", help="comma-separated")
    parser.add_argument("--finished", action="store_true", help="train nothing")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown instead")
    options = parser.parse_args()
    if options.table:
        print(table(read_json_lines(OUTPUT)), end="")
        return
    rows = [
        row for recipe in RECIPES for seed in options.seeds.split(",")
        for row in rows_of(recipe, int(seed), train=not options.finished)
    ]  # fmt: skip
    write_text(OUTPUT, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))


if __name__ == "__main__":
    main()
