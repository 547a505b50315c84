"""Trains the recipes that the project reports accuracies of, one row of results a recipe and seed.

    python -m benchmarks.accuracies [RECIPE …]

Rows that results/accuracies.jsonl has already are not made again.

An interrupted training resumes; runs lie in runs/accuracies, and a teacher that has a row too is
trained once. `--table`, `--gaps`, `--keywords`, `--errors` and `--latent` show the rows.
Training multiplies in bfloat16 where the processor can; every accuracy is measured in float32, on
the test split, of the epoch that the recipe selects.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import RESULTS, ROOT, RUNS, append_row
from benchmarks.stages import share_stages
from benchmarks.wrong_images import (
    difference_cells,
    mean_and_error,
    packed_wrong_images,
    share_error,
    wrong_by_seed,
)
from onebit.files import read_json_lines
from zoo.runs.run import Run, load_run, with_current_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OUTPUT = RESULTS / "accuracies.jsonl"
FOLDER = RUNS / "accuracies"
COMPUTE = "bfloat16"
BINS = 50

MLPS = (
    "float_mlp",
    "float_mlp_dropout",
    "binary_connect_mlp",
    "binary_connect_mlp_stochastic",
    "binary_net_mlp",
)
CNNS = ("binary_net_cnn", "float_cnn")
SMALL_CNNS = ("xnor_net_lenet5", "float_lenet5", "binary_resnet8", "float_resnet8")
NIN = ("xnor_net_nin", "float_nin")
CNN_GAP = ("float_cnn_paper", "binary_net_cnn_paper", "binary_net_cnn_distilled")
GAPS = {
    "binary_net_cnn_paper_fashion_mnist": "float_cnn_paper_fashion_mnist",
    "binary_net_cnn_distilled_fashion_mnist": "float_cnn_paper_fashion_mnist",
    "xnor_net_lenet5_fashion_mnist": "float_lenet5_fashion_mnist",
    "xnor_net_nin_mnist_5k": "float_nin_mnist_5k",
}
"""Recipe → that of its float baseline, of the same budget, for `--gaps`."""

RECIPES_OF_GAPS = tuple(dict.fromkeys(name for pair in GAPS.items() for name in reversed(pair)))
"""All of these, a baseline before what is compared with it."""
BNEXT = ("bnext_mini", "float_bnext_mini")
KEYWORDS = "spoken_keywords_synthetic"
TRANSFORMERS = ("bhvit_micro", "float_bhvit_micro")
PLAN = [
    *((f"{model}_fashion_mnist", 1) for model in (*MLPS, *CNNS)),
    *((f"{model}_mnist_5k", seed) for seed in (1, 2, 3) for model in MLPS),
    *((f"{model}_fashion_mnist", seed) for seed in (2, 3) for model in MLPS),
    *((f"{model}_mnist_5k", seed) for seed in (1, 2, 3) for model in SMALL_CNNS),
    *((f"{model}_fashion_mnist", 1) for model in SMALL_CNNS[:2]),
    *((f"{model}_mnist_5k", 1) for model in (*CNNS, *NIN)),
    *((f"{recipe}_fashion_mnist", seed) for seed in (1, 2, 3) for recipe in CNN_GAP),
    *((f"{model}_mnist_5k", 1) for model in BNEXT),
    *((f"{model}_{KEYWORDS}", 1) for model in ("binary_ds_cnn", "float_ds_cnn")),
    *((f"{model}_{KEYWORDS}_log_mel", 1) for model in ("bifsmn", "dfsmn")),
    *((f"{model}_mnist_5k", 1) for model in TRANSFORMERS),
]
"""Trainings in order: (recipe, seed)."""

REPORTED = {
    ("float_mlp", "accuracy"): "98.70 ± 0.04",
    ("float_mlp_dropout", "accuracy"): "98.99 ± 0.04",
    ("binary_connect_mlp", "accuracy"): "98.71 ± 0.08",
    ("binary_connect_mlp_stochastic", "latent_weights_accuracy"): "98.82 ± 0.04",
    ("binary_net_mlp", "accuracy"): "98.60 (Torch7), 99.04 (Theano)",
    ("xnor_net_lenet5", "accuracy"): "99.23",
    ("float_lenet5", "accuracy"): "99.34",
}
"""100 − the errors of BinaryConnect (arXiv 1511.00363), table 2, and of BNN (arXiv 1602.02830),
table 1, whose network has 3×4096 units; both see 50,000 digits for up to 1000 epochs. Those of
LeNet-5 are in the README of https://github.com/jiecaoyu/XNOR-Net-PyTorch."""


