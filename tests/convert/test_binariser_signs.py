"""The spellings of a sign that the binariser finds in a float file."""

import numpy as np
import pytest

from convert.auditing.layers import audit
from convert.report import Reason
from convert.runtimes.lce_interpreter import LceInterpreter
from tests.convert.binarised import binarised, op_names, sign_weights
from tests.support.float_graphs import FloatGraph

# Where a sign may go wrong: both zeros, the smallest numbers of both kinds, and large ones.
EDGES = np.array(
    [0.0, -0.0, 1e-45, -1e-45, 1.2e-38, -1.2e-38, 0.1, -0.1, 0.5, 1, -1, 1.5, -7, 2**24, -(2**30)],
    np.float32,
)


def select(compare, then, otherwise):
    def build(g, x):
        zero = g.number(0)
        condition = g.op(compare, x, zero, dtype=np.bool_)
        return g.op("SELECT_V2", condition, g.number(then), g.number(otherwise))

    return build


def full_select(g, x):
    """torch.where with tensors of ones, as PyTorch's exporter writes it."""
    ones = g.constant(np.ones(g.shape(x), np.float32))
    condition = g.op("GREATER_EQUAL", x, g.number(0), dtype=np.bool_)
    return g.op("SELECT", condition, ones, g.constant(-np.ones(g.shape(x), np.float32)))


def cast(g, x):
    bools = g.op("GREATER_EQUAL", x, g.number(0), dtype=np.bool_)
    doubled = g.op("MUL", g.op("CAST", bools), g.number(2))
    return g.op("SUB", doubled, g.number(1))


def with_zeros_as_ones(g, x):
    """tf.sign(x) + (x == 0)."""
    zeros = g.op("CAST", g.op("EQUAL", x, g.number(0), dtype=np.bool_))
    return g.op("ADD", g.op("SIGN", x), zeros)


def clipped_straight_through(g, x):
    clipped = g.op("RELU_N1_TO_1", x)
    return g.op("ADD", clipped, g.op("SUB", g.sign(x), clipped))


def reversed_straight_through(g, x):
    """c − (c − s), with a clip of two operators."""
    clipped = g.op("MINIMUM", g.op("MAXIMUM", x, g.number(-1.5)), g.number(1.5))
    return g.op("SUB", clipped, g.op("SUB", clipped, g.sign(x)))


SPELLINGS = {
    "larq": lambda g, x: g.sign(x),
    "greater equal": select("GREATER_EQUAL", 1, -1),
    "less": select("LESS", -1, 1),
    "tensors of ones": full_select,
    "cast": cast,
    "zeros as ones": with_zeros_as_ones,
    "negated twice": lambda g, x: g.op("NEG", g.op("NEG", g.sign(x))),
    "straight-through": clipped_straight_through,
    "reversed straight-through": reversed_straight_through,
}


def sign_file(build, shape=(1, 5, 8)):
    g = FloatGraph()
    x = g.tensor(shape)
    y = g.dense(build(g, x), g.constant(sign_weights(shape[-1])), keep_dims=True)
    return g.build([x], [y])


@pytest.mark.parametrize("build", SPELLINGS.values(), ids=SPELLINGS)
def test_sign_is_found_in_its_spelling(build):
    content = sign_file(build)
    graph = binarised(content)
    assert sorted(set(op_names(graph))) == ["LceBconv2d", "LceQuantize", "RESHAPE"]
    x = np.random.default_rng(1).choice(EDGES, size=(20, 5, 8))
    (expected,) = LceInterpreter(content).run([x])
    (outputs,) = LceInterpreter(graph.to_bytes()).run([x])
    np.testing.assert_array_equal(outputs, expected)


REFUSED = {
    "tf.sign": (lambda g, x: g.op("SIGN", x), Reason.TF_SIGN_INPUTS),
    "-1 for 0": (select("GREATER", 1, -1), Reason.MINUS_FOR_ZERO),
    "step": (select("GREATER_EQUAL", 1, 0), Reason.ZERO_ONE_INPUTS),
    "straight-through without a clip": (
        lambda g, x: g.op("ADD", x, g.op("SUB", g.sign(x), x)),
        Reason.STRAIGHT_THROUGH,
    ),
}


@pytest.mark.parametrize(("build", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_that_sign_stays_float_and_is_named(build, reason):
    graph = binarised(sign_file(build, (1, 5, 96)))
    assert "LceBconv2d" not in op_names(graph)
    (layer,) = [layer for layer in audit(graph).layers if layer.op == "FULLY_CONNECTED"]
    assert layer.reason_code == reason
    assert layer.fix


def test_straight_through_without_a_clip_is_found_behind_a_bounded_number():
    """Behind a binary layer no number is beyond 2^24."""
    g = FloatGraph()
    x = g.tensor((1, 64))
    y = g.dense(g.sign(x), g.constant(sign_weights(64)))
    z = g.op("ADD", y, g.op("SUB", g.sign(y), y))
    graph = binarised(g.build([x], [g.dense(z, g.constant(sign_weights(6)))]))
    assert op_names(graph).count("LceBconv2d") == 2


def test_straight_through_is_exact_where_it_is_replaced():
    """The derivation in `cancel_straight_through`, on numbers of all sizes up to 2^24."""
    random = np.random.default_rng(0)
    x = np.exp(random.uniform(-40, np.log(2**24), 100_000)).astype(np.float32)
    x = np.concatenate([x, -x, [0.0, 1 / 3, 0.5, 1, 2, 2**24 - 1]]).astype(np.float32)
    sign = np.where(x >= 0, np.float32(1), np.float32(-1))
    np.testing.assert_array_equal(x + (sign - x), sign)
    beyond = np.float32(2**24 + 2)
    assert beyond + (np.float32(1) - beyond) != 1


@pytest.mark.parametrize("threshold", [0.3, [0.5, -0.25, 0.0, 1e-45, -3.0, 0.1, -0.1, 7.0]])
def test_threshold_of_a_comparison_does_not_move(threshold):
    def build(g, x):
        condition = g.op("GREATER_EQUAL", x, g.number(threshold), dtype=np.bool_)
        return g.op("SELECT_V2", condition, g.number(1), g.number(-1))

    content = sign_file(build)
    graph = binarised(content)
    assert op_names(graph).count("LceBconv2d") == 1
    near = np.broadcast_to(np.float32(threshold), (1, 5, 8))
    x = np.concatenate(
        [near, np.nextafter(near, np.float32(9)), np.nextafter(near, np.float32(-9))]
    )
    (expected,) = LceInterpreter(content).run([x])
    (outputs,) = LceInterpreter(graph.to_bytes()).run([x])
    np.testing.assert_array_equal(outputs, expected)
