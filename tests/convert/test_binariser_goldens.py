"""The graph before and after each step of the binariser, as text (see `test_goldens.py`).

A step gets what the earlier ones leave of a file in which it has something to do.
"""

from pathlib import Path

import numpy as np
import pytest

from convert.binariser import STEPS
from convert.tflite.graph import Graph
from tests.convert.dumps import dump_file
from tests.support.float_graphs import CODES, FloatGraph, binary_weights, schema

GOLDEN = Path(__file__).parent / "golden"


def weights(*shape):
    return binary_weights(np.random.default_rng(0), shape, scales=False)


def transposed(g, value, order, dtype=np.float32):
    out = g.tensor([g.shape(value)[axis] for axis in order], dtype)
    g.operator(CODES.TRANSPOSE, [value, g.constant(np.array(order, np.int32))], [out])
    return out


def latent_matrix():
    """sign(x)·SIGN(W), as a converter leaves it that folds nothing."""
    g = FloatGraph()
    x, y = g.tensor((1, 5, 64)), g.tensor((1, 5, 6))
    matrix = g.op("SIGN", g.constant(weights(64, 6) * 0.5))
    builtin = (schema.BuiltinOptions.BatchMatMulOptions, schema.BatchMatMulOptionsT())
    g.operator(CODES.BATCH_MATMUL, [g.sign(x), matrix], [y], builtin=builtin)
    return g.build([x], [y])


def turned_sign():
    """Compared channels-last, selected channels-first and turned back."""
    g = FloatGraph()
    x = g.tensor((1, 6, 6, 32))
    positive = g.op("GREATER_EQUAL", x, g.number(0), dtype=np.bool_)
    turned = transposed(g, positive, (0, 3, 1, 2), np.bool_)
    last = transposed(g, g.op("SELECT_V2", turned, g.number(1), g.number(-1)), (0, 2, 3, 1))
    return g.build([x], [g.conv(last, g.constant(weights(8, 3, 3, 32)), g.number(np.zeros(8)))])


def straight_through():
    """clip(x) + (sign(x) − clip(x))."""
    g = FloatGraph()
    x = g.tensor((1, 64))
    clipped = g.op("RELU_N1_TO_1", x)
    signs = g.op("ADD", clipped, g.op("SUB", g.sign(x), clipped))
    return g.build([x], [g.dense(signs, g.constant(weights(6, 64)))])


def pooled():
    """Convolution → max-pooling → normalisation → sign → convolution."""
    random = np.random.default_rng(2)
    g = FloatGraph()
    x = g.tensor((1, 8, 8, 32))
    y = g.conv(g.sign(x), g.constant(weights(64, 3, 3, 32)), g.number(np.zeros(64)), same=False)
    y = g.max_pool(y, (2, 2), (2, 2), same=False)
    y = g.multiply(y, g.number(random.uniform(1, 2, 64)))
    y = g.sign(g.add(y, g.number(random.normal(size=64))))
    y = g.conv(y, g.constant(weights(8, 3, 3, 64)), g.number(np.zeros(8)), same=False)
    return g.build([x], [y])


def rows():
    """Dense → normalisation → sign → dense."""
    random = np.random.default_rng(3)
    g = FloatGraph()
    x = g.tensor((1, 64))
    y = g.dense(g.sign(x), g.constant(weights(64, 64)))
    y = g.multiply(y, g.number(random.normal(size=64)))
    y = g.sign(g.add(y, g.number(random.normal(size=64))))
    return g.build([x], [g.dense(y, g.constant(weights(6, 64)))])


def flattened():
    """sign → reshape → dense: the reshape stands between the sign and its layer."""
    g = FloatGraph()
    x = g.tensor((1, 2, 2, 32))
    flat = g.reshape(g.sign(x), (1, 128))
    return g.build([x], [g.dense(flat, g.constant(weights(6, 128)))])


FILE_OF_STEP = {
    "fold_constants": latent_matrix,
    "matmul_to_dense": latent_matrix,
    "sink_transposes": turned_sign,
    "cancel_straight_through": straight_through,
    "find_signs": rows,
    "binarise_layers": pooled,
    "scale_before_pool": pooled,
    "fuse_scales": rows,
    "cancel_quantize_pairs": flattened,
    "move_reshapes": rows,
    "pool_bits": pooled,
    "write_thresholds": rows,
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_step_turns_the_file_into_the_golden_one(step, check_golden):
    graph = Graph.from_bytes(FILE_OF_STEP[step.__name__]())
    for earlier in STEPS[: STEPS.index(step)]:
        earlier(graph)
    before = dump_file(graph.to_bytes())
    assert step(graph)
    text = f"before {step.__name__}\n{before}\nafter\n{dump_file(graph.to_bytes())}"
    check_golden(GOLDEN / "binariser" / f"{step.__name__}.txt", text)
