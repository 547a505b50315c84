"""Samples are checked once, in one place, against the model's signature and ranges."""

import numpy as np
import pytest

from convert.conversion import convert_model
from convert.errors import SourceError
from convert.keras_model.samples import checked_samples, random_samples
from convert.samples import Samples, require_same_range
from onebit.keras import keras, lq, tf
from tests.convert.models import BINARY, images, randomise

BOTH = {**BINARY, "input_quantizer": "ste_sign"}


def model_on(shape=(32,), units=10, **options):
    x = keras.Input(shape, **options)
    y = tf.cast(x, tf.float32) if x.dtype != tf.float32 else x
    return randomise(keras.Model(x, lq.layers.QuantDense(units, **BOTH)(y)))


@pytest.fixture(scope="module")
def model():
    return model_on()


X = images(8, (32,))
NUMBERS = np.arange(8)


@pytest.mark.parametrize(
    "given",
    [X, [X], (X,), {"inputs": X}, {"any": X}, X.astype(np.float64), X.tolist(),
     X.astype(np.float16)],
    ids=["array", "list", "tuple", "dict", "other name", "float64", "lists", "float16"],
)  # fmt: skip
def test_inputs_become_float32_in_a_list(model, given):
    if isinstance(given, list) and isinstance(given[0], list):
        given = [np.array(given)]
    (array,) = checked_samples(given, model, "data").arrays
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, X, atol=1e-3)


@pytest.mark.parametrize(
    "labels",
    [NUMBERS, NUMBERS[:, None], np.eye(10)[NUMBERS], np.eye(10, dtype=bool)[NUMBERS],
     NUMBERS.astype(np.float32), NUMBERS.astype(np.uint8), NUMBERS.tolist()],
    ids=["numbers", "column", "one-hot", "bools", "floats", "bytes", "list"],
)  # fmt: skip
def test_labels_become_class_numbers(model, labels):
    found = checked_samples(Samples(X, labels), model, "data").labels
    np.testing.assert_array_equal(found, NUMBERS)
    assert found.shape == (8,)


def test_labels_in_a_column_give_the_accuracy_of_labels_in_a_row(model):
    inputs = images(200, (32,))
    labels = model(inputs).numpy().argmax(1)[:, None]
    result = convert_model(model, samples=Samples(inputs, labels), with_delegate=False)
    assert result.report.verification.accuracy_keras == 1
    assert result.report.verification.accuracy_file == 1


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (Samples(X[:0]), "has no samples"),
        (Samples((100 * X).astype(np.uint8)), "inputs are uint8, .*preprocess them"),
        (Samples(X > 0), "inputs are bool"),
        (Samples(np.where(X > 0.9, np.nan, X)), "NaN or infinity"),
        (Samples(X.astype(np.float64) * 1e300), "NaN or infinity"),
        (Samples(X.astype(complex)), "complex128 is not a numeric type"),
        (Samples(X.astype(str)), "is not a numeric type"),
        (Samples(X[:, :5]), r"shape \[8, 5\], the model takes \[N, 32\]"),
        (Samples(np.float32(3)), r"shape \[\], the model takes \[N, 32\]"),
        (Samples([X, X]), "2 arrays, the model takes 1 input"),
        (Samples(X, NUMBERS[:5]), r"8 inputs, but labels of the shape \[5\]"),
        (Samples(X, NUMBERS + 5), "labels go from 5 to 12; .*the model's last is 9"),
        (Samples(X, NUMBERS - 1), "labels go from -1"),
        (Samples(X, NUMBERS / 2), "labels are float64"),
        (Samples(X, np.full((8, 10), 0.1)), "are not one-hot"),
        (Samples(X, np.eye(8)), "one-hot labels of 8 classes, the model has 10"),
        (Samples(X, np.zeros((8, 2, 2))), r"labels have the shape \[8, 2, 2\]"),
        (Samples(X, np.array(["cat"] * 8)), "labels are <U3; give class numbers"),
    ],
)  # fmt: skip
def test_unfit_samples_are_refused_with_the_fix(model, samples, message):
    with pytest.raises(SourceError, match=message) as error:
        convert_model(model, samples=samples)
    assert "\n" not in str(error.value)


def test_bytes_are_taken_by_a_model_that_rescales_them():
    x = keras.Input((4, 4, 3))
    y = keras.layers.Flatten()(keras.layers.Rescaling(1 / 127.5, -1)(x))
    model = randomise(keras.Model(x, lq.layers.QuantDense(10, **BOTH)(y)))
    photos = np.random.default_rng(0).integers(256, size=(20, 4, 4, 3)).astype(np.uint8)
    verification = convert_model(model, samples=photos, with_delegate=False).report.verification
    assert verification.verdict != "mismatch"
    assert not any("unprocessed" in warning for warning in verification.warnings)


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("bool", 0, 1), ("uint8", 0, 255), ("int8", -128, 127), ("int32", 0, 1), ("int64", 0, 1)],
)
def test_inputs_of_other_types_are_drawn_and_compared(dtype, low, high):
    model = model_on(dtype=dtype)
    (array,) = random_samples(model, 400).arrays
    assert (array.dtype, array.min(), array.max()) == (np.dtype(dtype), low, high)
    assert convert_model(model, with_delegate=False).report.verification.verdict == "exact"


