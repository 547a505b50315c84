"""What a Raspberry Pi's firmware tells."""

import shutil
import subprocess

VCGENCMD_SECONDS = 5


def vcgencmd(command):
    """What the firmware's tool prints for a command, or None where there is no such tool."""
    if not shutil.which("vcgencmd"):
        return None
    try:
        told = subprocess.run(
            ["vcgencmd", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=VCGENCMD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.decode(errors="replace")
