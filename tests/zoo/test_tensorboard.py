"""TensorBoard's HPARAMS tab knows the settings of a run."""

import dataclasses

import zoo
from onebit.keras import tf
from zoo.runs.run import LOGS
from zoo.training.tensorboard import SUFFIX, hyperparameters, log_hyperparameters


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
