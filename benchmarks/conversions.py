"""Converts every architecture of larq-zoo and of the zoo, one row of results each.

    python -m benchmarks.conversions [NAME …]

Rows that results/conversions.jsonl has already are not made again.

Weights are random; batch normalisation is calibrated on random images, so that binary activations
are balanced as in a trained network. Each model has a separate process, which may fail or be
killed without harm to the others; its row is appended when it is done. Seconds are CPU time, that
of the converter's own process included: wall-clock time would count the machine's other work.
"""

import argparse
import json
import resource
import signal
import subprocess
import sys
from typing import Any

from benchmarks import RESULTS, append_row
from onebit.files import read_json_lines

OUTPUT = RESULTS / "conversions.jsonl"
CALIBRATION_IMAGES, SAMPLES, SEED = 8, 4, 0


def names() -> list[str]:
    """`larq_zoo:NAME` and `zoo:NAME` of every architecture, larq-zoo's own once."""
    from onebit.keras import keras  # noqa: F401 - sets Keras up before larq-zoo imports it
    import larq_zoo  # isort: skip
    import zoo
    from zoo.models import models

    theirs = [*larq_zoo.literature.__all__, *larq_zoo.sota.__all__]
    # The zoo's networks with Larq's weights are larq-zoo's own; BERT's base size is there to be
    # built: its float form takes 440 MB.
    ours = [
        name
        for name in zoo.names()
        if "weights" not in models.get(name).options and not name.endswith("bert_base")
    ]
    return [f"larq_zoo:{name}" for name in sorted(theirs)] + [f"zoo:{name}" for name in ours]


def build(name: str) -> Any:
    """The untrained model of a name that `names` gives."""
    from onebit.keras import keras

    keras.utils.set_random_seed(SEED)
    package, _, model = name.partition(":")
    if package == "zoo":
        import zoo

        return zoo.build(model)
    import larq_zoo

    factory = getattr(larq_zoo.literature, model, None) or getattr(larq_zoo.sota, model)
    return factory(weights=None)


def calibrate(model: Any) -> None:
    """Gives batch normalisations random scales, and the statistics of random images."""
    import numpy as np

    from convert.keras_model.layer_graph import flat_layers
    from convert.keras_model.samples import random_samples
    from onebit.keras import keras

    random = np.random.default_rng(SEED)
    for layer in flat_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            if layer.gamma is not None:
                layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
            if layer.beta is not None:
                layer.beta.assign(random.normal(0, 0.3, layer.beta.shape))
            layer.momentum = 0.0
    images = random_samples(model, CALIBRATION_IMAGES, SEED + 1).arrays
    model(images[0], training=True)


def cpu_seconds() -> float:
    """CPU time of this process and of those that it has started and that have ended."""
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def lce_row_of(name: str) -> dict:
    """Size and time of one architecture converted by LCE's own `convert_keras_model`."""
    from convert.errors import ConversionError
    from convert.runtimes.lce import plain_lce

    model = build(name)
    calibrate(model)
    start = cpu_seconds()
    try:
        size = len(plain_lce(model))
    except ConversionError as error:
        return {"lce_bytes": None, "lce_reason": str(error)[:300]}
    return {"lce_bytes": size, "lce_cpu_seconds": round(cpu_seconds() - start, 1)}


def row_of(name: str) -> dict:
    """The row of one architecture."""
    from convert.conversion import convert_model
    from convert.errors import ConversionError
    from convert.keras_model.samples import random_samples
    from convert.runtimes.lce import VERSION
    from convert.verification import verify
    from onebit import provenance

    model = build(name)
    calibrate(model)
    row = {
        "schema_version": 1,
        "model": name,
        "input_shape": model.inputs[0].shape.as_list()[1:],
        "parameters": model.count_params(),
        "lce_version": VERSION,
        "commit": provenance.commit(),
        "date": provenance.utc_now(),
    }
    try:
        start = cpu_seconds()
        conversion = convert_model(model, verification=False)
        row["cpu_seconds"] = round(cpu_seconds() - start, 1)
    except ConversionError as error:
        return {**row, "status": "failed", "reason": str(error)[:300]}
    report = conversion.report
    macs = [layer.macs for layer in report.layers]
    reasons = sorted({str(layer.reason) for layer in report.layers if layer.kind == "float"})
    row.update(
        status="converted",
        bytes=len(conversion.tflite),
        layers=report.kinds(),
        binary_mac_share=round(report.totals.binary_macs / sum(macs), 4),
        binary_weight_mac_share=round(report.totals.binary_weight_macs / sum(macs), 4),
        float_reasons=reasons,
        rewrites={rewrite: len(layers) for rewrite, layers in report.rewrites.items()},
        passes={step: len(changed) for step, changed in report.passes.items()},
        notes=report.notes,
    )
    try:
        result = verify(model, conversion.tflite, random_samples(model, SAMPLES))
    except ConversionError as error:
        return {**row, "verdict": None, "reason": str(error)[:300]}
    return {
        **row,
        "verdict": result.summary(),
        "agreement": result.agreement,
        "max_abs_difference": result.max_abs_difference,
        "compared_layers": len(result.compared_layers),
    }


