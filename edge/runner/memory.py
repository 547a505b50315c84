"""Resident memory of this process."""

from .files import read_text


def peak_memory():
    """The high-water mark of resident memory in bytes, or None."""
    for line in (read_text("/proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def reset_peak_memory():
    """Sets the high-water mark back to what is resident now.

    Returns:
        That in bytes, or None; and why it was refused, or None.
    """
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # see proc(5): the value that resets the peak
    except OSError as error:
        return None, f"/proc/self/clear_refs: {error.strerror or error}"
    peak = peak_memory()
    return peak, None if peak is not None else "/proc/self/status has no VmHWM"
