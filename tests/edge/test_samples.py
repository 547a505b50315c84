"""Labelled samples: how they are read, fed and refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge.bench.samples import EvalSamples, doubts, feed, read_samples
from edge.bench.signature import Input, Signature, read_signature
from onebit.errors import OnebitError, UsageError
from onebit.files import sha256


@pytest.fixture
def run_folder(tmp_path):
    """Returns a function that writes the files of a run folder that matter."""

    def write(preprocessing, **arrays):
        np.savez(tmp_path / "samples.npz", **arrays)
        card = {
            "schema_version": 1,
            "name": "mlp",
            "options": {},
            "input_shape": [4, 4, 1],
            "classes": ["0", "1"],
            "dataset": {"name": "digits", "sha256": "0"},
            "accuracy": {"value": 0.5, "split": "test", "samples": 5},
            "model_sha256": "0",
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
    data = read_samples(folder / name)
    assert (data.name, data.split) == ("digits", "test")
    assert data.inputs["inputs"].dtype == np.float32
    expected = images.astype(np.float32) * np.float32(1 / 127.5) + np.float32(-1)
    np.testing.assert_array_equal(data.inputs["inputs"], expected)
    assert data.labels.tolist() == [0, 1, 2, 3, 4]
    assert read_samples(folder).sha256 == data.sha256


def test_run_with_another_preprocessing_has_that(run_folder, images):
    folder = run_folder(AFFINE | {"contrast": "global"}, images=images, labels=np.arange(5))
    inputs = read_samples(folder).inputs["inputs"]
    np.testing.assert_allclose(inputs.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.square(inputs).sum(axis=(1, 2, 3))), 55, rtol=1e-5)


def test_run_with_tokens_keeps_them(run_folder):
    tokens = np.arange(12, dtype=np.int32).reshape(3, 4)
    data = read_samples(run_folder(None, tokens=tokens, labels=np.arange(3)))
    assert data.inputs["inputs"].dtype == np.int32
    np.testing.assert_array_equal(data.inputs["inputs"], tokens)


@pytest.mark.parametrize("labels", [True, False])
def test_npz_holds_inputs_as_they_are(tmp_path, labels):
    inputs = np.linspace(-1, 1, 12).reshape(3, 4)
    np.savez(tmp_path / "few.npz", inputs=inputs, **({"labels": [2, 0, 1]} if labels else {}))
    samples = read_samples(tmp_path / "few.npz")
    np.testing.assert_array_equal(samples.inputs["inputs"], inputs.astype(np.float32))
    assert (samples.name, samples.split, len(samples)) == ("few", None, 3)
    assert (samples.labels is not None) is labels


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2, 0, 1]),
        np.array([[2], [0], [1]], np.uint8),
        np.array([2.0, 0.0, 1.0]),
        np.eye(3)[[2, 0, 1]],
        np.eye(3, dtype=bool)[[2, 0, 1]],
    ],
    ids=["numbers", "column", "floats", "one-hot", "one-hot bool"],
)
def test_labels_are_class_numbers_whatever_their_form(tmp_path, labels):
    np.savez(tmp_path / "x.npz", inputs=np.zeros((3, 2)), labels=labels)
    found = read_samples(tmp_path / "x.npz").labels
    assert found.tolist() == [2, 0, 1]
    assert found.dtype == np.int64


def test_hash_follows_the_inputs(tmp_path):
    digests = set()
    for values in ([1.0, 2.0], [1.0, 3.0], [[1.0], [2.0]]):
        np.savez(tmp_path / "x.npz", inputs=np.array(values))
        digests.add(read_samples(tmp_path / "x.npz").sha256)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": np.array([[np.nan]])}, "NaN"),
        ({"inputs": np.array([[1e300]])}, "infinity"),
        ({"inputs": np.zeros((0, 4))}, "hold no samples"),
        ({"inputs": np.zeros((4, 0))}, "hold no samples"),
        ({"inputs": np.array(["a"])}, "inputs are <U1"),
        ({"inputs": np.float32(1)}, "inputs are float32 of shape"),
        ({"labels": np.zeros(3, int)}, "no array named inputs"),
        ({"left": np.zeros((3, 2)), "right": np.zeros((4, 2))}, "3 in left, 4 in right"),
        ({"inputs": np.zeros((3, 2)), "labels": np.zeros(2, int)}, "3 inputs, but 2 labels"),
        ({"inputs": np.zeros((3, 2)), "labels": np.full(3, 0.5)}, "class numbers from 0"),
        ({"inputs": np.zeros((3, 2)), "labels": np.full(3, np.nan)}, "class numbers from 0"),
        ({"inputs": np.zeros((3, 2)), "labels": np.array([0, -1, 1])}, "class numbers from 0"),
        ({"inputs": np.zeros((3, 2)), "labels": np.ones((3, 4))}, "are not one-hot"),
        ({"inputs": np.zeros((3, 2)), "labels": np.ones((3, 1, 4))}, "labels are float64 of shape"),
        ({"inputs": np.zeros((3, 2)), "labels": np.array(["a", "b", "c"])}, "labels are <U1"),
        ({"inputs": np.array([{}], dtype=object)}, "plain arrays"),
    ],
)
def test_arrays_that_are_not_samples_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(OnebitError, match=words) as error:
        read_samples(tmp_path / "x.npz")
    assert "\n" not in str(error.value)


FLOAT = Input("image", (1, 2), np.dtype(np.float32))
INT8 = Input("image", (1, 2), np.dtype(np.int8), 0.1, 3)
TOKENS = Input("tokens", (1, 2), np.dtype(np.int32))
LEFT, RIGHT = (Input(name, (1, 2), np.dtype(np.float32)) for name in ("left", "right"))


def samples_of(labels=None, **inputs):
    labels = None if labels is None else np.asarray(labels)
    return EvalSamples("x", None, inputs, labels, "sha", Path("x.npz"))


def test_inputs_are_fed_by_name_in_the_order_of_the_file():
    one, two = np.zeros((3, 2), np.float32), np.ones((3, 2), np.float32)
    given = samples_of(right=two, left=one)
    fed = feed(given, "m.tflite", Signature((LEFT, RIGHT), None))
    assert fed[0] is one
    assert fed[1] is two


@pytest.mark.parametrize("name", ["inputs", "image"])
def test_only_input_goes_by_its_name_or_inputs(name):
    array = np.zeros((3, 2), np.float32)
    assert feed(samples_of(**{name: array}), "m", Signature((FLOAT,), None))[0] is array


@pytest.mark.parametrize(
    ("entries", "inputs", "words"),
    [
        ((LEFT, RIGHT), {"inputs": np.zeros((3, 2))}, "takes left, right, but x.npz has inputs"),
        ((FLOAT,), {"pixels": np.zeros((3, 2))}, "or the only one inputs"),
        ((FLOAT,), {"inputs": np.zeros((3, 4))}, r"takes \[1, 2\] for image, a sample"),
        ((FLOAT,), {"inputs": np.zeros((3, 2), np.uint8)}, "has uint8; store the samples preproc"),
        ((INT8,), {"inputs": np.full((3, 2), 200)}, "takes int8 for image, x.npz has values from"),
        ((TOKENS,), {"inputs": np.zeros((3, 2))}, "without a scale"),
    ],
)
def test_samples_that_do_not_fit_a_file_are_refused(entries, inputs, words):
    with pytest.raises(OnebitError, match=words):
        feed(samples_of(**inputs), "m.tflite", Signature(entries, None))


def test_label_beyond_the_classes_is_refused():
    given = samples_of([0, 5], inputs=np.zeros((2, 2), np.float32))
    with pytest.raises(OnebitError, match=r"has the label 5, but m has 5 classes"):
        feed(given, "m", Signature((FLOAT,), 5))
    assert feed(given, "m", Signature((FLOAT,), 6))


@pytest.mark.parametrize(
    ("entry", "array", "words"),
    [
        (FLOAT, np.tile(np.float32([0, 255]), (3, 1)), "like raw pixels"),
        (FLOAT, np.full((3, 2), 0.5, np.float32), "all values of image in x.npz are 0.5"),
        (INT8, np.tile(np.float32([-50, 0]), (3, 1)), "50% of image in x.npz is outside"),
        (INT8, np.tile(np.float32([-1, 1]), (3, 1)), None),
        (INT8, np.tile(np.int8([-1, 1]), (3, 1)), None),
        (FLOAT, np.tile(np.float32([0, 1]), (3, 1)), None),
    ],
)
def test_doubtful_samples_are_warned_of(entry, array, words):
    found = doubts(samples_of(inputs=array), "m", Signature((entry,), None))
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_signature_has_the_names_of_the_file(binary_file, tmp_path):
    signature = read_signature(binary_file.path)
    (entry,) = signature.inputs
    assert entry.shape == (1, 8, 8, 32)
    assert entry.dtype == np.float32
    assert signature.classes == 5
    content = binary_file.path.read_bytes()
    (tmp_path / "cut.tflite").write_bytes(content[: len(content) // 3])
    with pytest.raises(OnebitError, match="damaged"):
        read_signature(tmp_path / "cut.tflite")


def test_samples_of_another_run_are_refused(run_folder, images):
    folder = run_folder(AFFINE, images=images, labels=np.arange(5))
    np.savez(folder / "samples.npz", images=images, labels=np.arange(5)[::-1])
    with pytest.raises(OnebitError, match="not the file that"):
        read_samples(folder)


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(OnebitError, match="not a run folder"):
        read_samples(tmp_path)


@pytest.mark.parametrize("name", ["absent.npz", "model.h5"])
def test_path_that_is_no_data_is_wrong_usage(tmp_path, name):
    with pytest.raises(UsageError):
        read_samples(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 cut"])
def test_damaged_file_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(OnebitError, match="plain arrays") as error:
        read_samples(tmp_path / "x.npz")
    assert "\n" not in str(error.value)
