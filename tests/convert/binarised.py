"""Float files through the binariser, and what they compute before and after."""

import numpy as np

from convert.binariser import binarise
from convert.passes import run_passes
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.tflite.graph import Graph
from tests.support.float_graphs import binary_weights


def op_names(graph):
    """The names of the operators, in order."""
    return [graph.op_name(op) for op in graph.operators]


def binarised(content):
    """The graph that the binariser and the passes make of a float file."""
    graph = Graph.from_bytes(content)
    binarise(graph)
    run_passes(graph)
    return graph


def sign_weights(channels, seed=0):
    """A filter of 6 outputs, ±1."""
    return binary_weights(np.random.default_rng(seed), (6, channels), scales=False)


def assert_same(content, graph, *inputs, terms=1000, flips=0):
    """Equal outputs but for the rounding of `terms` numbers; ±1 equal but for `flips`."""
    expected = LceInterpreter(content).run(list(inputs))
    outputs = LceInterpreter(graph.to_bytes()).run(list(inputs))
    for left, right in zip(expected, outputs, strict=True):
        if np.isin(left, (-1, 1)).all():
            assert (left != right).sum() <= flips
        else:
            tolerance = terms * 2.0**-23 * np.abs(left).max()
            np.testing.assert_allclose(right, left, rtol=0, atol=tolerance)
