"""Measures every trained network that ships with Onebit, as Keras and as a converted file.

    python -m benchmarks.shipped_weights [MODEL@DATASET …]
    python -m benchmarks.shipped_weights --table

The accuracy in Keras is over the whole test split; the converted file is compared with Keras on the
first thousand of its samples. Rows that results/shipped_weights.jsonl has of the same file of
weights are not made again.
"""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import RESULTS, append_row
from benchmarks.wrong_images import share_error
from onebit.console import markdown_table
from onebit.files import read_json_lines, sha256

OUTPUT = RESULTS / "shipped_weights.jsonl"
COMPARED = 1000


def shipped() -> list[str]:
    """`MODEL@DATASET` of all weights that ship."""
    import zoo
    from zoo.runs.packed_weights import pretrained

    return [f"{name}@{tag}" for name in zoo.names() for tag in pretrained(name)]


def row_of(weights: str) -> dict[str, Any]:
    """The row of a network with the weights that ship."""
    from convert.conversion import convert_model
    from convert.samples import Samples
    from onebit import provenance
    from zoo.datasets import load_dataset
    from zoo.runs.packed_weights import load_trained, pretrained_path
    from zoo.training.evaluation import accuracy

    name, tag = weights.split("@")
    run, file = load_trained(name, tag), pretrained_path(name, tag)
    card = run.card
    split = load_dataset(card["dataset"]["name"]).test
    few = split.first(COMPARED)
    inputs = few.images if run.preprocessing is None else run.preprocessing(few.images)
    conversion = convert_model(run.model, samples=Samples([inputs], few.labels, "test"))
    checked = conversion.report.verification
    assert checked is not None  # noqa: S101 - there are samples
    return {
        "schema_version": 1,
        "weights": weights,
        "weights_bytes": file.stat().st_size,
        "weights_sha256": sha256(file),
        "parameters": card["parameters"],
        "recipe": card["recipe"],
        "seed": card["seed"],
        "epoch": card.get("epoch"),  # absent where it is the last
        "train_command": card["command"],
        "train_commit": card["commit"],
        "dataset_sha256": card["dataset"]["sha256"],
        "split": "test",
        "samples": len(split),
        "accuracy": accuracy(run.model, split, run.preprocessing),
        "card_accuracy": card["accuracy"]["value"],
        "file": {
            "bytes": len(conversion.tflite),
            "layers": conversion.report.kinds(),
            "samples": checked.samples,
            "verdict": checked.summary(),
            "accuracy": checked.accuracy_file,
            "accuracy_keras": checked.accuracy_keras,
        },
        "command": shlex.join(["python", "-m", "benchmarks.shipped_weights", weights]),
        "commit": provenance.commit(),
        "date": provenance.utc_now(),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as Markdown, the newest of each network."""
    headings = [
        *("weights", "recipe", "seed", "test samples", "accuracy", "file of weights"),
        *("converted", "verdict"),
    ]
    newest = {row["weights"]: row for row in rows}
    lines = []
    for name, row in sorted(newest.items()):
        share, samples = row["accuracy"], row["samples"]
        error = share_error(share, samples)
        lines.append(
            [
                *(f"`{name}`", f"`{row['recipe']}`", str(row["seed"]), f"{samples:,}"),
                f"{100 * share:.2f} ± {100 * error:.2f} %",
                *(f"{size / 1e3:.1f} kB" for size in (row["weights_bytes"], row["file"]["bytes"])),
                row["file"]["verdict"],
            ]
        )
    return markdown_table(lines, headings)


def main() -> None:
    """Measures what has no row yet, or prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("weights", nargs="*", metavar="MODEL@DATASET", help="all when absent")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown")
    options = parser.parse_args()
    if options.table:
        print(table(read_json_lines(OUTPUT)), end="")
        return
    known = shipped()
    if unknown := set(options.weights) - set(known):
        parser.error(f"no weights {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    from zoo.runs.packed_weights import pretrained_path

    done = {row["weights_sha256"] for row in read_json_lines(OUTPUT)}
    for weights in options.weights or known:
        if sha256(pretrained_path(*weights.split("@"))) not in done:
            print(weights, file=sys.stderr, flush=True)
            append_row(OUTPUT, row_of(weights))


if __name__ == "__main__":
    main()
