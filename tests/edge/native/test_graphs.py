"""Whole graphs: what is merged, converted Keras models, interpreters and threads."""

import gc
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.lce_blocks import Builder, residual_model
from tests.support.lce_graphs import Graph, elementwise


def test_residual_chain_becomes_one_operator_a_layer(run, tmp_path):
    model, shape = residual_model()
    run(model, np.ones(shape, np.float32), profile=tmp_path / "p.json")
    gc.collect()
    profile = json.loads((tmp_path / "p.json").read_text())
    assert [n["op"] for n in profile["delegated"]] == ["LceQuantize"] + 3 * ["LceBconv2d"]
    assert [n["merged"] for n in profile["delegated"]] == [
        [], ["ADD", "LceQuantize"], ["ADD", "LceQuantize"], ["ADD"],
    ]  # fmt: skip
    assert all(n["calls"] == 1 and n["time_ns"] > 0 for n in profile["delegated"])


def test_a_dense_blocks_features_are_never_copied(run, lce, tmp_path):
    builder = Builder(5)
    g, width = builder.g, builder.channels
    value = builder.x
    for _ in range(4):
        value, width = (
            g.concatenate([value, builder.conv(g.quantize(value), width, 32)]),
            width + 32,
        )
    model = g.build([builder.x], [g.dequantize(g.quantize(value), width)])
    x = np.random.default_rng(6).standard_normal(builder.shape).astype(np.float32)
    assert np.array_equal(run(model, x, profile=tmp_path / "p.json")[0], lce(model, x)[0])
    gc.collect()
    profile = json.loads((tmp_path / "p.json").read_text())
    assert profile["not_delegated"] == []
    # One tensor of all features, beside bits and the frames of convolutions.
    pixels = builder.shape[1] * builder.shape[2]
    assert profile["memory"]["arena_bytes"] < 1.5 * 4 * pixels * width + 2**14


def test_other_concatenations_are_left_to_the_interpreter(run, lce, tmp_path):
    builder = Builder(5)
    g, channels = builder.g, builder.channels
    value = builder.conv(g.quantize(builder.x), channels, channels)
    wide = g.concatenate([value, builder.x], axis=2)
    pair = g.concatenate([builder.x, builder.x])
    model = g.build([builder.x], [wide, pair])
    x = np.random.default_rng(6).standard_normal(builder.shape).astype(np.float32)
    for ours, theirs in zip(run(model, x, profile=tmp_path / "p.json"), lce(model, x), strict=True):
        assert np.array_equal(ours, theirs)
    gc.collect()
    profile = json.loads((tmp_path / "p.json").read_text())
    assert [node["op"] for node in profile["not_delegated"]] == 2 * ["CONCATENATION"]


def test_residual_that_the_interpreter_computes_joins_its_convolution(run, lce, tmp_path):
    """Otherwise the convolution lands in an earlier partition than the sum."""
    builder = Builder(5)
    g = builder.g
    value = builder.conv(g.quantize(builder.x), builder.channels, builder.channels)
    positive = g.relu(value)
    out = g.add(builder.conv(g.quantize(value), builder.channels, builder.channels), positive)
    model = g.build([builder.x], [out])
    x = np.random.default_rng(6).standard_normal(builder.shape).astype(np.float32)
    assert np.array_equal(run(model, x, profile=tmp_path / "p.json")[0], lce(model, x)[0])
    gc.collect()
    profile = json.loads((tmp_path / "p.json").read_text())
    assert [(n["op"], n["merged"]) for n in profile["delegated"]] == [
        ("LceQuantize", []), ("LceBconv2d", ["LceQuantize"]), ("LceBconv2d", ["ADD"]),
    ]  # fmt: skip
    assert [n["op"] for n in profile["not_delegated"]] == ["RELU"]


