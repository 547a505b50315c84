"""The number of executed instructions is the same in every run, and is that of the right code."""

import pytest

from edge.emulation import recipes, userland
from edge.emulation.board_counting import count, estimate_cycles
from tests.devices.fixtures import skipping

# QEMU is built for it.
pytestmark = [pytest.mark.emulated, pytest.mark.slow]


@pytest.fixture(scope="module")
def counts(aarch64_root, wheel, residual_model):
    """Two counts of one model."""
    with skipping():
        qemu = userland.build(recipes.QEMU)
        return [count(aarch64_root, qemu, wheel("aarch64"), residual_model[0]) for _ in range(2)]


def test_two_runs_execute_the_same_instructions(counts):
    assert counts[0] == counts[1]
    # A chain that was not the delegate's would spend nearly all elsewhere.
    assert 0.3 < counts[0].delegate / counts[0].inference < 1
    assert counts[0].emulator.endswith("-cpu cortex-a72")


def test_hottest_block_is_the_popcount_loop(counts):
    hottest = counts[0].hottest
    assert sum(line.startswith("cnt ") for line in hottest) >= 8
    estimate = estimate_cycles(hottest)
    if estimate is None:
        pytest.skip("no llvm-mca: apt-get install llvm")
    # At most three instructions are decoded a cycle.
    assert estimate["cycles_per_iteration"] >= len(hottest) / 3
