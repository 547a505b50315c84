"""Checks of made-up devices."""

import pytest

from edge.devices import Offer, RunnerError
from edge.devices.doctor import examine, examine_software
from edge.results.row import Host
from onebit.delegate import Delegate

GOOD = Host(
    "board", cpu="Cortex-A72", architecture="aarch64", cores=4, governor="performance",
    temperature_c=48.0, user_space_bits=64, virtual_machine=False, emulated=False,
)  # fmt: skip
QUIET = {
    "status": "ok", "other_cores": 0.02, "throttling": [], "throttling_known": True,
    "throttled_since_boot": [], "available_bytes": 3 << 30, "swapped_bytes": 0,
    "free_bytes": 5 << 30, "battery": None,
}  # fmt: skip


class Device:
    """A device with these facts; `missing` and `delegate` are errors."""

    def __init__(self, host=GOOD, facts=QUIET, missing=None, delegate=None):
        self.host, self.facts, self.missing, self.no_delegate = host, facts, missing, delegate

    def require(self):
        if self.missing:
            raise self.missing

    def offers(self):
        return Offer(frozenset({"litert"}), delegate=True)

    def delegate(self, build=True):
        assert not build, "a check must not build anything"
        if self.no_delegate:
            raise self.no_delegate
        return Delegate("x.so", "onebit-delegate 1")

    def probe(self):
        if self.missing:
            raise self.missing
        return self.host

    def inspect(self):
        return self.facts


def states(device):
    return {check.check: check for check in [*examine_software(device), *examine(device)]}


def changed(host=None, **facts):
    fields = {**GOOD.__dict__, **(host or {})}
    return Device(Host(**fields), {**QUIET, **facts})


def test_good_board_has_nothing_to_fix():
    checks = states(Device())
    assert {check.state for check in checks.values()} == {"ok"}
    assert all(check.fix is None for check in checks.values())
    assert set(checks) == {
        "runtime", "delegate", "processor", "user space", "governor", "throttling",
        "temperature", "load", "memory", "disk",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("device", "check", "state", "fix"),
    [
        (changed({"emulated": True}), "processor", "error", "real device"),
        (changed({"virtual_machine": True}), "processor", "warning", None),
        (changed({"user_space_bits": 32}), "user space", "error", "64-bit system"),
        (changed({"governor": "ondemand"}), "governor", "error", "sudo tee"),
        (changed({"governor": None}), "governor", "warning", None),
        (changed(throttling=["under-voltage"]), "throttling", "error", "power supply"),
        (changed(throttling=["throttled"]), "throttling", "error", "cool"),
        (changed(throttled_since_boot=["throttled"]), "throttling since boot", "warning", "cool"),
        (changed({"temperature_c": 70.0}), "temperature", "error", "cool"),
        (changed(other_cores=2.1), "load", "error", "top"),
        (changed(other_cores=0.3), "load", "warning", "top"),
        (changed(available_bytes=100 << 20), "memory", "error", "end other programs"),
        (changed(swapped_bytes=9 << 20), "swap", "warning", "swapoff"),
        (changed(free_bytes=1 << 20), "disk", "warning", "TMPDIR"),
        (changed(battery={"percent": 80, "state": "Charging"}), "battery", "warning", "unplug"),
        (changed(battery={"percent": 12, "state": "Discharging"}), "battery", "warning", "charge"),
        (changed(battery={"percent": 90, "state": "Discharging"}), "battery", "ok", None),
        (Device(delegate=RunnerError("none", hint="run make")), "delegate", "warning", "run make"),
        (Device(missing=RunnerError("no numpy", hint="run pip")), "runtime", "error", "run pip"),
    ],
)  # fmt: skip
def test_problem_is_reported_with_its_fix(device, check, state, fix):
    found = states(device)[check]
    assert found.state == state
    if fix is None:
        assert found.fix is None
    else:
        assert fix in found.fix


def test_32_bits_on_a_32_bit_processor_are_ok():
    device = changed({"user_space_bits": 32, "architecture": "armv7l"})
    assert states(device)["user space"].state == "ok"


def test_what_is_unknown_is_not_made_up():
    nothing = dict.fromkeys(QUIET)
    checks = states(Device(Host("x", emulated=False), nothing))
    assert set(checks) == {"runtime", "delegate", "processor", "governor"}
