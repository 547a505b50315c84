"""BinaryConnect's table 2 on Fashion-MNIST: none, dropout, deterministic and stochastic.

    python -m benchmarks.paper_order [VARIANT …] [--train-images 10000] [--epochs 300] [--seeds 5]
    python -m benchmarks.paper_order --table
    python -m benchmarks.paper_order --pairs

Trains the recipes `VARIANT_paper_fashion_mnist`, the first seed of all, then the second and so on,
and appends a row after each to results/paper_order.jsonl. Rows that are there are not made again,
and an interrupted training resumes: a later session goes on where this one ended. Runs lie in
runs/paper_order. A seed fixes the order of the images, so differences to "none" are paired.
Training multiplies in bfloat16 unless --compute says otherwise; every test is in float32.

A row holds which of the 10,000 test images were wrong (a bit each, the first image's in the highest
bit). The table has two standard errors of a difference: over seeds, which is that of another
training, and over test images, which is that of other images, known with one seed too.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import RESULTS, ROOT, RUNS, append_row
from benchmarks.wrong_images import (
    difference_cells,
    mean_and_error,
    packed_wrong_images,
    pairs_table,
    wrong_by_seed,
)
from onebit.cli import markdown_table
from onebit.files import read_json_lines

OUTPUT = RESULTS / "paper_order.jsonl"
FOLDER = RUNS / "paper_order"
DATASET = "fashion_mnist"
VARIANTS = {
    "float_mlp": "none",
    "float_mlp_dropout": "50 % dropout",
    "binary_connect_mlp": "BinaryConnect, deterministic",
    "binary_connect_mlp_stochastic": "BinaryConnect, stochastic",
}
"""Recipe without its ending → what the paper calls it, in the paper's order."""

VALIDATE_EVERY = 5
"""The program's every second epoch would take a third of the time; it has 500 epochs to choose
from, 300 epochs have 60."""

CURVE_EPOCHS = 20
"""A row's curve has every epoch of this multiple, and the last."""


