"""What int8 costs in accuracy and saves in bytes, on trained models: one row per run and setting.

    python scripts/int8.py RUN …          # appends to results/int8.jsonl what it lacks
    python scripts/int8.py --table        # the rows as Markdown

RUN is a run folder of `zoo train`. Ranges are learnt from 200 training samples, accuracies measured
on the test split, by LCE's interpreter.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "results" / "int8.jsonl"
CALIBRATION_SAMPLES = 200
SETTINGS = [("layers", "mse"), ("layers", "minmax"), ("layers", "percentile"), ("all", "mse")]

sys.path.insert(0, str(ROOT))


def rows_of(folder: Path, most: int, known: set[tuple]) -> list[dict]:
    """The rows of one run: the settings that are not among the known ones."""
    import zoo
    from convert.conversion import Samples, convert_model
    from convert.int8.settings import Int8
    from convert.samples import spread_samples
    from onebit import provenance

    run = zoo.load_run(folder)
    card, dataset = run.card, zoo.load_dataset(run.card["dataset"]["name"])
    train = Samples([run.preprocessing(dataset.train.images)], None, "train")
    inputs = spread_samples(train, CALIBRATION_SAMPLES)
    test = Samples(
        [run.preprocessing(run.samples.images[:most])], run.samples.labels[:most], "test"
    )
    rows = []
    plain = None
    for scope, ranges in SETTINGS:
        if (card["model_sha256"], scope, ranges) in known:
            continue
        plain = plain or convert_model(run.model)
        settings = Int8(inputs, ranges=ranges, scope=scope)
        conversion = convert_model(run.model, samples=test, int8=settings)
        verification, layers = conversion.report.verification, conversion.report.layers
        noise = [
            piece.snr_db
            for piece in (verification.quantization.pieces if verification.quantization else [])
            if piece.snr_db is not None
        ]
        row = {
            "schema_version": 1,
            "model": card["name"],
            "options": dict(card["options"]),
            "dataset": card["dataset"]["name"],
            "model_sha256": card["model_sha256"],
            "seed": card["seed"],
            "train_command": card["command"],
            "command": f"python scripts/int8.py RUN --samples {most}",
            "commit": provenance.commit(),
            "date": provenance.utc_now(),
            "scope": scope,
            "ranges": ranges,
            "calibration_split": "train",
            "calibration_samples": len(inputs[0]),
            "split": "test",
            "samples": verification.samples,
            "float_bytes": len(plain.tflite),
            "bytes": len(conversion.tflite),
            "layers": {
                kind: sum(layer.kind == kind for layer in layers)
                for kind in sorted({layer.kind for layer in layers})
            },
            "accuracy_keras": verification.accuracy_keras,
            "accuracy_file": verification.accuracy_file,
            "agreement": verification.agreement,
            "verdict": verification.summary(),
            "least_snr_db": min(noise) if noise else None,
        }
        rows.append(row)
        print(row["model"], row["dataset"], scope, ranges, row["verdict"], file=sys.stderr)
    return rows


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table; accuracies in percent, sizes in kB of 1000 bytes."""
    headings = ["model", "data", "scope", "ranges", "layers", "float file", "int8 file"]
    headings += ["accuracy in Keras", "in the file", "argmax agrees", "least signal to noise"]
    lines = [headings, ["---"] * len(headings)]
    for row in sorted(rows, key=lambda row: (row["dataset"], row["model"])):
        snr = row["least_snr_db"]
        lines.append(
            [
                row["model"],
                row["dataset"],
                row["scope"],
                row["ranges"],
                ", ".join(f"{n} {k.replace('_', ' ')}" for k, n in row["layers"].items()),
                f"{row['float_bytes'] / 1e3:.0f} kB",
                f"{row['bytes'] / 1e3:.0f} kB",
                f"{row['accuracy_keras']:.2%}",
                f"{row['accuracy_file']:.2%}",
                f"{row['agreement']:.2%}",
                "–" if snr is None else f"{snr:.0f} dB",
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Appends the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="run folders of zoo train")
    parser.add_argument("--samples", type=int, default=1000, help="test samples at most")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown instead")
    options = parser.parse_args()
    rows = [json.loads(line) for line in OUTPUT.read_text().splitlines()] if OUTPUT.exists() else []
    if options.table:
        print(table(rows), end="")
        return
    known = {(row["model_sha256"], row["scope"], row["ranges"]) for row in rows}
    for folder in options.runs:
        new = rows_of(folder, options.samples, known)
        with OUTPUT.open("a") as file:
            file.writelines(json.dumps(row, allow_nan=False) + "\n" for row in new)


if __name__ == "__main__":
    main()
