"""Trains recipes of mnist_5k on its five folds, so that all 5,000 digits are tested once.

These are the recipes as they are: a fold has no validation split to choose an epoch by.

    python -m benchmarks.cross_validation [RECIPE …]
    python -m benchmarks.cross_validation --table

Appends a row for each recipe and fold to results/cross_validation.jsonl; rows that are there are
not made again, and an interrupted training resumes. Runs lie in runs/cross_validation. Training
multiplies in bfloat16 where the processor can; every test is in float32.
"""

import argparse
import subprocess
import sys
from typing import Any

import numpy as np

from benchmarks import RESULTS, ROOT, RUNS, append_row
from benchmarks.wrong_images import packed_wrong_images, standard_error, unpacked
from onebit.cli import markdown_table
from onebit.files import read_json_lines

OUTPUT = RESULTS / "cross_validation.jsonl"
FOLDER = RUNS / "cross_validation"
FOLDS = range(1, 6)
COMPUTE = "bfloat16"
BASELINES = {
    "xnor_net_lenet5_mnist_5k": "float_lenet5_mnist_5k",
    "binary_resnet8_mnist_5k": "float_resnet8_mnist_5k",
    "binary_connect_mlp_mnist_5k": "float_mlp_mnist_5k",
    "binary_connect_mlp_stochastic_mnist_5k": "float_mlp_mnist_5k",
    "float_mlp_dropout_mnist_5k": "float_mlp_mnist_5k",
    "binary_net_mlp_mnist_5k": "float_mlp_mnist_5k",
}
"""Recipe → that of what it is compared with."""

RECIPES = list(dict.fromkeys(name for pair in BASELINES.items() for name in reversed(pair)))
"""All of these, a baseline before what is compared with it."""

WEIGHTS = {"latent_weights_wrong": ", real weights at test", "wrong": ""}
"""A row's entries of wrong digits → how the table calls them."""


def row_of(recipe: str, fold: int) -> dict[str, Any]:
    """Trains a recipe on a fold, or finishes its training, and returns its row."""
    import zoo
    from zoo.datasets import load_dataset

    folder = FOLDER / f"{recipe}-fold{fold}"
    dataset = f"mnist_5k_fold_{fold}"
    command = ["python", "-m", "zoo", "train", recipe, "-o", str(folder.relative_to(ROOT))]
    command += ["--set", f"dataset={dataset}", "--set", f"compute={COMPUTE}"]
    subprocess.run([sys.executable, *command[1:]], cwd=ROOT, check=True)
    run = zoo.load_run(folder)
    test = load_dataset(dataset).test
    return {
        "schema_version": 1,
        "recipe": recipe,
        "fold": fold,
        "seed": run.card["seed"],
        "epochs": len(run.history),
        "accuracy": run.card["accuracy"]["value"],
        "train_accuracy": round(run.history[-1]["accuracy"], 5),
        "test_images": len(test),
        **packed_wrong_images(run, test),
        "commit": run.card["commit"],
        "date": run.card["created"],
        "command": " ".join(command),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Test errors over the folds, and differences to the float baseline digit by digit, in percent.

    A difference is taken over the folds that both have.
    """
    wrong: dict[tuple[str, str], dict[int, Any]] = {}
    for row in rows:
        for key in WEIGHTS:
            if row.get(key):
                bits = 100.0 * unpacked(row[key], row["test_images"])
                wrong.setdefault((row["recipe"], key), {})[row["fold"]] = bits
    lines = []
    for recipe, key in ((recipe, key) for recipe in RECIPES for key in WEIGHTS):
        if (recipe, key) not in wrong:
            continue
        own, base = wrong[recipe, key], wrong.get((BASELINES.get(recipe, ""), "wrong"), {})
        digits = np.concatenate(list(own.values()))
        cells = [f"`{recipe}`{WEIGHTS[key]}", str(len(own)), f"{len(digits):,}"]
        cells.append(f"{digits.mean():.2f} ± {standard_error(digits):.2f}")
        common = sorted(own.keys() & base.keys())
        if common:
            difference = np.concatenate([own[fold] - base[fold] for fold in common])
            cells.append(f"{difference.mean():+.2f} ± {standard_error(difference):.2f}")
        lines.append([*cells, "–"][:5])
    return markdown_table(lines, ["recipe", "folds", "digits", "test error", "minus baseline"])


def main() -> None:
    """Trains what has no row yet, or prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", default=RECIPES)
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown")
    options = parser.parse_args()
    if unknown := set(options.recipes) - set(RECIPES):
        parser.error(f"no recipe {', '.join(sorted(unknown))}; known: {', '.join(RECIPES)}")
    rows = read_json_lines(OUTPUT)
    if options.table:
        print(table(rows))
        return
    done = {(row["recipe"], row["fold"]) for row in rows}
    for fold in FOLDS:
        for recipe in options.recipes:
            if (recipe, fold) in done:
                continue
            row = row_of(recipe, fold)
            append_row(OUTPUT, row)
            print(f"{recipe} fold {fold}: {row['accuracy']:.2%}", file=sys.stderr)


if __name__ == "__main__":
    main()
