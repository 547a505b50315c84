"""Integers only, and yet LCE's answers to the bit."""

import dataclasses

import numpy as np
import pytest

from convert.errors import ConversionError
from convert.targets.network import Network
from convert.targets.npz import packed_weights
from convert.targets.reading import read_network
from convert.targets.thresholds.execution import last_sums, run
from convert.targets.thresholds.network import InputGrid, Layer, MaxPool
from convert.targets.thresholds.reading import refused_operators, threshold_network
from onebit.bits import unpack
from tests.convert.targets.chains import CHAINS, converted, integers, lce_outputs


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_computes_what_lce_computes(name):
    content = converted(name)
    network = threshold_network(read_network(content, name))
    q = integers(network.input_shape)
    np.testing.assert_array_equal(run(network, q), lce_outputs(content, q / 128))


@pytest.mark.parametrize("name", CHAINS)
def test_stages_have_names_of_layers_and_thresholds_within_reach(name):
    network = threshold_network(read_network(converted(name), name))
    names = [stage.name for stage in network.stages]
    assert len(set(names)) == len(names)
    assert [layer.name for layer in network.layers][-1] in ("logits", "dense_3")
    *hidden, last = network.layers
    assert last.thresholds is None
    for layer in hidden:
        assert set(np.unique(layer.weights)) == {-1, 1}
        most = layer.fan_in * (128 if layer.reads == "integers" else 1)
        assert (np.abs(layer.thresholds) <= most + 2).all()


def test_a_threshold_is_where_the_files_own_floats_change_sign():
    """Exact arithmetic would decide these ties otherwise: 0.1 + 0.2 − 0.3 is not 0 in float32."""
    network = read_network(converted("valid_cnn"), "valid_cnn")
    chain = threshold_network(network)
    first = chain.layers[0]
    q = np.full((1, 9, 9, 3), 3)
    np.testing.assert_array_equal(
        run(chain, q), lce_outputs(converted("valid_cnn"), q / np.float32(128))
    )
    assert first.reads == "integers"
    assert first.window.is_padded


def test_negating_a_layer_and_its_threshold_gives_the_opposite_bits():
    chain = threshold_network(read_network(converted("sign_cnn"), "sign_cnn"))
    index = next(i for i, stage in enumerate(chain.stages) if isinstance(stage, Layer))
    layer = chain.stages[index]
    head = dataclasses.replace(chain, stages=chain.stages[: index + 1])
    opposite = dataclasses.replace(layer, weights=-layer.weights, thresholds=1 - layer.thresholds)
    turned = dataclasses.replace(chain, stages=(*chain.stages[:index], opposite))
    q = integers(chain.input_shape)
    np.testing.assert_array_equal(last_sums(head, q), -last_sums(turned, q))


def test_one_scale_for_all_is_known():
    assert not threshold_network(read_network(converted("real_mlp"), "m")).has_one_scale


def test_an_input_grid_rounds_to_the_nearest_and_saturates():
    grid = InputGrid(4, 0.25)
    values = np.array([-9, -2, -0.124, 0.124, 0.126, 0.375, 1.75, 2], np.float32)
    np.testing.assert_array_equal(grid.integers(values), [-8, -8, 0, 0, 1, 2, 7, 7])


def test_a_max_pool_of_real_numbers_becomes_one_of_bits():
    """An odd image keeps the pooling behind the float layer; the sign passes through it."""
    chain = threshold_network(read_network(converted("valid_cnn"), "valid_cnn"))
    assert sum(isinstance(stage, MaxPool) for stage in chain.stages) == 1


@pytest.mark.parametrize(
    ("name", "layer", "cause"),
    [
        ("residual", "", "joins or splits branches"),
        ("zero_padded", "second", "pads ±1 with zeros"),
        ("floats", "dense", "its weights are not ±1"),
    ],
)
def test_what_is_no_chain_is_refused_with_layer_cause_and_hint(name, layer, cause):
    network = read_network(converted(name), name)
    with pytest.raises(ConversionError, match=cause) as caught:
        threshold_network(network)
    assert layer in caught.value.message
    assert caught.value.hint
    assert caught.value.reason == "no-counterpart"
    assert refused_operators(network)


def test_every_operator_in_the_way_is_found_not_only_the_first():
    network = read_network(converted("residual"), "residual")
    found = refused_operators(network)
    assert len(found) >= 2
    assert set(found) < {operator.output for operator in network.operators}


def test_an_input_of_another_type_is_refused():
    network = read_network(converted("real_mlp"), "m")
    index = network.inputs[0]
    value = dataclasses.replace(network.values[index], dtype="int32")
    integers_of_images = Network(
        {**network.values, index: value},
        network.operators,
        network.inputs,
        network.outputs,
        network.input_names,
        network.output_names,
    )
    with pytest.raises(ConversionError, match="reads int32") as caught:
        threshold_network(integers_of_images)
    assert "image or vector" in caught.value.hint


@pytest.mark.parametrize("name", CHAINS)
def test_thresholds_are_those_that_convert_weights_writes(name):
    """A documented bit a > t, with a = (K - s) / 2, is +1 where s ≥ K - 2t."""
    content = converted(name)
    arrays = packed_weights(content, name)
    layers = {layer.name: layer for layer in threshold_network(read_network(content, name)).layers}
    documented = [key.removesuffix("/thresholds") for key in arrays if key.endswith("/thresholds")]
    assert documented
    for label in documented:
        layer = layers[label]
        signs = unpack(arrays[f"{label}/bits"], layer.weights.shape[-1])
        np.testing.assert_array_equal(signs, layer.weights)
        limits = layer.fan_in - 2 * arrays[f"{label}/thresholds"].astype(np.int64)
        limits = np.clip(limits, -layer.fan_in, layer.fan_in + 1)  # further out decides the same
        np.testing.assert_array_equal(limits, layer.thresholds)
