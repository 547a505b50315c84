import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import zoo
from onebit.keras import keras
from zoo.runs.run import LOGS
from zoo.training.flip_ratio import LatentMonitor, latent_kernels


def _model():
    keras.utils.set_random_seed(2)
    return zoo.build("binary_net_mlp", input_shape=(4, 4, 1), units=8, classes=3)


def test_binary_kernels_are_found_by_name():
    names = [f"{layer}/kernel" for layer in ("hidden_1", "hidden_2", "hidden_3", "logits")]
    assert list(latent_kernels(_model())) == names


def test_a_loaded_models_kernels_have_the_same_names(tmp_path):
    model = _model()
    model.save(tmp_path / "model.keras")
    loaded = latent_kernels(keras.models.load_model(tmp_path / "model.keras"))
    assert list(loaded) == list(latent_kernels(model))
    for name, kernel in latent_kernels(model).items():
        np.testing.assert_array_equal(loaded[name], kernel)


def test_flips_are_counted_against_the_beginning():
    model = _model()
    monitor = LatentMonitor(model)
    monitor.begin()
    assert monitor.flip_ratio() == 0
    kernel = model.get_layer("hidden_2").kernel
    values = np.abs(kernel.numpy()) + 0.1
    kernel.assign(values)
    monitor.begin()
    values[:2] *= -1  # 16 of 64
    values[2:] *= 0.5  # no sign changes
    kernel.assign(values)
    assert monitor.flip_ratios() == {
        "hidden_1/kernel": 0,
        "hidden_2/kernel": 0.25,
        "hidden_3/kernel": 0,
        "logits/kernel": 0,
    }
    # 16·8 + 8·8 + 8·8 + 8·3 weights in all.
    assert monitor.flip_ratio() == 16 / 280


def test_a_float_network_has_no_flips():
    model = zoo.build("float_mlp", input_shape=(4, 4, 1), units=8)
    monitor = LatentMonitor(model)
    monitor.begin()
    assert monitor.flip_ratio() is None


def test_tensorboard_gets_histograms_and_flips(finished_run):
    events = EventAccumulator(str(finished_run / LOGS)).Reload()
    tags = events.Tags()["tensors"]  # TensorFlow 2 keeps scalars and histograms as tensors
    assert {"latent/hidden_1/kernel", "flip_ratio/logits/kernel"} <= set(tags)
    history = zoo.load_run(finished_run).history
    assert all(0 < epoch["flip_ratio"] < 1 for epoch in history)
