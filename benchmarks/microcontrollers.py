"""Counts what networks take on microcontrollers: `python -m benchmarks.microcontrollers`.

Each network is exported as C, built for each board and run under QEMU, which counts executed
instructions: the same on every machine and in every run. They are not times: how many cycles an
instruction takes depends on the processor and its memory. Rows that the file has are not made
again; `--table` prints it.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import RESULTS
from onebit import files

OUTPUT = RESULTS / "microcontrollers.jsonl"
BOARDS = (
    "microbit", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547", "riscv32"
)  # fmt: skip
SEED = 0
SAMPLES = 200
"""Test images whose classes are compared."""


def small_cifar() -> tuple[bytes, None]:
    """The network that CBin-NN publishes, with random weights, on 8-bit pixels.

    32×32×3 → 5×5×32, pool, 5×5×32, pool, 5×5×64, pool, 10 (CBin-NN, Electronics 13(9) 1624).
    """
    from convert.conversion import convert_model
    from convert.int8.settings import Int8
    from onebit.keras import keras, lq

    keras.utils.set_random_seed(SEED)
    binary = {"kernel_quantizer": "ste_sign", "use_bias": False}
    x = image = keras.Input((32, 32, 3), name="image")
    for number, (filters, quantizer) in enumerate(
        ((32, None), (32, "ste_sign"), (64, "ste_sign")), 1
    ):
        x = lq.layers.QuantConv2D(
            filters, 5, padding="same", pad_values=0 if quantizer is None else 1,
            input_quantizer=quantizer, name=f"conv_{number}", **binary,
        )(x)  # fmt: skip
        x = keras.layers.BatchNormalization(name=f"bn_{number}")(x)
        x = keras.layers.MaxPool2D(name=f"pool_{number}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = lq.layers.QuantDense(10, input_quantizer="ste_sign", name="logits", **binary)(x)
    x = keras.layers.BatchNormalization(name="logits_bn")(x)
    model = keras.Model(image, x, name="small_cifar")
    from benchmarks.conversions import calibrate

    calibrate(model)
    pixels = np.random.default_rng(SEED).uniform(-1, 1, (50, 32, 32, 3)).astype(np.float32)
    content = convert_model(model, int8=Int8([pixels], io="int8"), verification=False).tflite
    return content, None


def trained(name: str) -> Callable[[], tuple[bytes, Any]]:
    """A network that ships trained on 5,000 digits, with 8-bit pixels and its test images."""

    def build() -> tuple[bytes, Any]:
        import zoo
        from convert.conversion import convert_model
        from convert.int8.settings import Int8
        from zoo.runs.run import preprocessed

        run = zoo.load_trained(name, "mnist_5k")
        images = preprocessed(run.samples, run.preprocessing)
        # Pixels have a known range, so that the test images may show it.
        int8 = Int8([images[:50]], ranges="minmax", io="int8")
        content = convert_model(run.model, int8=int8, verification=False).tflite
        return content, (images[:SAMPLES], run.samples.labels[:SAMPLES])

    return build


def untrained(name: str) -> Callable[[], tuple[bytes, None]]:
    """A network of the zoo with random weights, on 8-bit inputs; what is not binary is int8."""

    def build() -> tuple[bytes, None]:
        import zoo
        from benchmarks.conversions import calibrate
        from convert.conversion import convert_model
        from convert.int8.settings import Int8
        from onebit.keras import keras

        keras.utils.set_random_seed(SEED)
        model = zoo.build(name)
        calibrate(model)
        shape = model.input_shape[1:]
        inputs = np.random.default_rng(SEED).uniform(-1, 1, (50, *shape)).astype(np.float32)
        int8 = Int8([inputs], io="int8", scope="all")
        return convert_model(model, int8=int8, verification=False).tflite, None

    return build


NETWORKS: dict[str, Callable[[], tuple[bytes, Any]]] = {
    "small_cifar": small_cifar,
    "binary_net_mlp": trained("binary_net_mlp"),
    "binary_connect_mlp": trained("binary_connect_mlp"),
    "binary_ds_cnn": untrained("binary_ds_cnn"),
    "int8_ds_cnn": untrained("float_ds_cnn"),
    "binary_resnet8": untrained("binary_resnet8"),
    "int8_resnet8": untrained("float_resnet8"),
    "binary_autoencoder": untrained("binary_autoencoder"),
    "int8_autoencoder": untrained("float_autoencoder"),
}
"""Name → what makes its file, and its test images where it has any."""


def measure(name: str, done: set[tuple[str, str]], output: Path) -> None:
    """Appends the rows of a network that the file lacks."""
    from convert.targets.c.project import project_files
    from edge.bench.cells import describe_run
    from edge.bench.samples import read_samples
    from edge.boards.catalogue import BOARDS as KNOWN
    from edge.boards.exports import read_export
    from edge.boards.measurement import measure as measure_on_board
    from edge.results.row_json import to_json
    from onebit.own_folders import write_folder

    missing = [board for board in BOARDS if (name, board) not in done]
    if not missing:
        return
    content, data = NETWORKS[name]()
    with tempfile.TemporaryDirectory(prefix="onebit-") as folder:
        path, samples = Path(folder) / name, None
        sources, about = project_files(content, f"{name}.tflite", name)
        write_folder(path, sources, target="c", network=about)
        if data is not None:
            np.savez(Path(folder) / "test.npz", inputs=data[0], labels=data[1])
            samples = read_samples(Path(folder) / "test.npz")
        run = describe_run("python -m benchmarks.microcontrollers")
        for board in missing:
            row = measure_on_board(read_export(path), KNOWN[board], run, 1200, samples=samples)
            record = json.loads(to_json(row))
            record["model"]["file"] = name  # the folder is gone
            print(f"{name} on {board}: {row.status}, {row.reason}", file=sys.stderr)
            with open(output, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, a line for each network; memory is the Cortex-M7's."""
    processors = list(dict.fromkeys(row["host"]["cpu"] for row in rows))
    short = [name.removeprefix("Cortex-").removesuffix("IMAC") for name in processors]
    headings = ["network", "M MACs", *short, "flash", "arena", "stack", "accuracy"]
    lines = [f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    for name in dict.fromkeys(row["model"]["name"] for row in rows):
        own = {row["host"]["cpu"]: row for row in rows if row["model"]["name"] == name}
        counts = [_millions(own.get(processor)) for processor in processors]
        reference = own["Cortex-M7"]
        figures, model = reference["firmware"], reference["model"]
        macs = sum(
            model[f"{kind}_macs"] or 0 for kind in ("binary", "binary_weight", "int8", "float")
        )
        accuracy = (reference["evaluation"] or {}).get("accuracy")
        memory = [
            f"{figures['code_bytes'] + figures['constant_bytes']:,}",
            f"{figures['arena_bytes']:,}",
            f"{figures['stack_bytes']:,}",
        ]
        last = f"{accuracy:.1%}" if accuracy else "–"
        lines.append(f"| {' | '.join([name, f'{macs / 1e6:.2f}', *counts, *memory, last])} |")
    return "\n".join(lines)


def _millions(row: dict[str, Any] | None) -> str:
    """The instructions of an inference in millions; a dash where the network does not fit."""
    if row is None or row["firmware"] is None:
        return "–"
    return f"{max(row['firmware']['instructions']) / 1e6:.2f}"


def main() -> None:
    """Parses the command line, measures what is missing, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT, help="JSON Lines file")
    parser.add_argument("--table", type=Path, help="print the rows of a file instead")
    arguments = parser.parse_args()
    if arguments.table is None:
        rows = files.read_json_lines(arguments.output)
        done = {(row["model"]["name"], row["host"]["board"]) for row in rows}
        for name in NETWORKS:
            measure(name, done, arguments.output)
    print(table(files.read_json_lines(arguments.table or arguments.output)))


if __name__ == "__main__":
    main()
