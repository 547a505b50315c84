"""Files that version 0.1.0 wrote still load: a run folder, exported weights, a report, rows."""

from pathlib import Path

import numpy as np

import zoo
from edge.bench.models import describe
from edge.results.row_files import read_rows
from zoo.runs.packed_weights import load_file

FOLDER = Path(__file__).parent / "written_before"


def test_run_folder_of_another_version_loads():
    run = zoo.load_run(FOLDER / "run")
    outputs = run.model(run.preprocessing(run.samples.images)).numpy()
    accuracy = np.mean(outputs.argmax(1) == run.samples.labels)
    assert accuracy == run.card["accuracy"]["value"]


def test_exported_weights_of_another_version_load():
    run = zoo.load_run(FOLDER / "run")
    exported = load_file("binary_connect_mlp", FOLDER / "weights.npz")
    images = run.preprocessing(run.samples.images)
    assert exported.model(images).numpy().tobytes() == run.model(images).numpy().tobytes()


def test_report_of_another_version_is_read_beside_its_file():
    model = describe(FOLDER / "model.tflite")
    assert model.name == "binary_connect_mlp"
    assert model.binary_weight_macs == 13216
    assert model.verification.verdict == "exact"


def test_rows_of_another_version_are_read():
    (row,) = read_rows([FOLDER / "rows.jsonl"])
    assert row.model.name == "binary_connect_mlp"
    assert row.setup.name == "lce"
    assert len(row.samples_ns) == 20
