"""ONNX files of int8 networks, executed in NumPy, against LCE's interpreter."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the extra fpga")

import onnx

from convert.runtimes.lce_interpreter import LceInterpreter
from convert.targets.qonnx.qcdq_target import qcdq
from convert.targets.qonnx.target import qonnx
from convert.targets.reading import read_network, real_values
from tests.convert.targets.chains import INT8, converted, in_steps, integers, lce_outputs
from tests.support.int8_graphs import CASES, Int8Graph, int8_case
from tests.support.onnx_execution import execute, execute_once

SAMPLES = 12
DIALECTS = {"generic": lambda c: qonnx(c, "generic", "net"), "qcdq": lambda c: qcdq(c, "net")}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", CASES)
def test_an_operator_gives_the_numbers_of_the_integers(name, dialect):
    content, arrays = int8_case(name)
    network = read_network(content)
    model = onnx.load_from_string(DIALECTS[dialect](content))
    inputs = []
    for index, array in zip(network.inputs, arrays, strict=True):
        real = real_values(array, network.values[index].quantization)
        inputs.append(real.transpose(0, 3, 1, 2) if real.ndim == 4 else real)
    found = execute_once(model, inputs)
    found = found.transpose(0, 2, 3, 1) if found.ndim == 4 else found
    (codes,) = LceInterpreter(content).run_once(arrays)
    steps = network.values[network.outputs[0]].quantization
    differences = np.abs(np.rint(found / steps.scale + steps.zero_point) - codes)
    assert differences.max() <= 1
    assert np.mean(differences > 0) <= _most(name)


def _most(name):
    """The share of integers that may be rounded to the other side.

    TensorFlow Lite rounds a sum twice, to an integer and then to a power of two of steps; averages
    of an even count, and scales whose ratio is a small fraction, are often halfway.
    """
    if name.startswith(("MAX", "concat", "dense", "binary")) or name in (
        "RELU",
        "QUANTIZE",
        "TANH",
    ):
        return 0
    return 0.002 if name.startswith(("conv", "depthwise")) else 0.1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", INT8)
def test_a_converted_network_stays_within_steps_of_its_output(name, dialect):
    content = converted(name)
    network = read_network(content)
    values = integers(network.values[network.inputs[0]].shape, SAMPLES) / 128
    model = onnx.load_from_string(DIALECTS[dialect](content))
    found = execute(model, values.transpose(0, 3, 1, 2).astype(np.float32))
    assert {"image_quant", "first", "packed", "logits_quant"} <= {n.name for n in model.graph.node}
    assert np.abs(in_steps(network, found - lce_outputs(content, values))).max() <= 2


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("zero_point", [-128, -1, 0, 3])
def test_halves_at_the_input_are_rounded_as_by_lce(zero_point, dialect):
    """8-bit pixels in [-1, 1] lie halfway between the integers that stand for that range."""
    graph = Int8Graph()
    image = graph.g.tensor([1, 4, 4, 5])
    rounded = graph.rescaled(image, 0.25, zero_point)
    content = graph.g.build([image], [rounded])
    halves = (np.arange(-40, 40) * 0.125).reshape(1, 4, 4, 5).astype(np.float32)
    (codes,) = LceInterpreter(content).run_once([halves])
    model = onnx.load_from_string(DIALECTS[dialect](content))
    found = execute_once(model, [halves.transpose(0, 3, 1, 2)]).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(found, (codes.astype(np.float32) - zero_point) * 0.25)
