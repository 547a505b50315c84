"""A network says of a file what the file computes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convert.auditing.layers import audit
from convert.errors import ConversionError, FlatbufferError
from convert.targets import network as n
from convert.targets.reading import read_network
from onebit.bits import pack
from tests.support.lce_graphs import Graph, schema
from tests.support.lce_random_graphs import draw
from tests.support.network_execution import execute

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("seed", range(60))
def test_random_graph_is_read_as_it_computes(seed):
    case = draw(seed)
    network = read_network(case.model)
    inputs, expected = case.runs[0]
    results = execute(network, dict(zip(network.inputs, inputs, strict=True)))
    for result, value in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, value, str(case))


def weight_only(activation=0, first="MUL", shared=False):
    """A packed filter with its scales and its bias behind it."""
    rng, g = np.random.default_rng(3), Graph()
    x = g.tensor([1, 6, 5, 8])
    signs = g.dequantize(g.constant(pack(rng.choice([-1, 1], (4, 72)))), 72)
    filters = g.reshape(signs, [4, 3, 3, 8])
    product = g.conv(x, filters, g.constant(np.zeros(4, np.float32)))
    scale, bias = (g.constant(rng.integers(1, 9, 4).astype(np.float32)) for _ in range(2))
    if first == "MUL":
        y = g.add(g.multiply(product, scale), bias, activation)
    else:
        y = g.multiply(g.add(product, bias), scale, activation)
    outputs = [y, product] if shared else [y]
    return g.build([x], outputs)


def test_scales_and_biases_belong_to_the_layer_with_the_filter():
    network = read_network(weight_only(activation=1))
    (layer,) = network.operators
    assert isinstance(layer, n.Conv)
    assert (layer.is_binary, layer.activation, layer.groups) == (True, "relu", 1)
    assert set(np.unique(layer.weights)) == {-1, 1}
    assert layer.scale is not None
    assert layer.bias is not None
    assert layer.window == n.Window((3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    assert network.outputs == (layer.output,)


@pytest.mark.parametrize("options", [{"first": "ADD"}, {"shared": True}])
def test_other_orders_of_rounding_stay_operators(options):
    content = weight_only(**options)
    network = read_network(content)
    assert sum(isinstance(o, n.Elementwise) for o in network.operators) >= 1
    x = np.random.default_rng(0).integers(-8, 9, (1, 6, 5, 8)).astype(np.float32)
    results = execute(network, {network.inputs[0]: x})
    assert [r.shape for r in results] == [network.values[i].shape for i in network.outputs]


def test_operators_have_the_names_of_the_audit():
    content = (ROOT / "tests/written_before/model.tflite").read_bytes()
    names = [layer.name for layer in audit(content).layers]
    network = read_network(content)
    assert [o.name for o in network.operators if isinstance(o, n.Dense)] == names


def test_unknown_operator_is_other():
    g = Graph()
    x = g.tensor([1, 4])
    y = g.tensor([1, 4])
    g.operator(schema.BuiltinOperator.COS, [x], [y])
    (operator,) = read_network(g.build([x], [y])).operators
    assert isinstance(operator, n.Other)
    assert (operator.op, operator.inputs, operator.output) == ("COS", (x,), y)


def test_shape_that_is_known_only_when_it_runs_is_refused():
    g = Graph()
    x = g.tensor([1, 4])
    y = g.relu(x)
    g.graph.tensors[x].shapeSignature = [-1, 4]
    with pytest.raises(ConversionError, match="known only when it runs"):
        read_network(g.build([x], [y]))


def test_misfitting_operator_is_damage():
    g = Graph()
    x = g.tensor([1, 4, 4, 8])
    filters = g.constant(np.ones((4, 3, 3, 8), np.float32))
    y = g.conv(x, filters, g.constant(np.zeros(4, np.float32)))
    g.graph.tensors[x].shape = [1, 4]
    with pytest.raises(FlatbufferError, match="do not fit together"):
        read_network(g.build([x], [y]))


def test_reading_needs_numpy_and_flatbuffers_only():
    code = (
        "import sys, json, convert.targets.reading;"
        "print(json.dumps([m for m in sys.modules if '.' not in m]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    loaded = set(json.loads(done.stdout))
    assert loaded & {"tensorflow", "keras", "tf_keras", "larq", "larq_compute_engine"} == set()
