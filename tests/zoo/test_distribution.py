import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

import zoo
from onebit.errors import UsageError
from zoo.runs.run import read_history
from zoo.training.distribution import Distribution, make_distribution, parse_tf_config

RECIPE = "binary_connect_mlp_mnist_5k"  # Glorot-scaled latent weights, normalised activations
WORKER_LIMIT_S = 300


def _addresses():
    """Two free addresses of this machine; the ports are free again when this returns."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return addresses


class _Worker:
    """One of two processes that train RECIPE's smoke run together."""

    def __init__(self, folder, addresses, index, epochs):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, "-m", "zoo", "train", RECIPE, "-o", str(folder), "--smoke"]
        self._log = folder.parent / f"worker{index}.log"
        self.process = subprocess.Popen(
            [*command, "--set", f"epochs={epochs}", "--strategy", "multi-worker"],
            env={**os.environ, "TF_CONFIG": json.dumps(config)},
            stdout=subprocess.DEVNULL,
            stderr=self._log.open("a"),
        )

    def finish(self):
        try:
            assert self.process.wait(WORKER_LIMIT_S) == 0, self.log()
        finally:
            self.process.kill()

    def log(self):
        return self._log.read_text()


def _alone(folder, epochs):
    return zoo.train(zoo.resolve_recipe(RECIPE, {"epochs": str(epochs)}, smoke=True), folder)


def _assert_as_alone(folder, alone):
    run = zoo.load_run(folder)
    assert len(run.history) == len(alone.history)
    for epoch, expected in zip(run.history, alone.history, strict=True):
        # The workers' sums are added in another order: float32 rounding, and what few steps make
        # of it while no sign flips.
        assert epoch == pytest.approx(expected, rel=1e-4)
    assert run.card["accuracy"] == alone.card["accuracy"]


@pytest.mark.slow
def test_two_workers_give_the_result_of_one(tmp_path):
    folder, addresses = tmp_path / "two", _addresses()
    workers = [_Worker(folder, addresses, index, epochs=3) for index in (0, 1)]
    for worker in workers:
        worker.finish()
    _assert_as_alone(folder, _alone(tmp_path / "one", 3))
    assert "epoch 3/3" in workers[0].log()
    assert "worker 1 of 2" in workers[1].log()
    assert "epoch" not in workers[1].log()


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_worker_that_dies_and_comes_back_resumes(victim, tmp_path):
    folder, addresses, epochs = tmp_path / "two", _addresses(), 12
    workers = [_Worker(folder, addresses, index, epochs) for index in (0, 1)]
    try:
        deadline = time.monotonic() + WORKER_LIMIT_S
        while len(read_history(folder)) < 3:
            assert time.monotonic() < deadline
            assert all(worker.process.poll() is None for worker in workers), workers[0].log()
            time.sleep(0.02)
        workers[victim].process.send_signal(signal.SIGKILL)
        workers[victim].process.wait()
        assert 3 <= len(read_history(folder)) < epochs
        workers[victim] = _Worker(folder, addresses, victim, epochs)
        for worker in workers:
            worker.finish()
    finally:
        for worker in workers:
            worker.process.kill()
    assert "resuming after epoch" in workers[0].log()
    _assert_as_alone(folder, _alone(tmp_path / "one", epochs))


CLUSTER = {"worker": ["a:1", "b:2"]}


def test_the_cluster_is_read_from_tf_config():
    text = json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 1}})
    assert parse_tf_config(text) == (1, ["a:1", "b:2"])


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (None, "Expecting value"),
        ({"cluster": CLUSTER}, "'task'"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}, "no worker 2 among 2"),
        ({"cluster": CLUSTER, "task": {"type": "ps", "index": 0}}, "only tasks of type worker"),
        (
            {"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}},
            "two workers have one address",
        ),
    ],
)
def test_a_wrong_tf_config_is_said_with_an_example(config, reason):
    text = "" if config is None else json.dumps(config)
    with pytest.raises(UsageError, match=rf"needs .* TF_CONFIG .*host1:2222.*\(.*{reason}"):
        parse_tf_config(text)


def test_an_unknown_strategy_raises():
    with pytest.raises(UsageError, match="strategy is one of auto, mirrored, multi-worker"):
        make_distribution("horovod")


