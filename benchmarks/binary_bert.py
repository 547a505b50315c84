"""Trains BiT's stages on Debian's package descriptions, with and without that of two bits.

    python -m benchmarks.binary_bert [RECIPE …] [--seeds 3]   # trains what has no row yet
    python -m benchmarks.binary_bert --table
    python -m benchmarks.binary_bert --pairs                  # does the stage between help?

Appends a row for each stage to results/binary_bert.jsonl, the first seed of all recipes, then the
second and so on; an interrupted training resumes, and runs lie in runs/binary_bert. A seed's float
network, the first teacher, is trained once. Each network is converted too and compared with Keras
on 1,000 test texts.

A row holds which test texts were wrong, so that networks are compared text by text. The table has
two standard errors of a difference: over seeds, which is that of another training, and over texts,
which is known with one seed too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import RESULTS, ROOT, RUNS, append_row
from benchmarks.stages import share_stages
from benchmarks.wrong_images import (
    BySeed,
    difference_cells,
    mean_and_error,
    packed_wrong_images,
    pairs_table,
    wrong_by_seed,
)
from onebit.cli import markdown_table
from onebit.files import read_json_lines

OUTPUT = RESULTS / "binary_bert.jsonl"
FOLDER = RUNS / "binary_bert"
VERIFIED = 1000
FLOAT = "bert_tiny_debian_sections"
TRAINED = {
    FLOAT: ("float", "on the labels"),
    "binary_bert_tiny_2_bit_debian_sections": (
        "1-bit weights, 2-bit activations",
        "from the float network",
    ),
    "binary_bert_tiny_debian_sections": (
        "1-bit weights, 1-bit activations",
        "from the 2-bit network",
    ),
    "binary_bert_tiny_one_stage_debian_sections": (
        "1-bit weights, 1-bit activations",
        "from the float network",
    ),
    "binary_bert_tiny_direct_debian_sections": (
        "1-bit weights, 1-bit activations",
        "on the labels",
    ),
}
"""Recipe → (network, how it was trained), in the order of the table."""

LAST_STAGES = tuple(TRAINED)[2:]
"""Those that bring the others along."""

STAGED, ONE_STAGE, DIRECT = LAST_STAGES
PAIRS = ((STAGED, ONE_STAGE), (ONE_STAGE, DIRECT), (STAGED, DIRECT))
"""Whether the 2-bit stage helps, whether a teacher does, and both."""


def rows_of(recipe: str, seed: int) -> list[dict[str, Any]]:
    """Trains a recipe, or finishes its training: a row for it and each of its teachers."""
    from zoo.recipes import resolve_recipe

    folder = FOLDER / f"{recipe}-seed{seed}"
    share_stages(folder, resolve_recipe(recipe, seed=seed), FOLDER)
    command = ["python", "-m", "zoo", "train", recipe, "-o", str(folder.relative_to(ROOT))]
    command += ["--seed", str(seed)]
    subprocess.run([sys.executable, *command[1:]], cwd=ROOT, check=True)
    rows: list[dict[str, Any]] = []
    while folder.is_dir():
        rows.insert(0, {**row_of(folder), "command": " ".join(command)})
        folder = folder / "teacher"
    return rows


def row_of(folder: Path) -> dict[str, Any]:
    """The row of a finished run, its converted model included."""
    import zoo
    from convert.conversion import convert_model
    from convert.samples import Samples
    from zoo.datasets import load_dataset

    run = zoo.load_run(folder)
    config = json.loads((folder / "config.json").read_text())
    test = load_dataset(run.card["dataset"]["name"]).test
    tokens, labels = (a[:VERIFIED] for a in (run.samples.images, run.samples.labels))
    conversion = convert_model(run.model, samples=Samples([tokens], labels, "test"))
    layers, checked = conversion.report.layers, conversion.report.verification
    assert checked is not None  # noqa: S101 - there are samples
    return {
        "schema_version": 2,
        "recipe": run.card["recipe"],
        "model": run.card["name"],
        "activation_bits": config["options"].get("activation_bits", 32),
        "seed": run.card["seed"],
        "epochs": len(run.history),
        "epoch": run.card["epoch"],
        "parameters": run.card["parameters"],
        "dataset": run.card["dataset"],
        "accuracy": run.card["accuracy"]["value"],
        "split": run.card["accuracy"]["split"],
        "samples": run.card["accuracy"]["samples"],
        **packed_wrong_images(run, test),
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
    """The rows as Markdown, a recipe a line: means over seeds, in percent."""
    headings = [
        *("network", "trained", "epochs", "seeds", "test accuracy"),
        *("more errors than float", "s.e. over seeds", "s.e. over texts", "file"),
    ]
    wrong = _wrong(rows)
    lines = []
    for recipe, (network, trained) in TRAINED.items():
        own = [row for row in rows if row["recipe"] == recipe]
        if not own:
            continue
        accuracies = np.array([100.0 * row["accuracy"] for row in own])
        size = np.mean([row["file"]["bytes"] for row in own]) / 1e3
        base = {} if recipe == FLOAT else wrong.get(FLOAT, {})
        lines.append(
            [
                *(network, trained, str(own[0]["epochs"]), str(len(own))),
                mean_and_error(accuracies),
                *difference_cells(wrong[recipe], base),
                f"{size:.0f} kB",
            ]
        )
    return markdown_table(lines, headings)


def pairs(rows: list[dict[str, Any]]) -> str:
    """The change that each stage makes, as Markdown: the differences of `PAIRS`."""
    labels = {
        STAGED: "float → 2-bit → 1-bit",
        ONE_STAGE: "float → 1-bit",
        DIRECT: "1-bit, on the labels",
    }
    wrong = {labels[recipe]: each for recipe, each in _wrong(rows).items() if recipe in labels}
    named = [(labels[first], labels[second]) for first, second in PAIRS]
    return pairs_table(named, wrong, "texts")


def _wrong(rows: list[dict[str, Any]]) -> dict[str, BySeed]:
    """Recipe → which test texts are wrong."""
    recipes = dict.fromkeys(row["recipe"] for row in rows)
    return {name: wrong_by_seed(row for row in rows if row["recipe"] == name) for name in recipes}


def main() -> None:
    """Trains what has no row yet, or prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=", ".join(LAST_STAGES))
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this number")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown")
    parser.add_argument("--pairs", action="store_true", help="print what each stage changes")
    options = parser.parse_args()
    if unknown := set(options.recipes) - set(LAST_STAGES):
        parser.error(f"no recipe {', '.join(sorted(unknown))}; known: {', '.join(LAST_STAGES)}")
    if options.table:
        print(table(read_json_lines(OUTPUT)), end="")
        return
    if options.pairs:
        print(pairs(read_json_lines(OUTPUT)), end="")
        return
    for seed in range(1, options.seeds + 1):
        for recipe in options.recipes or LAST_STAGES:
            done = {(row["recipe"], row["seed"]) for row in read_json_lines(OUTPUT)}
            if (recipe, seed) in done:
                continue
            for row in rows_of(recipe, seed):
                if (row["recipe"], seed) not in done:
                    append_row(OUTPUT, row)
                    print(f"{row['recipe']} seed {seed}: {row['accuracy']:.2%}", file=sys.stderr)


if __name__ == "__main__":
    main()
