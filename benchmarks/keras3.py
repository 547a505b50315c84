"""The zoo's networks in Larq's Keras 2 and in Keras 3, trained alike on Fashion-MNIST.

    python -m benchmarks.keras3 [--epochs 1] [--seeds 3] [NAME …]
    python -m benchmarks.keras3 --table

Both forms have the same layers, losses, optimizers and batches. With one seed, both versions of
Keras draw the same initial weights and the same order of images, so that a difference is one of the
layers, of the quantizers' gradients or of rounding. Each run is a process of its own, for
TensorFlow has one Keras per process. Rows that results/keras3.jsonl has are not made again.
"""

import argparse
import functools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import RESULTS, append_row
from onebit import provenance
from onebit.console import markdown_table
from onebit.errors import OnebitError
from onebit.files import read_json_lines

OUTPUT = RESULTS / "keras3.jsonl"
NAMES = ("binary_net_mlp", "binary_connect_mlp")
FORMS = ("larq", "keras3")
BATCH, RATE = 200, 3e-3


def train(form: str, name: str, epochs: int, seed: int) -> float:
    """Trains a network in this process; returns its accuracy on the 10,000 test images."""
    import numpy as np

    keras, make = _keras_and_model(form, name)
    from zoo.datasets import load_dataset

    dataset = load_dataset("fashion_mnist")
    train_set: Any = dataset.train
    test_set: Any = dataset.test
    keras.utils.set_random_seed(seed)
    model = make()
    # With ±1 for every class, Keras' squared hinge is the zoo's: one class against the rest.
    model.compile(keras.optimizers.Adam(RATE), keras.losses.SquaredHinge())
    targets = 2 * np.eye(10, dtype=np.float32)[train_set.labels] - 1
    model.fit(_numbers(train_set.images), targets, BATCH, epochs, verbose=0)
    outputs = model.predict(_numbers(test_set.images), 1000, verbose=0)
    return float((outputs.argmax(-1) == test_set.labels).mean())


def _keras_and_model(form: str, name: str) -> tuple[Any, Callable[[], Any]]:
    """Keras 2 or 3, and what builds a network in it."""
    if form == "larq":
        from onebit.keras import keras as keras2
        from zoo.factory import build

        return keras2, functools.partial(build, name)
    import keras

    from zoo.keras3 import models

    return keras, getattr(models, name)


def _numbers(images: Any) -> Any:
    """Bytes as numbers from -1 to 1."""
    return images.astype("float32") / 127.5 - 1


def row_of(form: str, name: str, epochs: int, seed: int) -> dict[str, Any]:
    """The row of one training, in a process of its own."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    if form == "keras3":
        environment.pop("TF_USE_LEGACY_KERAS", None)
    command = [sys.executable, "-m", __spec__.name, "--worker", form, name, str(epochs), str(seed)]
    start = time.perf_counter()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        reason = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise OnebitError(f"{form} {name} failed: {reason}")
    return {
        "schema_version": 1,
        "model": name,
        "form": form,
        "dataset": "fashion_mnist",
        "epochs": epochs,
        "seed": seed,
        "accuracy": float(ended.stdout.split()[-1]),
        "test_images": 10_000,
        "seconds": round(time.perf_counter() - start, 1),
        "commit": provenance.commit(),
        "date": provenance.utc_now(),
        "command": f"python -m benchmarks.keras3 --epochs {epochs} {name}",
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: mean and standard error over the seeds, in percent."""
    lines = []
    for name, epochs in dict.fromkeys((row["model"], row["epochs"]) for row in rows):
        cells = [name, str(epochs)]
        for form in FORMS:
            found = [
                100 * row["accuracy"]
                for row in rows
                if (row["model"], row["epochs"], row["form"]) == (name, epochs, form)
            ]
            cells.append(_mean(found))
        lines.append(cells)
    return markdown_table(lines, ["network", "epochs", "Larq, Keras 2", "`zoo.keras3`, Keras 3"])


def _mean(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.2f} (1)" if values else "–"
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.2f} ± {error:.2f} ({len(values)})"


def main() -> None:
    """Trains what has no row yet, or prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(NAMES))
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this number")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        form, name, epochs, seed = arguments.worker
        print(train(form, name, int(epochs), int(seed)))
        return
    rows = read_json_lines(OUTPUT)
    if arguments.table:
        print(table(rows))
        return
    done = {(row["form"], row["model"], row["epochs"], row["seed"]) for row in rows}
    for name in arguments.names:
        for seed in range(1, arguments.seeds + 1):
            for form in FORMS:
                if (form, name, arguments.epochs, seed) in done:
                    continue
                row = row_of(form, name, arguments.epochs, seed)
                append_row(OUTPUT, row)
                print(f"{name} {form} seed {seed}: {row['accuracy']:.2%}", file=sys.stderr)


if __name__ == "__main__":
    main()