TWO_REPLICAS = """
import numpy as np
from onebit.keras import keras, tf
from zoo.training.distillation import Distiller

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

def network(seed, regularizer=None):
    keras.utils.set_random_seed(seed)
    image = keras.Input((3,))
    return keras.Model(image, keras.layers.Dense(2, kernel_regularizer=regularizer)(image))

def trained(strategy, label_weight):
    with strategy.scope():
        student, teacher = network(1, keras.regularizers.L2(0.5)), network(2)
        distiller = Distiller(student, teacher, label_weight=label_weight)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        distiller.compile(keras.optimizers.SGD(0.1), loss)
    x = np.random.default_rng(3).normal(size=(8, 3)).astype(np.float32)
    distiller.fit(x, np.arange(8) % 2, batch_size=8, shuffle=False, verbose=0)
    return student.get_weights()[0]

for label_weight in (0.0, 0.5, 1.0):
    one = trained(tf.distribute.get_strategy(), label_weight)
    two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), label_weight)
    # A step of 0.1 times sums of eight gradients below 4, in another order.
    np.testing.assert_allclose(two, one, atol=0.1 * 8 * 4 * 2.0**-24)
"""


@pytest.mark.slow
def test_two_replicas_learn_from_a_teacher_as_one():
    result = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("replicas", "samples", "batch_size", "expected"),
    [
        (1, 100, 32, 4),
        (2, 100, 32, 3),
        (2, 96, 32, 3),
        (3, 100, 32, "batch_size 32 has no 3 equal parts .* --set batch_size=30"),
        (4, 100, 3, "give --set batch_size=4"),
        (2, 31, 32, "31 samples are less than a batch of 32"),
    ],
)
def test_several_devices_have_whole_batches_of_equal_parts(replicas, samples, batch_size, expected):
    distribution = Distribution(SimpleNamespace(num_replicas_in_sync=replicas))
    if isinstance(expected, int):
        assert distribution.steps(samples, batch_size) == expected
        return
    with pytest.raises(UsageError, match=expected):
        distribution.steps(samples, batch_size)


NAMED_WEIGHTS = """
import numpy as np
from onebit.keras import keras, tf
from zoo.recipes import Recipe
from zoo.training.optimizers import make_optimizer

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)

def assert_equal_on_both(**fields):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        weight = tf.Variable([1.0, 2.0], name="layer/threshold")
        recipe = Recipe("m", "d", schedule="linear", **fields)
        optimizer = make_optimizer(recipe, 10, of_quantizers=[weight])
        optimizer.build([weight])
    step = lambda: optimizer.apply_gradients([(tf.constant([0.5, -0.25]), weight)])
    tf.function(lambda: strategy.run(step))()
    first, second = (value.numpy() for value in weight.values)
    assert not np.array_equal(first, [1.0, 2.0])
    np.testing.assert_array_equal(first, second)
    if "quantizer_learning_rate" in fields:
        # Adam's first step is the rate. A float32 below 2 is known to 1.2e-7.
        np.testing.assert_allclose(first, [1.0 - 1e-4, 2.0 + 1e-4], atol=3e-7)

assert_equal_on_both(quantizer_learning_rate=1e-4)
assert_equal_on_both(weight_decay=0.5, decayed="convolutions")
assert_equal_on_both(optimizer="adamw", weight_decay=0.5, decayed="others")
"""


# 100 images are three batches of 32 and four images, which TensorFlow would give to one device all.
ELASTIC = """
import sys
import numpy as np
import zoo
from onebit.keras import tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
recipe = zoo.resolve_recipe("bhvit_micro_mnist_5k", {"samples": "100", "epochs": "1"}, smoke=True)
run = zoo.train(recipe, sys.argv[1], strategy="mirrored")
assert any(weight.name.endswith("scale:0") for weight in run.model.trainable_weights)
assert all(np.isfinite(weight).all() for weight in run.model.get_weights())
"""


@pytest.mark.slow
def test_elastic_scales_stay_numbers_on_two_devices(tmp_path):
    command = [sys.executable, "-c", ELASTIC, str(tmp_path / "run")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_rules_that_go_by_a_weights_name_hold_on_every_device():
    result = subprocess.run([sys.executable, "-c", NAMED_WEIGHTS], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_a_mirrored_training_on_one_device_is_the_ordinary_one(tmp_path):
    recipe = zoo.resolve_recipe(RECIPE, {"epochs": "2"}, smoke=True)
    mirrored = zoo.train(recipe, tmp_path / "mirrored", strategy="mirrored")
    assert mirrored.history == _alone(tmp_path / "one", 2).history
