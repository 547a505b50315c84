"""What spoils a measurement, by made-up devices."""

import pytest

from edge.devices import RunnerError
from edge.devices.doctor import examine
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
    """A device that tells what it is given."""

    def __init__(self, host=GOOD, told=QUIET, missing=None, delegate=None):
        self.host, self.told, self.missing, self.no_delegate = host, told, missing, delegate

    def require(self):
        if self.missing:
            raise RunnerError(self.missing)

    def offers(self):
        return frozenset({"litert"})

    def delegate(self):
        if self.no_delegate:
            raise RunnerError(self.no_delegate)
        return Delegate("x.so", "onebit-delegate 1")

    def probe(self):
        if self.missing:
            raise RunnerError(self.missing)
        return self.host

    def inspect(self):
        return self.told


def states(device):
    return {finding.check: finding for finding in examine(device)}


def changed(host=None, **told):
    fields = {**GOOD.__dict__, **(host or {})}
    return Device(Host(**fields), {**QUIET, **told})


def test_good_board_has_nothing_to_mend():
    findings = states(Device())
    assert {finding.state for finding in findings.values()} == {"fine"}
    assert all(finding.mend is None for finding in findings.values())
    assert set(findings) == {
        "runtime", "delegate", "processor", "user space", "governor", "throttling",
        "temperature", "load", "memory", "disk",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("device", "check", "state", "mend"),
    [
        (changed({"emulated": True}), "processor", "spoils", "real device"),
        (changed({"virtual_machine": True}), "processor", "warning", None),
        (changed({"user_space_bits": 32}), "user space", "spoils", "64-bit system"),
        (changed({"governor": "ondemand"}), "governor", "spoils", "sudo tee"),
        (changed({"governor": None}), "governor", "warning", None),
        (changed(throttling=["under-voltage"]), "throttling", "spoils", "power supply"),
        (changed(throttling=["throttled"]), "throttling", "spoils", "cool"),
        (changed(throttled_since_boot=["throttled"]), "throttling since boot", "warning", "cool"),
        (changed({"temperature_c": 70.0}), "temperature", "spoils", "cool"),
        (changed(other_cores=2.1), "load", "spoils", "top"),
        (changed(other_cores=0.3), "load", "warning", "top"),
        (changed(available_bytes=100 << 20), "memory", "spoils", "end what runs"),
        (changed(swapped_bytes=9 << 20), "swap", "warning", "swapoff"),
        (changed(free_bytes=1 << 20), "disk", "warning", "TMPDIR"),
        (changed(battery={"percent": 80, "state": "Charging"}), "battery", "warning", "unplug"),
        (changed(battery={"percent": 12, "state": "Discharging"}), "battery", "warning", "charge"),
        (changed(battery={"percent": 90, "state": "Discharging"}), "battery", "fine", None),
        (Device(delegate="no delegate: run make"), "delegate", "warning", "run make"),
        (Device(missing="it has no numpy; run pip"), "runtime", "spoils", "run pip"),
    ],
)  # fmt: skip
def test_what_spoils_a_measurement_is_told_with_its_mend(device, check, state, mend):
    finding = states(device)[check]
    assert finding.state == state
    if mend is None:
        assert finding.mend is None
    else:
        assert mend in finding.mend


def test_32_bits_on_a_32_bit_processor_are_fine():
    device = changed({"user_space_bits": 32, "architecture": "armv7l"})
    assert states(device)["user space"].state == "fine"


def test_what_is_unknown_is_not_made_up():
    nothing = dict.fromkeys(QUIET)
    findings = states(Device(Host("x", emulated=False), nothing))
    assert set(findings) == {"runtime", "delegate", "processor", "governor"}
