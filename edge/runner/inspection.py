"""Facts for `edge doctor`, beyond those of every row."""

import os
import shutil
import time

from .conditions import THROTTLE_FLAGS, active_cooling, cpu_seconds, pi_throttle_flags
from .files import find, read_number, read_text

WATCH_SECONDS = 1.0


def inspect():
    """Load by others for a second, throttling, memory, disk and battery; None where unknown."""
    flags, cooling = pi_throttle_flags(), active_cooling()
    return {
        "other_cores": busy_cores(),
        "throttling": named(flags or 0) + (cooling or []),
        "throttling_known": flags is not None or cooling is not None,
        "throttled_since_boot": named((flags or 0) >> 16),
        "available_bytes": memory_bytes("MemAvailable"),
        "swapped_bytes": swapped_bytes(),
        "free_bytes": shutil.disk_usage(os.getcwd()).free,
        "battery": battery(),
    }


def named(flags):
    """The names of the Raspberry Pi's lowest four flags that are set."""
    return [name for bit, name in enumerate(THROTTLE_FLAGS) if flags & (1 << bit)]


def busy_cores():
    """How many cores are busy, watched for a second while this process sleeps; or None."""
    before, _ = cpu_seconds()
    start = time.perf_counter()
    time.sleep(WATCH_SECONDS)
    after, _ = cpu_seconds()
    if before is None or after is None:
        return None
    return (after - before) / (time.perf_counter() - start)


def memory_bytes(field):
    """A field of /proc/meminfo in bytes, or None."""
    for line in (read_text("/proc/meminfo") or "").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def swapped_bytes():
    """Swapped bytes, or None."""
    total, free = memory_bytes("SwapTotal"), memory_bytes("SwapFree")
    return None if total is None or free is None else total - free


def battery():
    """`{"percent", "state"}` of the first battery, or None without any."""
    for folder in sorted(find("/sys/class/power_supply/*")):
        if (read_text(folder + "/type") or "") == "Battery":
            percent = read_number(folder + "/capacity")
            return {
                "percent": None if percent is None else int(percent),
                "state": read_text(folder + "/status"),
            }
    return None
