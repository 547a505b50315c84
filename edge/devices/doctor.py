"""Checks a device for what would make measurements invalid; it changes nothing there."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edge.devices import ProgramDevice, PythonDevice
from edge.results.row import Host
from onebit.errors import OnebitError

ERROR, WARNING, FINE = "error", "warning", "ok"

FEWEST_FREE_BYTES = 200 << 20
FEWEST_MEMORY_BYTES = 256 << 20
HOT_C = 70.0
"""The Raspberry Pi caps its clock at 80 °C (60 °C on the 3B+), phones at 40 to 50 °C outside."""
LOW_BATTERY_PERCENT = 30


@dataclasses.dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        check: Its name, such as `governor`.
        state: `error` where it makes measurements invalid, `warning`, or `ok`.
        result: What was found.
        fix: How to get it to `ok`; None where nothing is to be done.
    """

    check: str
    state: str
    result: str
    fix: str | None = None


def examine_software(device: PythonDevice) -> Iterator[Check]:
    """Checks whether the runner would work on a device; it is entered already."""
    try:
        device.require()
    except OnebitError as error:
        yield Check("runtime", ERROR, error.message, error.hint)
    else:
        yield Check("runtime", FINE, ", ".join(sorted(device.offers().runtimes)))


def examine(device: ProgramDevice) -> Iterator[Check]:
    """Checks everything else; nothing is built or installed.

    Raises:
        RunnerError: The connection was cut.
    """
    try:
        label = device.delegate(build=False).label
    except OnebitError as error:
        yield Check("delegate", WARNING, error.message, error.hint)
    else:
        yield Check("delegate", FINE, label)
    try:
        host = device.probe()
    except OnebitError as error:
        yield Check("runner", ERROR, error.message, error.hint)
        return
    facts: Mapping[str, Any] = {}
    try:
        facts = device.inspect()
    except OnebitError as error:
        yield Check("conditions", WARNING, f"cannot be read: {error}")
    for check in CHECKS:
        yield from check(host, facts)


def _emulation(host: Host, facts: Mapping[str, Any]) -> Iterator[Check]:
    if host.emulated:
        yield Check(
            "processor", ERROR, "emulated: times and memory mean nothing", "use a real device"
        )
    elif host.virtual_machine:
        yield Check(
            "processor", WARNING, f"{host.cpu}, in a virtual machine: neighbours may disturb it"
        )
    else:
        yield Check("processor", FINE, host.cpu or "unknown")


def _user_space(host: Host, facts: Mapping[str, Any]) -> Iterator[Check]:
    if host.user_space_bits == 32 and host.architecture in ("aarch64", "arm64", "x86_64"):
        yield Check(
            "user space",
            ERROR,
            f"32 bits on a 64-bit processor ({host.architecture}): its fast kernels are not used",
            "install a 64-bit system",
        )
    elif host.user_space_bits is not None:
        yield Check("user space", FINE, f"{host.user_space_bits} bits")


def _governor(host: Host, facts: Mapping[str, Any]) -> Iterator[Check]:
    if host.governor is None:
        yield Check("governor", WARNING, "unknown: the system does not report it")
    elif host.governor != "performance":
        yield Check(
            "governor",
            ERROR,
            f"{host.governor}: the clock follows the load",
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    else:
        yield Check("governor", FINE, host.governor)


def _heat(host: Host, facts: Mapping[str, Any]) -> Iterator[Check]:
    throttling = facts.get("throttling") or []
    if throttling:
        yield Check(
            "throttling",
            ERROR,
            ", ".join(throttling),
            "use the power supply that the board asks for" if "under-voltage" in throttling
            else "cool the device, and wait",
        )  # fmt: skip
    elif facts.get("throttling_known"):
        yield Check("throttling", FINE, "none")
    if facts.get("throttled_since_boot"):
        yield Check(
            "throttling since boot",
            WARNING,
            ", ".join(facts["throttled_since_boot"]),
            "check cooling and power supply; it may happen again under load",
        )
    if host.temperature_c is not None:
        hot = host.temperature_c >= HOT_C
        yield Check(
            "temperature",
            ERROR if hot else FINE,
            f"{host.temperature_c:.0f} °C",
            "let it cool, or fit a heat sink and a fan" if hot else None,
        )


def _load(host: Host, facts: Mapping[str, Any]) -> Iterator[Check]:
    busy = facts.get("other_cores")
    if busy is None:
        return
    cores = host.cores or 1
    state = ERROR if busy > 0.5 * cores else WARNING if busy > 0.15 else FINE
    yield Check(
        "load",
        state,
        f"{busy:.1f} of {cores} cores are busy",
        None if state == FINE else "end other programs there: see `top`",
    )


def _memory(host: Host, facts: Mapping[str, Any]) -> Iterator[Check]:
    free, swapped = facts.get("available_bytes"), facts.get("swapped_bytes")
    if free is not None:
        low = free < FEWEST_MEMORY_BYTES
        yield Check(
            "memory",
            ERROR if low else FINE,
            f"{free >> 20} MB available",
            "end other programs there, or restart the device" if low else None,
        )
    if swapped:
        yield Check(
            "swap",
            WARNING,
            f"{swapped >> 20} MB are swapped out",
            "end other programs there, or turn swap off: sudo swapoff -a",
        )


def _disk(host: Host, facts: Mapping[str, Any]) -> Iterator[Check]:
    free = facts.get("free_bytes")
    if free is None:
        return
    low = free < FEWEST_FREE_BYTES
    yield Check(
        "disk",
        WARNING if low else FINE,
        f"{free >> 20} MB free for temporary files",
        "free some space, or point TMPDIR elsewhere" if low else None,
    )


def _battery(host: Host, facts: Mapping[str, Any]) -> Iterator[Check]:
    battery = facts.get("battery")
    if not battery:
        return
    percent, charge = battery.get("percent"), battery.get("state")
    level = ", ".join(str(part) for part in (f"{percent} %", charge) if part)
    if charge == "Charging":
        yield Check(
            "battery", WARNING, f"{level}: charging heats", "charge it up first, or unplug it"
        )
    elif percent is not None and percent < LOW_BATTERY_PERCENT and charge != "Full":
        yield Check("battery", WARNING, f"{level}: low power modes are near", "charge it first")
    else:
        yield Check("battery", FINE, level)


CHECKS: tuple[Callable[[Host, Mapping[str, Any]], Iterator[Check]], ...] = (
    _emulation,
    _user_space,
    _governor,
    _heat,
    _load,
    _memory,
    _disk,
    _battery,
)
