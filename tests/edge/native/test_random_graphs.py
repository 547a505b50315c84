"""Random graphs with every kernel, number of threads and shape, against NumPy and LCE.

Each run of the tests draws other graphs. A failure prints the number of its graph, and

    ONEBIT_GRAPH=number python -m pytest tests/edge/native/test_random_graphs.py

draws that one again.
"""

import os
import secrets

import pytest

from tests.support import lce_random_graphs, run_cases

PER_TEST = 30
CHOSEN = os.environ.get("ONEBIT_GRAPH")


@pytest.fixture(scope="module")
def settings(isas, kernels):
    """Each instruction set, each variant of the convolution, some threads, and nothing merged."""
    found = [*({"isa": isa} for isa in isas), *({"kernel": name} for name in kernels)]
    return [*found, {"num_threads": 2}, {"num_threads": 3}, {"fuse": False}]


@pytest.fixture
def check_drawn(settings, lce):
    """Draws a number of graphs, and compares them in all settings and with LCE."""
    from ai_edge_litert import interpreter as runtime

    def differences(case):
        for setting in settings:
            yield setting, run_cases.check_safely(runtime, case.model, case.runs, setting)[0]
        options = lce_random_graphs.lce_options(case)
        if options is not None:
            inputs, outputs = case.runs[0]
            found = lce(case.model, *inputs, **options)
            equal = [(ours == theirs).all() for ours, theirs in zip(outputs, found, strict=True)]
            yield "LCE", None if all(equal) else f"which outputs are equal: {equal}"

    def check_drawn(count):
        for seed in [int(CHOSEN)] if CHOSEN else [secrets.randbits(32) for _ in range(count)]:
            case = lce_random_graphs.draw(seed, neighbours=True)
            for name, difference in differences(case):
                assert difference is None, f"{name}: {difference}\nONEBIT_GRAPH={seed}\n{case}"

    return check_drawn


@pytest.mark.parametrize("part", range(10))
def test_random_graphs_agree_with_numpy_and_lce(part, check_drawn):
    check_drawn(PER_TEST)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(100))
def test_many_random_graphs_agree_with_numpy_and_lce(part, check_drawn):
    check_drawn(2 * PER_TEST)
