import dataclasses

import pytest

from edge.bench.backends import BACKENDS, default_backends, find_backends
from edge.bench.benchmark_model import TOOL_BACKENDS
from edge.devices import agent
from edge.devices.remote import RUNTIME_PACKAGES
from edge.runner import runtimes
from onebit.errors import UsageError

EVERYTHING = frozenset({"lce", "litert"})


def test_backends_are_found_once_in_the_order_given():
    assert [b.name for b in find_backends(["litert", "lce", "litert"])] == ["litert", "lce"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lce:indirect", "did you mean lce:indirect_bgemm"),
        ("litret", "litert"),
        ("?", "known: lce"),
    ],
)
def test_unknown_backend_names_near_ones(name, message):
    with pytest.raises(UsageError, match=message):
        find_backends([name])


def test_defaults_can_run_the_file():
    stock = ["lce", "lce:indirect_bgemm"]
    assert [b.name for b in default_backends(True, False, EVERYTHING)] == stock
    assert [b.name for b in default_backends(True, True, EVERYTHING)] == [*stock, "litert:delegate"]
    assert [b.name for b in default_backends(False, True, EVERYTHING)] == ["lce", "litert"]


def test_defaults_leave_out_runtimes_that_the_device_lacks():
    litert = frozenset({"litert"})
    assert [b.name for b in default_backends(True, True, litert)] == ["litert:delegate"]
    assert [b.name for b in default_backends(False, True, litert)] == ["litert"]
    assert default_backends(True, False, litert) == []


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_sets_the_option_that_it_is_named_after(name):
    backend = BACKENDS[name]
    runtime, _, kernel = name.partition(":")
    assert backend.runtime == runtime
    assert backend.with_delegate is (kernel == "delegate")
    assert backend.runs_lce_ops is (name != "litert")
    switches = {"reference": "use_reference_bconv"}
    expected = {switches.get(kernel, f"use_{kernel}"): True} if runtime == "lce" and kernel else {}
    assert backend.options == expected
    known = {"lce": runtimes.LceInterpreter.options, "litert": ()}[runtime]
    assert set(backend.options) <= set(known)


def test_names_of_tools_and_of_runtimes_do_not_meet():
    assert not set(BACKENDS) & set(TOOL_BACKENDS)


def test_agent_harness_and_runner_know_the_same_runtimes():
    """The agent and the runner are sent to devices, so each has its own list."""
    known = {package for packages in RUNTIME_PACKAGES.values() for package in packages}
    assert known == set(agent.RUNTIMES)
    assert set(RUNTIME_PACKAGES) == set(runtimes.RUNTIMES) == {b.runtime for b in BACKENDS.values()}
    modules = {
        distribution: module.partition(".")[0]
        for module, distribution in runtimes.LiteRtInterpreter.packages
    }
    assert modules == {package: agent.RUNTIMES[package] for package in RUNTIME_PACKAGES["litert"]}
    assert agent.RUNTIMES["larq-compute-engine"] == runtimes.LceInterpreter.package


def test_backends_are_not_changed_by_accident():
    with pytest.raises(dataclasses.FrozenInstanceError):
        BACKENDS["lce"].name = "other"