def main() -> None:
    """Appends the rows that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="such as larq_zoo:QuickNet; all when absent")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown instead")
    parser.add_argument("--seconds", metavar="NAME", help="time plain LCE and Onebit in turn")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--lce", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one or options.lce:
        row = row_of(options.one) if options.one else lce_row_of(options.lce)
        print(json.dumps(row, allow_nan=False))
        return
    if options.seconds:
        print(json.dumps(seconds_of(options.seconds)))
        return
    if options.table:
        print(table(read_json_lines(OUTPUT)), end="")
        return
    done = {row["model"] for row in read_json_lines(OUTPUT)}
    OUTPUT.parent.mkdir(exist_ok=True)
    for name in options.names or names():
        if name in done:
            continue
        print(name, file=sys.stderr, flush=True)
        row = run("--one", name) | {"model": name}
        lce = run("--lce", name)
        if "status" in lce:
            lce = {"lce_bytes": None, "lce_reason": lce["reason"]}
        append_row(OUTPUT, {**row, **lce})


def seconds_of(name: str, rounds: int = 4) -> dict:
    """CPU seconds of plain LCE and of Onebit without verification, in turn in one process."""
    from convert.conversion import convert_model
    from convert.runtimes.lce import plain_lce
    from onebit import provenance

    model = build(name)
    calibrate(model)
    plain_lce(model)  # the first conversion sets TensorFlow up
    seconds: dict[str, list[float]] = {"lce_cpu_seconds": [], "cpu_seconds": []}
    for _ in range(rounds):
        converters = (
            ("lce_cpu_seconds", plain_lce),
            ("cpu_seconds", lambda model: convert_model(model, verification=False)),
        )
        for key, convert in converters:
            start = cpu_seconds()
            convert(model)
            seconds[key].append(round(cpu_seconds() - start, 2))
    return {"model": name, "date": provenance.utc_now(), "commit": provenance.commit(), **seconds}


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table: sizes in MB of 10^6 bytes, times in seconds."""
    from onebit.console import markdown_table

    def number(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    headings = ["architecture", "plain LCE", "Onebit", "binary layers", "binary MACs"]
    headings += ["±1 weights only", "verdict", "plain LCE, s", "Onebit, s"]
    lines = []
    for row in sorted(rows, key=lambda row: row["model"].lower()):
        if row["status"] != "converted":
            lines.append([row["model"], "–", row["reason"], *["–"] * 6])
            continue
        layers = row["layers"]
        plain = row["lce_bytes"]
        lines.append(
            [
                row["model"].replace("larq_zoo:", "").replace("zoo:", "`zoo:`"),
                "fails" if plain is None else f"{plain / 1e6:.2f} MB",
                f"{row['bytes'] / 1e6:.2f} MB",
                f"{layers.get('binary', 0)} of {sum(layers.values())}",
                f"{row['binary_mac_share']:.1%}",
                f"{row['binary_weight_mac_share']:.1%}",
                row["verdict"] or row["reason"],
                number(row.get("lce_cpu_seconds"), ".1f"),
                number(row.get("cpu_seconds"), ".1f"),
            ]
        )
    return markdown_table(lines, headings)


def run(option: str, name: str, module: str = "benchmarks.conversions") -> dict:
    """The row that a separate process prints, or how that process ended."""
    command = [sys.executable, "-m", module, option, name]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return json.loads(result.stdout.strip().splitlines()[-1])
    if result.returncode < 0:
        reason = f"the process was ended by {signal.Signals(-result.returncode).name}"
    else:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1][:300]
    return {"schema_version": 1, "status": "failed", "reason": reason}


if __name__ == "__main__":
    main()