def test_integers_that_do_not_fit_are_refused():
    model = model_on(dtype="int8")
    with pytest.raises(SourceError, match="hold numbers that int8 cannot"):
        checked_samples(np.full((2, 32), 200), model, "data")
    with pytest.raises(SourceError, match=r"are float32, the model takes integers \(int8\)"):
        checked_samples(X, model, "data")


def two_tables():
    words, kinds = (keras.Input((5,), dtype="int32", name=name) for name in ("words", "kinds"))
    x = keras.layers.Add()(
        [keras.layers.Embedding(50, 32)(words), keras.layers.Embedding(3, 32)(kinds)]
    )
    return randomise(keras.Model([words, kinds], lq.layers.QuantDense(4, **BOTH)(x)))


def test_token_ids_are_checked_against_their_own_table():
    model = two_tables()
    words, kinds = random_samples(model, 200).arrays
    assert (words.max(), kinds.max()) == (49, 2)
    with pytest.raises(SourceError, match=r"input kinds hold ids from 0 to 49.*the rows 0 to 2"):
        checked_samples([words, words], model, "data")
    assert convert_model(model, samples=[words[:8], kinds[:8]], with_delegate=False).report


def test_inputs_far_beyond_those_of_the_run_are_refused(model):
    known = checked_samples(X, model, "run")
    require_same_range(checked_samples(1.5 * X, model, "data"), known, "data")
    with pytest.raises(SourceError, match=r"inputs go from .* preprocess them as in training"):
        require_same_range(checked_samples(127.5 * (X + 1), model, "data"), known, "data")


def warnings(model, samples):
    report = convert_model(model, samples=samples, with_delegate=False).report
    return " | ".join(report.verification.warnings)


@pytest.mark.parametrize(
    ("inputs", "warning"),
    [
        (np.zeros((20, 32), np.float32), "every number of an input is 0"),
        (np.repeat(X[:1], 20, 0), "the 20 samples are all the same"),
        (np.round(127.5 * (images(20, (32,)) + 1)), "whole numbers from 1 to 255"),
    ],
)
def test_samples_that_show_little_are_warned_about(model, inputs, warning):
    assert warning in warnings(model, inputs)


def test_useful_samples_get_no_warning(model):
    inputs = images(100, (32,))
    assert warnings(model, Samples(inputs, model(inputs).numpy().argmax(1))) == ""


@pytest.mark.parametrize(
    ("heads", "used"),
    [
        ({"box": (4, 2), "cls": (10,)}, True),
        ({"score": (1,), "cls": (10,)}, True),
        ({"box": (4,), "cls": (10,)}, False),
        ({"score": (1,)}, False),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_labels_count_for_the_one_output_of_classes(heads, used):
    """Not for whichever comes first: its largest number is not a class."""
    x = keras.Input((32,))
    outputs = []
    for name, shape in heads.items():
        y = keras.layers.Dense(int(np.prod(shape)))(x)
        outputs.append(keras.layers.Reshape(shape, name=name)(y))
    model = randomise(keras.Model(x, outputs))
    inputs = images(60, (32,))
    known = {"cls": model(inputs)[list(heads).index("cls")]} if "cls" in heads else {}
    labels = known["cls"].numpy().argmax(1) if known else np.arange(60) % 2
    report = convert_model(model, samples=Samples(inputs, labels), with_delegate=False).report
    result = report.verification
    assert (result.accuracy_keras, result.accuracy_file) == ((1, 1) if used else (None, None))
    assert ("the labels are not used" in " ".join(result.warnings)) != used


def test_one_class_and_the_accuracy_of_guessing_are_warned_about():
    x = keras.Input((32,))
    y = keras.layers.Dense(10, bias_initializer=lambda *_, **__: 99.0 * tf.one_hot(3, 10))(x)
    model = keras.Model(x, y)
    inputs = images(100, (32,))
    found = warnings(model, Samples(inputs, np.arange(100) % 10))
    assert "Keras predicts class 3 for all 100 samples" in found
    assert "accuracy of 10.0% is that of guessing among 10 classes" in found


@pytest.mark.parametrize(
    ("activation", "warning"),
    [("relu", "they are +1 in all samples, as behind a ReLU"), (None, "")],
)
def test_layer_whose_inputs_never_change_sign_is_warned_about(activation, warning):
    x = image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(32, 3, activation=activation)(x)
    x = lq.layers.QuantConv2D(16, 3, name="after_relu", **BOTH)(x)
    model = randomise(keras.Model(image, keras.layers.Flatten()(x)))
    found = warnings(model, images(20, (8, 8, 3)))
    assert warning in found
    assert ("after_relu" in found) == bool(warning)
