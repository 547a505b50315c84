"""Conditions that may disturb a measurement, read before and after it."""

import os
import time

from .cores import CPU
from .files import find, read_number, read_text
from .pi import vcgencmd

THROTTLED_PATH = "/sys/devices/platform/soc/soc:firmware/get_throttled"
THROTTLE_FLAGS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
"""The Raspberry Pi's `get_throttled`: bits 0 to 3 at this moment, 16 to 19 since it was booted."""
CPU_COOLING = ("cpufreq", "cpu", "processor")


def conditions(cpus=None):
    """The conditions at this moment.

    Args:
        cpus: The cores whose clocks and governors count; core 0 when None.
    """
    busy, stolen = cpu_seconds()
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        load = None
    folders = [CPU + f"{cpu}/" for cpu in (cpus or [0])]
    clocks = [read_number(folder + "cpufreq/scaling_cur_freq", 1e-3) for folder in folders]
    governors = {read_text(folder + "cpufreq/scaling_governor") for folder in folders}
    return {
        "wall_seconds": time.perf_counter(),
        "process_cpu_seconds": time.process_time(),
        "busy_cpu_seconds": busy,
        "stolen_cpu_seconds": stolen,
        "load_1min": load,
        "clock_mhz": min((clock for clock in clocks if clock is not None), default=None),
        "governor": ", ".join(sorted(governors - {None})) or None,
        "temperature_c": temperature(),
        "throttle_count": throttle_count(),
        "throttle_flags": pi_throttle_flags(),
        "cooling": active_cooling(),
    }


def cpu_seconds():
    """Seconds that all cores together were (busy, stolen by the hypervisor), or (None, None)."""
    fields = (read_text("/proc/stat") or "").split("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return None, None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(n) for n in fields[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / tick, steal / tick


def temperature():
    """The hottest of the processor's sensors in °C, of all sensors where none says CPU; or None."""
    zones = []
    for folder in find("/sys/class/thermal/thermal_zone*"):
        degrees = read_number(folder + "/temp", 1e-3)
        # Disabled sensors report 0 or an impossibly low temperature.
        if degrees is not None and 0 < degrees < 200:
            zones.append(((read_text(folder + "/type") or "").lower(), degrees))
    of_cpu = [d for kind, d in zones if "cpu" in kind or "soc" in kind or "x86_pkg" in kind]
    return max(of_cpu or [degrees for _, degrees in zones], default=None)


def throttle_count():
    """How often x86 cores lowered their clocks for heat since boot, added up, or None."""
    counts = [
        read_number(path) for path in find(CPU + "[0-9]*/thermal_throttle/core_throttle_count")
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def pi_throttle_flags():
    """The Raspberry Pi's flags (`THROTTLE_FLAGS`), or None elsewhere."""
    text = read_text(THROTTLED_PATH)
    if text is None:
        text = (vcgencmd("get_throttled") or "").strip().rpartition("=")[2]
    try:
        return int(text, 16)
    except ValueError:
        return None


def active_cooling():
    """The kernel's cooling devices that hold a processor's clock down at this moment.

    Returns:
        Their names; None where the kernel has none for the processor.
    """
    known, active = False, []
    for folder in find("/sys/class/thermal/cooling_device*"):
        kind = (read_text(folder + "/type") or "").lower()
        state = read_number(folder + "/cur_state")
        if state is None or not any(word in kind for word in CPU_COOLING):
            continue
        known = True
        if state > 0:
            active.append(kind)
    return active if known else None
