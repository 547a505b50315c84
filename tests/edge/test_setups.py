import pytest

from edge.bench.backends import SETUPS, default_setups, find_setups
from onebit.errors import UsageError


def test_setups_are_found_once_in_the_order_given():
    assert [s.name for s in find_setups(["litert", "lce", "litert"])] == ["litert", "lce"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lce:indirect", "did you mean lce:indirect_bgemm"),
        ("litret", "litert"),
        ("?", "known: lce"),
    ],
)
def test_unknown_setup_names_near_ones(name, message):
    with pytest.raises(UsageError, match=message):
        find_setups([name])


def test_defaults_can_run_the_file():
    stock = ["lce", "lce:indirect_bgemm"]
    assert [s.name for s in default_setups(True, False)] == stock
    assert [s.name for s in default_setups(True, True)] == [*stock, "litert:delegate"]
    assert [s.name for s in default_setups(False, True)] == ["lce", "litert"]


def test_names_are_runtime_and_kernel():
    for name, setup in SETUPS.items():
        assert name == setup.name
        assert name.partition(":")[0] == setup.runtime
        assert name in (setup.runtime, f"{setup.runtime}:{setup.kernel}")
