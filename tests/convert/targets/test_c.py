"""Networks exported as C compute what LCE's interpreter computes, bit for bit, on this machine.

Numbers are such that float32 rounds nowhere, or once in an order that the file prescribes.
"""

import re

import numpy as np
import pytest

from convert.errors import ConversionError
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.targets import network as n
from convert.targets.c.arena import plan_arena
from convert.targets.c.lower import lower
from convert.targets.c.project import project_files
from convert.targets.reading import read_network
from onebit.bits import pack
from tests.support.c_networks import CNetwork
from tests.support.lce_graphs import Graph, schema
from tests.support.lce_random_graphs import draw

SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def check_random(seed, folder, *options):
    case = draw(seed)
    inputs, expected = case.runs[0]
    results = CNetwork(case.model, folder).build(*options).run(inputs)
    for result, value in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, value, str(case))


@pytest.mark.parametrize("seed", range(10))
def test_random_graph(seed, tmp_path):
    check_random(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_more_random_graphs(seed, tmp_path):
    check_random(seed, tmp_path, "-O3" if seed % 2 else "-O0", "-fsanitize=undefined",
                 "-fno-sanitize-recover=all")  # fmt: skip


def compare_with_lce(content, folder, inputs):
    expected = LceInterpreter(content).run_once(inputs)
    results = CNetwork(content, folder).build().run(inputs)
    assert len(results) == len(expected)
    for result, value in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, value)


class Pixels:
    """8-bit images → float → ±1 weights, scales of both signs, biases."""

    def __init__(self, seed, size=(7, 6), channels=3, outputs=40, kernel=(5, 5), stride=(1, 1)):
        self.rng, self.g = np.random.default_rng(seed), Graph()
        rng, g = self.rng, self.g
        self.x = g.tensor([1, *size, channels], np.int8, scale=2.0**-7, zero_point=-3)
        real = g.tensor([1, *size, channels])
        g.operator(schema.BuiltinOperator.DEQUANTIZE, [self.x], [real])
        filters = self.packed([outputs, *kernel, channels])
        zeros = g.constant(np.zeros(outputs, np.float32))
        product = g.conv(real, filters, zeros, stride=stride)
        scale = rng.uniform(0.01, 1, outputs).astype(np.float32) * rng.choice([-1, 1], outputs)
        scale[0] = 0
        scaled = g.multiply(product, g.constant(scale.astype(np.float32)))
        self.outputs = outputs
        biases = rng.normal(0, 2, outputs).astype(np.float32)
        self.y = g.add(scaled, g.constant(biases))

    def packed(self, shape):
        signs = self.rng.choice([-1, 1], (shape[0], int(np.prod(shape[1:]))))
        return self.g.reshape(
            self.g.dequantize(self.g.constant(pack(signs)), signs.shape[1]), shape
        )

    def image(self):
        shape = self.g.shape(self.x)
        return self.rng.integers(-128, 128, shape).astype(np.int8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": (8, 9), "stride": (2, 2), "kernel": (3, 3), "channels": 1},
        {"size": (1, 1), "channels": 300, "kernel": (1, 1)},
        {"size": (1, 1), "channels": 30, "kernel": (3, 3)},
        {"size": (5, 1), "channels": 16, "kernel": (3, 3), "outputs": 7},
        {"size": (3, 4), "channels": 131, "kernel": (2, 1)},
    ],
    ids=str,
)
@pytest.mark.parametrize("end", ["float", "bits", "pooled"])
def test_pixels(options, end, tmp_path):
    case = Pixels(5, **options)
    y = case.y
    if end == "pooled":
        y = case.g.max_pool(y, (2, 2), (2, 2))
    if end != "float":
        y = case.g.quantize(y)
        y = case.g.bconv(
            y, case.rng.choice([-1, 1], (9, 3, 3, case.outputs)), channels_in=case.outputs,
            scale=np.ones(9), bias=np.zeros(9),
        )  # fmt: skip
    content = case.g.build([case.x], [y])
    compare_with_lce(content, tmp_path, [case.image()])
    kernels = [call.kernel for call in lower(read_network(content)).calls]
    bits = {"onebit_pixel_conv_bits", "onebit_pixel_conv_pool_bits"}
    assert kernels[0] in ({"onebit_pixel_conv_f32"} if end == "float" else bits)
    if end == "pooled":
        assert any("pool_bits" in kernel for kernel in kernels[:2])


def test_arena_reuses_memory_of_values_that_are_no_longer_read():
    g, size = Graph(), [1, 16, 16, 8]
    x = g.tensor(size)
    y = x
    for _ in range(5):
        y = g.max_pool(y, (3, 3), (1, 1))
    program = lower(read_network(g.build([x], [y])))
    # Two buffers take turns; the ends are the caller's.
    assert plan_arena(program).size_bytes == 2 * 4 * int(np.prod(size))


def test_operations_element_by_element_work_in_place():
    g, size = Graph(), [1, 16, 16, 8]
    x = g.tensor(size)
    y = g.max_pool(x, (3, 3), (1, 1))
    for _ in range(3):
        y = g.relu(g.add(y, g.constant(np.ones(8, np.float32))))
    program = lower(read_network(g.build([x], [g.max_pool(y, (1, 1), (1, 1))])))
    assert plan_arena(program).size_bytes == 4 * int(np.prod(size))


def test_layer_without_kernel_is_refused_by_name():
    g = Graph()
    x = g.tensor([1, 4])
    y = g.tensor([1, 4])
    g.operator(schema.BuiltinOperator.COS, [x], [y])
    g.graph.tensors[y].name = "model/wave/Cos"
    message = r"model/wave cannot be written as C: .* COS"
    with pytest.raises(ConversionError, match=message) as caught:
        lower(read_network(g.build([x], [y])))
    assert caught.value.reason == "no-kernel"
    assert caught.value.hint


def test_input_that_is_output_too_is_copied(tmp_path):
    g = Graph()
    x = g.tensor([1, 4, 2])
    y = g.reshape(x, [1, 8])
    image = np.arange(8, dtype=np.float32).reshape(1, 4, 2)
    (result,) = CNetwork(g.build([x], [y]), tmp_path).build().run([image])
    np.testing.assert_array_equal(result, image.reshape(1, 8))


@pytest.mark.parametrize("ends", ["yxy", "xyx", "x", "xx", "cy", "ccx", "r", "yrc"])
def test_outputs_may_be_inputs_constants_or_each_other(ends, tmp_path):
    g = Graph()
    x = g.tensor([1, 4, 2])
    y, c = g.relu(x), g.constant(np.arange(6, dtype=np.float32))
    values = {"x": x, "y": y, "c": c, "r": g.reshape(c, [2, 3])}
    content = g.build([x], [values[end] for end in ends])
    compare_with_lce(content, tmp_path, [np.arange(-4, 4, dtype=np.float32).reshape(1, 4, 2)])
    # The sources agree with themselves: a field and an array of vectors for each output.
    header = project_files(content, "net.tflite", "net")[0]["src/net.h"]
    assert len(re.findall(r"^  \w+ \w+\[", header, re.M)) == 1 + len(ends)


def test_null_and_misaligned_memory_are_refused(tmp_path):
    g = Graph()
    x = g.tensor([1, 8])
    net = CNetwork(g.build([x], [g.relu(g.relu(x))]), tmp_path).build()
    assert net.invoke(None, None) == -1
    assert isinstance(net.network.operators[0], n.Unary)