def row_of(recipe: str, seed: int) -> dict:
    """Trains a recipe, or finishes its training, and returns its row."""
    from zoo.datasets import load_dataset
    from zoo.recipes import resolve_recipe

    folder = FOLDER / f"{recipe}-seed{seed}"
    share_stages(folder, resolve_recipe(recipe, {"compute": COMPUTE}, seed=seed), FOLDER)
    command = ["python", "-m", "zoo", "train", recipe, "-o", str(folder.relative_to(ROOT))]
    command += ["--seed", str(seed), "--set", f"compute={COMPUTE}"]
    subprocess.run([sys.executable, *command[1:]], cwd=ROOT, check=True)
    card = with_current_names(json.loads((folder / "card.json").read_text()))
    config = json.loads((folder / "config.json").read_text())
    history = read_json_lines(folder / "history.jsonl")
    run = load_run(folder)
    return {
        "schema_version": 1,
        "recipe": recipe,
        "model": card["name"],
        "dataset": card["dataset"]["name"],
        "dataset_sha256": card["dataset"]["sha256"],
        "dataset_source": card["dataset"].get("source"),
        "options": config["options"],
        "settings": config["recipe"],
        "seed": seed,
        "epochs": len(history),
        "epoch": card["epoch"],
        "accuracy": card["accuracy"]["value"],
        "path_accuracies": path_accuracies(run),
        "latent_weights_accuracy": card["latent_weights_accuracy"],
        "split": card["accuracy"]["split"],
        "samples": card["accuracy"]["samples"],
        **packed_wrong_images(run, load_dataset(card["dataset"]["name"]).test),
        "history": {
            key: [round(epoch[key], 5) for epoch in history]
            for key in ("loss", "accuracy", "val_accuracy")
            if history and key in history[0]
        },
        "latent_histogram": latent_histogram(run),
        "model_sha256": card["model_sha256"],
        "versions": config["versions"],
        "commit": config["commit"],
        "finished_by_commit": card["commit"],
        "date": card["created"],
        "command": " ".join(command),
    }


def path_accuracies(run: Run) -> list[float] | None:
    """The test accuracy at each depth of a thinnable network, the deepest first."""
    from zoo.layers.thinnable import path_outputs, thin
    from zoo.training.evaluation import accuracy

    depths = len(path_outputs(run.model))
    if depths == 1:
        return None
    networks = (thin(run.model, path) for path in range(depths))
    return [accuracy(network, run.samples, run.preprocessing) for network in networks]


def latent_histogram(run: Run) -> list[int] | None:
    """How many latent weights of the first layer lie in each of `BINS` parts of [-1, 1]."""
    import numpy as np

    from zoo.training.flip_ratio import latent_kernels

    kernels = latent_kernels(run.model)
    if not kernels:
        return None
    values = next(iter(kernels.values())).numpy()
    return [int(count) for count in np.histogram(values, BINS, (-1, 1))[0]]


def groups(rows: list[dict]) -> list[list[dict]]:
    """The rows that differ in their seeds only, data set by data set, in the order of the plan."""
    order = {recipe: place for place, (recipe, _) in reversed(list(enumerate(PLAN)))}
    found: dict[tuple, list[dict]] = {}
    rows = sorted(rows, key=lambda row: (row["dataset"], order.get(row["recipe"], 0), row["seed"]))
    for row in rows:
        found.setdefault((row["dataset"], row["recipe"]), []).append(row)
    return list(found.values())


def table(rows: list[dict]) -> str:
    """Test accuracies as a Markdown table: the mean over seeds ± the standard deviation.

    What is reported has a separate column: another data set, and longer trainings.
    """
    from onebit.console import markdown_table

    def percent(values: list[float | None]) -> str:
        known = [100 * value for value in values if value is not None]
        if not known:
            return "–"
        spread = f" ± {statistics.stdev(known):.2f}" if len(known) > 1 else ""
        return f"{statistics.mean(known):.2f}{spread} ({len(known)})"

    found = {(group[0]["dataset"], _network(group[0])): group for group in groups(rows)}
    datasets = [name for name in ("mnist_5k", "fashion_mnist") if any(d == name for d, _ in found)]
    headings = ["network", *(f"measured, {name}, %" for name in datasets), "reported, MNIST, %"]
    lines = []
    for network in dict.fromkeys(network for _, network in found):
        cells = {"accuracy": f"`{network}`"}
        # Where signs are trained, latent weights are another network, which nobody would test.
        if network.endswith("_stochastic"):
            cells["latent_weights_accuracy"] = f"`{network}`, latent weights at test"
        for key, label in cells.items():
            measured = [
                percent([row[key] for row in found.get((name, network), [])]) for name in datasets
            ]
            reported = REPORTED.get((network, key), "–")
            if any(cell != "–" for cell in measured):
                lines.append([label, *measured, reported])
    return markdown_table(lines, headings)


def keyword_table(rows: list[dict]) -> str:
    """Test accuracies on the synthetic keywords as a Markdown table, a row a network and seed.

    The standard error is that of the clips, √(p(1 − p)/n), for the one training.
    """
    from onebit.console import markdown_table

    lines = []
    for row in rows:
        if not row["dataset"].startswith(KEYWORDS):
            continue
        accuracies = row["path_accuracies"] or [row["accuracy"]]
        for path, share in enumerate(accuracies):
            blocks = "" if len(accuracies) == 1 else f", {row['options']['blocks'] >> path} blocks"
            error = share_error(share, row["samples"])
            lines.append(
                [
                    f"`{_network(row)}`{blocks}",
                    f"`{row['dataset']}`",
                    row["epochs"],
                    row["seed"],
                    f"{100 * share:.1f} ± {100 * error:.1f}",
                ]
            )
    return markdown_table(lines, ["network", "data set", "epochs", "seed", "measured, %"])


