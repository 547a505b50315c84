"""Labelled samples: what is read, and what is refused."""

import json

import numpy as np
import pytest

from edge.bench.samples import read_data
from onebit.errors import OnebitError, UsageError
from onebit.files import sha256


@pytest.fixture
def run_folder(tmp_path):
    """Returns a function that writes the files of a run folder that matter."""

    def write(preprocessing, **arrays):
        np.savez(tmp_path / "samples.npz", **arrays)
        card = {
            "schema_version": 1,
            "dataset": {"name": "digits"},
            "preprocessing": preprocessing,
            "samples_sha256": sha256(tmp_path / "samples.npz"),
        }
        (tmp_path / "card.json").write_text(json.dumps(card))
        return tmp_path

    return write


@pytest.fixture
def images():
    return np.random.default_rng(3).integers(0, 256, (5, 4, 4, 1), dtype=np.uint8)


AFFINE = {"scale": 1 / 127.5, "offset": -1.0}


@pytest.mark.parametrize("name", ["", "card.json", "samples.npz"])
def test_run_gives_the_pixels_that_the_model_was_trained_on(run_folder, images, name):
    folder = run_folder(AFFINE, images=images, labels=np.arange(5))
    data = read_data(folder / name)
    assert (data.name, data.split) == ("digits", "test")
    assert data.inputs.dtype == np.float32
    expected = images.astype(np.float32) * np.float32(1 / 127.5) + np.float32(-1)
    np.testing.assert_array_equal(data.inputs, expected)
    assert data.labels.tolist() == [0, 1, 2, 3, 4]
    assert read_data(folder).sha256 == data.sha256


def test_run_with_another_preprocessing_has_that(run_folder, images):
    folder = run_folder(AFFINE | {"contrast": "global"}, images=images, labels=np.arange(5))
    inputs = read_data(folder).inputs
    np.testing.assert_allclose(inputs.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.square(inputs).sum(axis=(1, 2, 3))), 55, rtol=1e-5)


def test_run_with_tokens_keeps_them(run_folder):
    tokens = np.arange(12, dtype=np.int32).reshape(3, 4)
    data = read_data(run_folder(None, tokens=tokens, labels=np.arange(3)))
    assert data.inputs.dtype == np.int32
    np.testing.assert_array_equal(data.inputs, tokens)


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


def test_samples_of_another_run_are_refused(run_folder, images):
    folder = run_folder(AFFINE, images=images, labels=np.arange(5))
    np.savez(folder / "samples.npz", images=images, labels=np.arange(5)[::-1])
    with pytest.raises(OnebitError, match="not the file that"):
        read_data(folder)


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(OnebitError, match="no run folder"):
        read_data(tmp_path)


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
