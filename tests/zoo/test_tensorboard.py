"""TensorBoard's HPARAMS tab knows the settings of a run; histograms are as TensorFlow's."""

import dataclasses

import numpy as np
import pytest

import zoo
from onebit.keras import tf
from zoo.runs.run import LOGS
from zoo.training.tensorboard import (
    SUFFIX,
    hyperparameters,
    log_histogram,
    log_hyperparameters,
)


def logged(folder):
    """The hyperparameters in a folder's events, by TensorBoard's own reader."""
    from tensorboard.plugins.hparams import metadata

    found = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                content = value.metadata.plugin_data.content
                start = metadata.parse_session_start_info_plugin_data(content)
                found.append({key: start.hparams[key] for key in start.hparams})
    return found


def test_run_logs_its_settings_and_options(finished_run):
    (found,) = logged(finished_run / LOGS)
    assert found["model"].string_value == "binary_net_mlp"
    assert found["dataset"].string_value == "mnist_5k"
    assert found["learning_rate"].number_value == 3e-3
    assert found["units"].number_value == 32
    assert "real_learning_rate" not in found  # None


def test_a_later_session_replaces_them(tmp_path):
    recipe = zoo.resolve_recipe("binary_net_mlp_mnist_5k")
    log_hyperparameters(tmp_path, recipe, {})
    log_hyperparameters(tmp_path, dataclasses.replace(recipe, epochs=99), {})
    (found,) = logged(tmp_path)
    assert found["epochs"].number_value == 99


def test_lists_are_texts():
    recipe = zoo.resolve_recipe("binary_net_mlp_mnist_5k")
    assert hyperparameters(recipe, {"input_shape": (8, 8, 1)})["input_shape"] == "(8, 8, 1)"


@pytest.mark.parametrize("shape", [(300, 40), (7,), (3, 3, 8, 16)])
def test_histograms_are_those_of_tensorflow(tmp_path, shape):
    values = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=1):
        log_histogram("ours", values)
        tf.summary.histogram("theirs", values)
    writer.close()
    (path,) = tmp_path.iterdir()
    found = {
        value.tag: value
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert found["ours"].metadata == found["theirs"].metadata
    ours, theirs = (tf.make_ndarray(found[name].tensor) for name in ("ours", "theirs"))
    np.testing.assert_array_equal(ours[:, 2], theirs[:, 2])
    np.testing.assert_allclose(ours[:, :2], theirs[:, :2], rtol=0, atol=1e-15)  # rounding of edges


def test_values_that_are_all_equal_have_a_histogram(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=1):
        log_histogram("ones", np.ones(5, np.float32))
    writer.close()
    (path,) = tmp_path.iterdir()
    (value,) = [
        value
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]
    buckets = tf.make_ndarray(value.tensor)
    assert buckets[:, 2].sum() == 5
    ((left, right, _),) = buckets[buckets[:, 2] > 0]
    assert left <= 1 <= right