def gaps_table(rows: list[dict]) -> str:
    """How far binary networks are from their float baselines (`GAPS`), as a Markdown table.

    Seeds are paired, and so are images; rows of before these were kept are left out.
    """
    import numpy as np

    from onebit.console import markdown_table

    own = {recipe: [row for row in rows if row["recipe"] == recipe] for recipe in RECIPES_OF_GAPS}
    wrong = {
        recipe: wrong_by_seed(group)
        for recipe, group in own.items()
        if all("wrong" in row for row in group)
    }
    lines = []
    for recipe, bits in wrong.items():
        if not bits:
            continue
        errors = np.array([100.0 * images.mean() for images in bits.values()])
        fits = np.array([100.0 * row["history"]["accuracy"][-1] for row in own[recipe]])
        lines.append(
            [
                *(f"`{recipe}`", own[recipe][0]["epochs"], len(bits), f"{fits.mean():.2f}"),
                mean_and_error(errors),
                *difference_cells(bits, wrong.get(GAPS.get(recipe, ""), {})),
            ]
        )
    headings = [
        *("recipe", "epochs", "seeds", "training accuracy, last epoch", "test error"),
        *("minus float", "s.e. over seeds", "s.e. over images"),
    ]
    return markdown_table(lines, headings)


def _network(row: dict) -> str:
    return row["recipe"].removesuffix(f"_{row['dataset']}")


def plot_errors(rows: list[dict], dataset: str, axes: "Axes") -> None:
    """Draws the validation error of each epoch, one line a recipe: the mean over its seeds."""
    for group in groups([row for row in rows if row["dataset"] == dataset]):
        curves = [row["history"].get("val_accuracy") for row in group]
        if not all(curves):
            continue
        errors = [100 - 100 * statistics.mean(epoch) for epoch in zip(*curves, strict=True)]
        seeds = f"{len(curves)} seed{'s' if len(curves) > 1 else ''}"
        label = f"{_network(group[0])}, {seeds}"
        axes.plot(range(1, len(errors) + 1), errors, label=label)
    axes.set(xlabel="epoch", ylabel="validation error, %", title=dataset, yscale="log")
    axes.set_yticks([5, 6, 7, 8, 10, 12, 15, 20, 30])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


def plot_latent(rows: list[dict], dataset: str, axes: "Axes") -> None:
    """Draws where the first layer's latent weights lie, one line a recipe, of its first seed."""
    for group in groups([row for row in rows if row["dataset"] == dataset]):
        counts = group[0].get("latent_histogram")
        if counts is None:
            continue
        centres = [-1 + (2 * place + 1) / len(counts) for place in range(len(counts))]
        shares = [100 * count / sum(counts) for count in counts]
        axes.plot(centres, shares, label=_network(group[0]))
    title = f"{dataset}: latent weights of the first layer"
    axes.set(xlabel="weight", ylabel="share of the weights, %", title=title, yscale="log")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()


def draw(plot: Callable[..., None], rows: list[dict], dataset: str, path: Path) -> None:
    """Writes a plot as SVG; equal rows give an equal file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "onebit"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    plot(rows, dataset, axes)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


PLOTS = {"errors": plot_errors, "latent": plot_latent}


def main() -> None:
    """Appends the rows that are missing, or shows what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", help="of the plan; all when absent")
    rows_of: dict[str, Any] = {"metavar": "FILE", "type": Path, "nargs": "?", "const": OUTPUT}
    parser.add_argument("--table", **rows_of, help="print the rows, or another file's")
    parser.add_argument("--gaps", **rows_of, help="print the differences to float baselines")
    parser.add_argument("--keywords", **rows_of, help="print those of the synthetic keywords")
    for option in PLOTS:
        parser.add_argument(f"--{option}", nargs=2, metavar=("DATASET", "FILE.svg"), help="draw")
    options = parser.parse_args()
    known = dict.fromkeys(recipe for recipe, _ in PLAN)
    if unknown := set(options.recipes) - set(known):
        parser.error(f"not planned: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    if options.table:
        print(table(with_current_names(read_json_lines(options.table))), end="")
        return
    if options.gaps:
        print(gaps_table(read_json_lines(options.gaps)), end="")
        return
    if options.keywords:
        print(keyword_table(read_json_lines(options.keywords)), end="")
        return
    asked = [(plot, getattr(options, option)) for option, plot in PLOTS.items()]
    for plot, place in asked:
        if place:
            draw(plot, read_json_lines(OUTPUT), place[0], Path(place[1]))
    if any(place for _, place in asked):
        return
    done = {(row["recipe"], row["seed"]) for row in read_json_lines(OUTPUT)}
    OUTPUT.parent.mkdir(exist_ok=True)
    for recipe, seed in PLAN:
        if (recipe, seed) in done or (options.recipes and recipe not in options.recipes):
            continue
        row = row_of(recipe, seed)
        append_row(OUTPUT, row)


if __name__ == "__main__":
    main()
