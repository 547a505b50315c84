"""Files that version 0.1.0 wrote still load: a run folder, exported weights, a report, rows."""

import json
from pathlib import Path

import numpy as np
import pytest

import zoo
from convert.commands.data import train_inputs
from edge.bench.models import describe
from edge.results.row_files import read_rows
from zoo.runs.packed_weights import load_file
from zoo.runs.run import with_current_names
from zoo.training.run_folder import is_finished

FOLDER = Path(__file__).parent / "written_before"


def test_run_folder_of_another_version_loads():
    run = zoo.load_run(FOLDER / "run")
    outputs = run.model(run.preprocessing(run.samples.images)).numpy()
    accuracy = np.mean(outputs.argmax(1) == run.samples.labels)
    assert accuracy == run.card["accuracy"]["value"]


def test_a_run_on_part_of_its_data_gives_ranges_from_that_part():
    inputs = train_inputs(FOLDER / "run", 100)
    assert inputs.shape == (128, 28, 28, 1)


def test_names_that_an_earlier_version_wrote_are_read_as_todays():
    card = zoo.load_run(FOLDER / "run").card
    assert card["latent_weights_accuracy"] == 0.0859375
    assert "real_weights_accuracy" not in card
    settings = {"epochs": "2", "units": "16"}
    recipe = zoo.resolve_recipe("binary_connect_mlp_stochastic_mnist_5k", settings, smoke=True)
    assert is_finished(FOLDER / "run", recipe)


@pytest.mark.parametrize("stochastic", [False, True])
def test_an_accuracy_of_latent_weights_that_were_not_drawn_is_left_out(stochastic):
    card = json.loads((FOLDER / "weights.json").read_text())
    card["options"]["stochastic"] = stochastic
    found = with_current_names({"card": card})["card"]
    assert found["latent_weights_accuracy"] == (0.0859375 if stochastic else None)
    assert "real_weights_accuracy" not in found


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