def row_of(variant: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Trains a variant, or finishes its training, and returns its row."""
    recipe = f"{variant}_paper_{DATASET}"
    settings = {
        "epochs": options.epochs,
        "validate_every": VALIDATE_EVERY,
        "train_samples": options.train_images,
        "compute": options.compute,
    }
    name = f"{variant}-{options.train_images}-{options.epochs}-{options.compute}-seed{seed}"
    folder = FOLDER / name
    command = ["python", "-m", "zoo", "train", recipe, "-o", str(folder.relative_to(ROOT))]
    command += ["--seed", str(seed)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    threads = {key: str(options.threads) for key in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")}
    subprocess.run(
        [sys.executable, *command[1:]], cwd=ROOT, check=True, env={**os.environ, **threads}
    )
    return {**_figures(folder), "variant": variant, "recipe": recipe, "seed": seed, **settings} | {
        "command": " ".join(command)
    }


def _figures(folder: Path) -> dict[str, Any]:
    """The figures of a finished run."""
    import zoo
    from zoo.datasets import load_dataset

    run = zoo.load_run(folder)
    test = load_dataset(DATASET).test
    config = json.loads((folder / "config.json").read_text())
    epoch, last = run.card["epoch"], len(run.history)
    return {
        "schema_version": 1,
        "dataset": DATASET,
        "train_images": run.card["dataset"]["train_samples"],
        "test_images": len(test),
        "accuracy": run.card["accuracy"]["value"],
        "latent_weights_accuracy": run.card["latent_weights_accuracy"],
        **packed_wrong_images(run, test),
        "epoch": epoch,
        "curve": {
            key: {
                line["epoch"]: round(line[key], 5)
                for line in run.history
                if line["epoch"] % CURVE_EPOCHS == 0 or line["epoch"] in (epoch, last)
            }
            for key in ("accuracy", "val_accuracy", "val_latent_weights_accuracy")
            if key in run.history[-1]
        },
        "commit": config["commit"],
        "finished_by_commit": run.card["commit"],
        "versions": config["versions"],
        "date": run.card["created"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Test errors and paired differences to "none", each with its standard errors, in percent."""
    lines = []
    for setting in dict.fromkeys(_setting(row) for row in rows):
        alike = [row for row in rows if _setting(row) == setting]
        base = {row["seed"]: row for row in alike if row["variant"] == "float_mlp"}
        for variant, label in VARIANTS.items():
            own = {row["seed"]: row for row in alike if row["variant"] == variant}
            cases = {"wrong": label}
            if variant.endswith("stochastic"):
                cases = {
                    "latent_weights_wrong": f"{label}, real weights at test",
                    "wrong": f"{label}, signs at test",
                }
            for key, text in cases.items():
                if own:
                    lines.append([*setting[:2], text, *_cells(own, key, base, variant)])
    headings = [
        *("training images", "epochs", "regularizer", "seeds", "training accuracy, last epoch"),
        *("test error", "minus none", "s.e. over seeds", "s.e. over images"),
    ]
    return markdown_table(lines, headings)


STOCHASTIC_SIGNS = "stochastic, signs at test"
STOCHASTIC_LATENT = "stochastic, real weights at test"
PAIRS = ((STOCHASTIC_LATENT, "deterministic"), (STOCHASTIC_SIGNS, STOCHASTIC_LATENT))
"""Trainings that are compared beside those with "none"."""


def pairs(rows: list[dict[str, Any]]) -> str:
    """The differences of `PAIRS`, of the setting that has most rows."""
    settings = [_setting(row) for row in rows]
    most = max(settings, key=settings.count)
    cases = {
        "deterministic": ("binary_connect_mlp", "wrong"),
        STOCHASTIC_SIGNS: ("binary_connect_mlp_stochastic", "wrong"),
        STOCHASTIC_LATENT: ("binary_connect_mlp_stochastic", "latent_weights_wrong"),
    }
    wrong = {
        label: wrong_by_seed(
            [row for row in rows if row["variant"] == variant and _setting(row) == most],
            key,
            "test_images",
        )
        for label, (variant, key) in cases.items()
    }
    return pairs_table(PAIRS, wrong)


def _setting(row: dict[str, Any]) -> tuple[str, str, str]:
    return f"{row['train_images']:,}", str(row["epochs"]), row["compute"]


def _cells(
    own: dict[int, dict[str, Any]], key: str, base: dict[int, dict[str, Any]], variant: str
) -> list[str]:
    """The last six columns of a line."""
    wrong = wrong_by_seed(own.values(), key, "test_images")
    errors = np.array([100.0 * images.mean() for images in wrong.values()])
    fits = [list(row["curve"]["accuracy"].values())[-1] for row in own.values()]
    cells = [str(len(own)), f"{100 * np.mean(fits):.2f}", mean_and_error(errors)]
    others = {} if variant == "float_mlp" else base
    return [
        *cells,
        *difference_cells(wrong, wrong_by_seed(others.values(), images="test_images")),
    ]


def main() -> None:
    """Trains what has no row yet, or prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help=", ".join(VARIANTS))
    parser.add_argument("--train-images", type=int, default=10_000, help="at most 50,000")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1 to this number")
    parser.add_argument("--compute", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown")
    parser.add_argument("--pairs", action="store_true", help="print further differences")
    options = parser.parse_args()
    if unknown := set(options.variants) - set(VARIANTS):
        parser.error(f"no variant {', '.join(sorted(unknown))}; known: {', '.join(VARIANTS)}")
    rows = read_json_lines(OUTPUT)
    if options.table:
        print(table(rows))
        return
    if options.pairs:
        print(pairs(rows), end="")
        return
    keys = ("variant", "seed", "train_samples", "epochs", "compute")
    done = {tuple(row[key] for key in keys) for row in rows}
    for seed in range(1, options.seeds + 1):
        for variant in options.variants or VARIANTS:
            if (variant, seed, options.train_images, options.epochs, options.compute) in done:
                continue
            row = row_of(variant, seed, options)
            append_row(OUTPUT, row)
            print(f"{variant} seed {seed}: {row['accuracy']:.2%}", file=sys.stderr)


if __name__ == "__main__":
    main()