@pytest.mark.parametrize("steps", [("MUL",), ("ADD",), ("MUL", "ADD")])
@pytest.mark.parametrize("channels", [1, 31, 32, 70])
def test_a_normalisation_before_a_sign_stores_no_floats(run, lce, isas, tmp_path, steps, channels):
    rng = np.random.default_rng(channels)
    g = Graph()
    x = value = g.tensor([1, 5, 3, channels])
    constants = {kind: rng.choice([-1.5, -1.0, 0.5, 2.0], channels) for kind in steps}
    for kind in steps:
        value = elementwise(g, kind, value, constants[kind].astype(np.float32))
    model = g.build([x], [g.dequantize(g.quantize(value), channels)])
    # Halves: sums of zero occur; a product with NaN is neither negative nor an error.
    values = rng.integers(-4, 4, (1, 5, 3, channels)).astype(np.float32) / 2
    values[0, 0, 0, 0] = np.nan
    expected = lce(model, values)[0]
    for isa in isas:
        path = tmp_path / f"{isa}.json"
        assert np.array_equal(run(model, values, isa=isa, profile=path)[0], expected), isa
        gc.collect()
        profile = json.loads(path.read_text())
        first = profile["delegated"][0]
        assert (first["op"], first["merged"]) == (steps[0], [*steps[1:], "LceQuantize"])
        bits = 15 * 4 * -(-channels // 32)
        assert profile["memory"]["arena_bytes"] == -(-bits // 64) * 64


def test_resized_input_gives_each_image_its_own_result(run):
    model, shape = residual_model()
    x = np.random.default_rng(1).standard_normal((4, 5, 7, shape[3])).astype(np.float32)
    whole = run(model, x)[0]
    for i in range(4):
        assert np.array_equal(run(model, x[i : i + 1])[0], whole[i : i + 1])


def test_interpreter_can_be_resized_again_and_again(onebit_delegate):
    from ai_edge_litert.interpreter import Interpreter

    model, shape = residual_model()
    interpreter = Interpreter(
        model_content=model, experimental_delegates=[onebit_delegate.load(num_threads=2)]
    )
    rng = np.random.default_rng(0)
    for size in [(1, 9, 9), (3, 2, 2), (1, 4, 11), (1, 9, 9)]:
        x = rng.standard_normal((*size, shape[3])).astype(np.float32)
        index = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(index, x.shape)
        interpreter.allocate_tensors()
        results = []
        for _ in range(2):
            interpreter.set_tensor(index, x)
            interpreter.invoke()
            results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
        assert results[0].shape == x.shape
        assert np.array_equal(results[0], results[1])


def test_interpreters_in_several_threads_agree(run):
    model, shape = residual_model(5)
    xs = np.random.default_rng(2).standard_normal((4, *shape)).astype(np.float32)
    expected = [run(model, x)[0] for x in xs]
    wrong = []

    def work(i):
        for _ in range(10):
            if not np.array_equal(run(model, xs[i], num_threads=1 + i % 3)[0], expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_one_delegate_serves_two_interpreters(onebit_delegate):
    from ai_edge_litert.interpreter import Interpreter

    model, shape = residual_model()
    delegate = onebit_delegate.load()
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    results = []
    for _ in range(2):
        interpreter = Interpreter(model_content=model, experimental_delegates=[delegate])
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        results.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    assert np.array_equal(*results)


def test_interpreter_threads_are_used_without_the_option(run):
    model, shape = residual_model()
    x = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
    assert np.array_equal(run(model, x, interpreter_threads=4)[0], run(model, x)[0])


def test_workers_keep_the_processors_that_they_may_use(onebit_delegate):
    """A worker that is woken is kept off its waker's processor, for that moment only."""
    from ai_edge_litert.interpreter import Interpreter

    model, _ = residual_model()
    before = set(os.listdir("/proc/self/task"))
    interpreter = Interpreter(
        model_content=model, experimental_delegates=[onebit_delegate.load(num_threads=3)]
    )
    interpreter.allocate_tensors()
    workers = [int(task) for task in set(os.listdir("/proc/self/task")) - before]
    assert len(workers) == 2
    pinned, free = workers
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(pinned, {min(mine)})
    for _ in range(20):
        interpreter.invoke()
        time.sleep(0.002)  # until the workers sleep
    deadline = time.monotonic() + 10
    while os.sched_getaffinity(free) != mine and time.monotonic() < deadline:
        time.sleep(0.01)
    assert os.sched_getaffinity(free) == mine
    assert os.sched_getaffinity(pinned) == {min(mine)}


FORKING = """
import os, sys, time
import numpy as np
import onebit_delegate
from ai_edge_litert.interpreter import Interpreter

before = set(os.listdir("/proc/self/task"))
interpreter = Interpreter(
    sys.argv[1], experimental_delegates=[onebit_delegate.load(num_threads=3)]
)
index = interpreter.get_input_details()[0]["index"]
out = interpreter.get_output_details()[0]["index"]
interpreter.allocate_tensors()
workers = [int(task) for task in set(os.listdir("/proc/self/task")) - before]
x = np.random.default_rng(0).standard_normal(interpreter.get_input_details()[0]["shape"])
interpreter.set_tensor(index, x.astype(np.float32))
interpreter.invoke()
expected = interpreter.get_tensor(out)
time.sleep(0.1)  # until the workers sleep
affinities = [os.sched_getaffinity(worker) for worker in workers]
for resize in (False, False, True):
    child = os.fork()
    if child == 0:
        if resize:  # the child's own workers
            interpreter.resize_tensor_input(index, x.shape)
            interpreter.allocate_tensors()
            interpreter.set_tensor(index, x.astype(np.float32))
        interpreter.invoke()
        right = np.array_equal(interpreter.get_tensor(out), expected)
        del interpreter
        os._exit(0 if right else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [os.sched_getaffinity(worker) for worker in workers] == affinities
assert len(workers) == 2
"""


def test_forked_child_does_not_move_its_parents_workers(onebit_delegate, tmp_path):
    """Where the machine is virtual, a pool moves its workers to other processors for a moment."""
    model, _ = residual_model()
    (tmp_path / "model.tflite").write_bytes(model)
    package = Path(onebit_delegate.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(tmp_path / "model.tflite")],
        env=os.environ | {"PYTHONPATH": str(package)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


FORKING_WHILE_BUSY = """
import os, signal, sys, threading, time
import onebit_delegate
from ai_edge_litert.interpreter import Interpreter

delegate = onebit_delegate.load(num_threads=2)
busy, free = [Interpreter(sys.argv[1], experimental_delegates=[delegate]) for _ in range(2)]
busy.allocate_tensors()
free.allocate_tensors()

def infer():
    while True:
        busy.invoke()

threading.Thread(target=infer, daemon=True).start()
time.sleep(0.05)
for number in range(12):
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        if number % 2:
            free.invoke()
        del free
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, number
os._exit(0)
"""


def test_forked_child_does_not_wait_for_its_parents_inference(onebit_delegate, tmp_path):
    """Two interpreters share a delegate, and the parent forks while one of them runs."""
    model, _ = residual_model(layers=30)
    (tmp_path / "model.tflite").write_bytes(model)
    package = Path(onebit_delegate.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", FORKING_WHILE_BUSY, str(tmp_path / "model.tflite")],
        env=os.environ | {"PYTHONPATH": str(package)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_converted_keras_model_agrees_with_lce(run, lce):
    """conv → BN → sign, same padding with zeros, pooling and residuals, as the converter writes."""
    import larq_compute_engine

    from onebit.keras import keras, lq

    keras.utils.set_random_seed(7)
    settings = {
        "input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False,
    }  # fmt: skip
    x = inputs = keras.Input((12, 12, 32))
    for padding, values in [("valid", 0), ("same", 1)]:
        x = lq.layers.QuantConv2D(64, 3, padding=padding, pad_values=values, **settings)(x)
        x = keras.layers.BatchNormalization(momentum=0.5)(x)
    x = keras.layers.MaxPool2D(2)(x)
    y = lq.layers.QuantConv2D(64, 3, padding="same", pad_values=1, **settings)(x)
    x = keras.layers.add([keras.layers.BatchNormalization()(y), x])
    # Last, as LCE corrects the zero border in float: a sign after it could flip.
    x = lq.layers.QuantConv2D(64, 3, padding="same", **settings)(x)
    x = keras.layers.Dense(10)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    file = larq_compute_engine.convert_keras_model(model)
    image = np.random.default_rng(0).standard_normal((1, 12, 12, 32)).astype(np.float32)
    # The dense layer sums 1,600 products of up to 600 in either order: 1600 * 600 * 2^-24 < 0.06.
    np.testing.assert_allclose(run(file, image)[0], lce(file, image)[0], atol=0.06)
