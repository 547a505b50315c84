"""The machine's cores, and on which of them this process runs."""

import os
import re

from .errors import RequestError
from .files import find, read_number, read_text

CPU = "/sys/devices/system/cpu/cpu"

# From arch/arm64/include/asm/cputype.h of Linux; a Pi's and most phones' cores are made by ARM.
ARM_PARTS = {
    "0xc07": "Cortex-A7", "0xc08": "Cortex-A8", "0xc09": "Cortex-A9", "0xc0f": "Cortex-A15",
    "0xd03": "Cortex-A53", "0xd04": "Cortex-A35", "0xd05": "Cortex-A55", "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72", "0xd09": "Cortex-A73", "0xd0a": "Cortex-A75", "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1", "0xd0d": "Cortex-A77", "0xd40": "Neoverse-V1", "0xd41": "Cortex-A78",
    "0xd44": "Cortex-X1", "0xd46": "Cortex-A510", "0xd47": "Cortex-A710", "0xd48": "Cortex-X2",
    "0xd49": "Neoverse-N2", "0xd4d": "Cortex-A715", "0xd4e": "Cortex-X3", "0xd80": "Cortex-A520",
    "0xd81": "Cortex-A720", "0xd82": "Cortex-X4", "0xb76": "ARM1176",
}  # fmt: skip
ARM = "0x41"

AFFINITY = r"big|little|\d+(,\d+)*"

MAX_THREADS = 256
"""More than any board has cores; thousands would only bring the machine down."""


def clusters():
    """Groups of cores of one kind, the most powerful first.

    Cores are of one kind if capacity (what the scheduler takes their relative speed to be), highest
    clock and model agree.

    Returns:
        A list of `{"cpus", "capacity", "max_mhz", "core"}`; empty where /sys lists no cores.
    """
    models = _models()
    found: dict = {}
    for folder in find(CPU + "[0-9]*"):
        match = re.search(r"cpu(\d+)$", folder)
        if match is None or read_text(folder + "/online") == "0":
            continue
        cpu = int(match.group(1))
        capacity = read_number(folder + "/cpu_capacity")
        max_mhz = read_number(folder + "/cpufreq/cpuinfo_max_freq", 1e-3)
        found.setdefault((capacity, max_mhz, models.get(cpu)), []).append(cpu)
    groups = [
        {
            "cpus": sorted(cpus),
            "capacity": None if capacity is None else int(capacity),
            "max_mhz": max_mhz,
            "core": model,
        }
        for (capacity, max_mhz, model), cpus in found.items()
    ]
    groups.sort(key=lambda g: (-_power(g)[0], -_power(g)[1], g["cpus"]))
    return groups


def _power(group):
    return group["capacity"] or 0, group["max_mhz"] or 0.0


def _models():
    """Number → model of each core in /proc/cpuinfo, for ARM's own designs."""
    models, cpu, implementer = {}, None, None
    for line in (read_text("/proc/cpuinfo") or "").splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor" and value.isdigit():
            cpu = int(value)
        elif key == "CPU implementer":
            implementer = value
        elif key == "CPU part" and cpu is not None and implementer == ARM:
            models[cpu] = ARM_PARTS.get(value)
    return models


def chosen_cpus(affinity):
    """The cores that `big`, `little` or a list such as `0,2` names.

    `big` are those of the greatest capacity, or highest clock where the kernel has no capacities,
    `little` those of the least; cores in between belong to neither.

    Raises:
        RequestError: The machine has no big and little cores, or the text is neither.
    """
    if not re.match("(" + AFFINITY + ")$", affinity):
        raise RequestError(f"affinity {affinity!r} is not big, little or a list of cores")
    if affinity not in ("big", "little"):
        return sorted({int(part) for part in affinity.split(",")})
    groups = clusters()
    powers = {_power(group) for group in groups}
    if len(powers) < 2:
        raise RequestError(
            f"affinity {affinity}: this machine has no big and little cores; "
            "name cores by their numbers, such as 0,1"
        )
    wanted = max(powers) if affinity == "big" else min(powers)
    return sorted(cpu for g in groups if _power(g) == wanted for cpu in g["cpus"])


def pin(affinity):
    """Keeps this process, and the threads that it will start, on the chosen cores.

    Returns:
        The cores on which it may run, None where the system does not report them.

    Raises:
        RequestError: The cores cannot be chosen or the system refuses them.
    """
    if affinity:
        cpus = chosen_cpus(affinity)
        try:
            os.sched_setaffinity(0, cpus)
        except (OSError, AttributeError) as error:
            names = ", ".join(map(str, cpus))
            reason = getattr(error, "strerror", None) or "this system cannot do it"
            raise RequestError(f"cannot run on the cores {names}: {reason}") from error
    try:
        return sorted(os.sched_getaffinity(0))
    except (OSError, AttributeError):
        return None
