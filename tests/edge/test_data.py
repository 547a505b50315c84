"""Labelled samples: what is read, and what is refused."""

import json

import numpy as np
import pytest

from edge.data import read_data
from onebit.errors import OnebitError, UsageError
from onebit.files import sha256


@pytest.fixture
def run_folder(tmp_path):
    """The two files of a run folder that matter, with random pixels."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (5, 4, 4, 1), dtype=np.uint8)
    np.savez(tmp_path / "samples.npz", images=images, labels=np.arange(5))
    card = {
        "schema_version": 1,
        "name": "net",
        "dataset": {"name": "digits"},
        "preprocessing": {"scale": 1 / 127.5, "offset": -1.0},
        "samples_sha256": sha256(tmp_path / "samples.npz"),
    }
    (tmp_path / "card.json").write_text(json.dumps(card))
    return tmp_path


@pytest.mark.parametrize("name", ["", "card.json", "samples.npz"])
def test_card_gives_the_pixels_that_the_model_was_trained_on(run_folder, name):
    data = read_data(run_folder / name)
    with np.load(run_folder / "samples.npz") as arrays:
        images = arrays["images"]
    assert (data.name, data.split) == ("digits", "test")
    assert data.inputs.dtype == np.float32
    expected = images.astype(np.float32) * np.float32(1 / 127.5) + np.float32(-1)
    np.testing.assert_array_equal(data.inputs, expected)
    assert data.labels.tolist() == [0, 1, 2, 3, 4]
    assert read_data(run_folder).sha256 == data.sha256


def test_preprocessing_agrees_with_that_of_training(run_folder):
    from zoo.preprocessing import MINUS_ONE_TO_ONE

    with np.load(run_folder / "samples.npz") as arrays:
        expected = MINUS_ONE_TO_ONE(arrays["images"])
    np.testing.assert_array_equal(read_data(run_folder).inputs, expected)


@pytest.mark.parametrize("labels", [True, False])
def test_npz_holds_inputs_as_they_are(tmp_path, labels):
    inputs = np.linspace(-1, 1, 12).reshape(3, 4)
    np.savez(tmp_path / "few.npz", inputs=inputs, **({"labels": [2, 0, 1]} if labels else {}))
    data = read_data(tmp_path / "few.npz")
    np.testing.assert_array_equal(data.inputs, inputs.astype(np.float32))
    assert (data.name, data.split) == ("few", None)
    assert (data.labels is not None) is labels


def test_hash_follows_the_inputs(tmp_path):
    digests = set()
    for values in ([1.0, 2.0], [1.0, 3.0], [[1.0], [2.0]]):
        np.savez(tmp_path / "x.npz", inputs=np.array(values))
        digests.add(read_data(tmp_path / "x.npz").sha256)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": np.array([[np.nan]])}, "NaN"),
        ({"inputs": np.zeros((0, 4))}, "inputs are float64 of shape"),
        ({"inputs": np.array(["a"])}, "inputs are <U1"),
        ({"inputs": np.zeros((3, 2)), "labels": np.zeros(2, int)}, "3 inputs, but labels"),
        ({"inputs": np.zeros((3, 2)), "labels": np.zeros(3)}, "labels are float64"),
        ({"pixels": np.zeros(3)}, "it has pixels"),
        ({"inputs": np.array([{}], dtype=object)}, "plain arrays"),
    ],
)
def test_arrays_that_are_no_data_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(OnebitError, match=words):
        read_data(tmp_path / "x.npz")


def test_samples_of_another_run_are_refused(run_folder):
    np.savez(run_folder / "samples.npz", images=np.zeros((5, 4, 4, 1), np.uint8))
    with pytest.raises(OnebitError, match="not the file that"):
        read_data(run_folder)


def test_card_whose_preprocessing_is_unknown_is_refused(run_folder):
    card = json.loads((run_folder / "card.json").read_text())
    card["preprocessing"] = {"mean": 1}
    (run_folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(OnebitError, match="no preprocessing by scale"):
        read_data(run_folder)


@pytest.mark.parametrize("name", ["absent.npz", "model.h5"])
def test_path_that_is_no_data_is_wrong_usage(tmp_path, name):
    with pytest.raises(UsageError):
        read_data(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 cut"])
def test_damaged_file_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(OnebitError, match="plain arrays") as error:
        read_data(tmp_path / "x.npz")
    assert "\n" not in str(error.value)
