"""What would spoil a measurement on a device, and how to mend it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edge.devices import Device
from edge.results.row import Host
from onebit.errors import OnebitError

SPOILS, WARNING, FINE = "spoils", "warning", "fine"

FEWEST_FREE_BYTES = 200 << 20
FEWEST_MEMORY_BYTES = 256 << 20
HOT_C = 70.0
"""The Raspberry Pi caps its clock at 80 °C (60 °C on the 3B+), phones at 40 to 50 °C outside."""
LOW_BATTERY_PERCENT = 30


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: What it is, such as `governor`.
        state: `spoils` a measurement, `warning`, or `fine`.
        found: What was found.
        mend: How to make it fine; None where nothing is to be done.
    """

    check: str
    state: str
    found: str
    mend: str | None = None


def examine(device: Device) -> Iterator[Finding]:
    """Looks a device over; it is entered already.

    Raises:
        RunnerError: The connection was cut.
    """
    yield from _software(device)
    try:
        host = device.probe()
    except OnebitError as error:
        yield Finding("runner", SPOILS, str(error))
        return
    told: Mapping[str, Any] = {}
    try:
        told = device.inspect()
    except OnebitError as error:
        yield Finding("conditions", WARNING, f"cannot be read: {error}")
    for check in CHECKS:
        yield from check(host, told)


def _software(device: Device) -> Iterator[Finding]:
    try:
        device.require()
    except OnebitError as error:
        found, _, mend = str(error).partition("; ")
        yield Finding("runtime", SPOILS, found, mend or None)
    else:
        yield Finding("runtime", FINE, ", ".join(sorted(device.offers())))
    try:
        delegate = device.delegate()
    except OnebitError as error:
        found, _, mend = str(error).partition(": ")
        yield Finding("delegate", WARNING, found, mend or None)
    else:
        yield Finding("delegate", FINE, delegate.label)


def _emulation(host: Host, told: Mapping[str, Any]) -> Iterator[Finding]:
    if host.emulated:
        yield Finding(
            "processor", SPOILS, "emulated: times and memory mean nothing", "use a real device"
        )
    elif host.virtual_machine:
        yield Finding(
            "processor", WARNING, f"{host.cpu}, in a virtual machine: neighbours may disturb it"
        )
    else:
        yield Finding("processor", FINE, host.cpu or "unknown")


def _user_space(host: Host, told: Mapping[str, Any]) -> Iterator[Finding]:
    if host.user_space_bits == 32 and host.architecture in ("aarch64", "arm64", "x86_64"):
        yield Finding(
            "user space",
            SPOILS,
            f"32 bits on a 64-bit processor ({host.architecture}): its fast kernels are not used",
            "install a 64-bit system",
        )
    elif host.user_space_bits is not None:
        yield Finding("user space", FINE, f"{host.user_space_bits} bits")


def _governor(host: Host, told: Mapping[str, Any]) -> Iterator[Finding]:
    if host.governor is None:
        yield Finding("governor", WARNING, "unknown: the system does not tell")
    elif host.governor != "performance":
        yield Finding(
            "governor",
            SPOILS,
            f"{host.governor}: the clock follows the load",
            "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
        )
    else:
        yield Finding("governor", FINE, host.governor)


def _heat(host: Host, told: Mapping[str, Any]) -> Iterator[Finding]:
    throttling = told.get("throttling") or []
    if throttling:
        yield Finding(
            "throttling",
            SPOILS,
            ", ".join(throttling),
            "use the power supply that the board asks for" if "under-voltage" in throttling
            else "cool the device, and wait",
        )  # fmt: skip
    elif told.get("throttling_known"):
        yield Finding("throttling", FINE, "none")
    if told.get("throttled_since_boot"):
        yield Finding(
            "throttling since boot",
            WARNING,
            ", ".join(told["throttled_since_boot"]),
            "check cooling and power supply; it may happen again under load",
        )
    if host.temperature_c is not None:
        hot = host.temperature_c >= HOT_C
        yield Finding(
            "temperature",
            SPOILS if hot else FINE,
            f"{host.temperature_c:.0f} °C",
            "let it cool, or fit a heat sink and a fan" if hot else None,
        )


def _load(host: Host, told: Mapping[str, Any]) -> Iterator[Finding]:
    busy = told.get("other_cores")
    if busy is None:
        return
    cores = host.cores or 1
    verdict = SPOILS if busy > 0.5 * cores else WARNING if busy > 0.15 else FINE
    yield Finding(
        "load",
        verdict,
        f"{busy:.1f} of {cores} cores are busy",
        None if verdict == FINE else "end what runs there: see `top`",
    )


def _memory(host: Host, told: Mapping[str, Any]) -> Iterator[Finding]:
    free, swapped = told.get("available_bytes"), told.get("swapped_bytes")
    if free is not None:
        low = free < FEWEST_MEMORY_BYTES
        yield Finding(
            "memory",
            SPOILS if low else FINE,
            f"{free >> 20} MB available",
            "end what runs there, or restart the device" if low else None,
        )
    if swapped:
        yield Finding(
            "swap",
            WARNING,
            f"{swapped >> 20} MB are swapped out",
            "end what runs there, or turn swap off: sudo swapoff -a",
        )


def _disk(host: Host, told: Mapping[str, Any]) -> Iterator[Finding]:
    free = told.get("free_bytes")
    if free is None:
        return
    low = free < FEWEST_FREE_BYTES
    yield Finding(
        "disk",
        WARNING if low else FINE,
        f"{free >> 20} MB free for temporary files",
        "free some space, or point TMPDIR elsewhere" if low else None,
    )


def _battery(host: Host, told: Mapping[str, Any]) -> Iterator[Finding]:
    battery = told.get("battery")
    if not battery:
        return
    percent, state = battery.get("percent"), battery.get("state")
    found = ", ".join(str(part) for part in (f"{percent} %", state) if part)
    if state == "Charging":
        yield Finding(
            "battery", WARNING, f"{found}: charging heats", "charge it up first, or unplug it"
        )
    elif percent is not None and percent < LOW_BATTERY_PERCENT and state != "Full":
        yield Finding("battery", WARNING, f"{found}: low power modes are near", "charge it first")
    else:
        yield Finding("battery", FINE, found)


CHECKS: tuple[Callable[[Host, Mapping[str, Any]], Iterator[Finding]], ...] = (
    _emulation,
    _user_space,
    _governor,
    _heat,
    _load,
    _memory,
    _disk,
    _battery,
)
