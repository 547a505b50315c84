"""Values from a Raspberry Pi's firmware."""

import shutil
import subprocess

VCGENCMD_SECONDS = 5


def vcgencmd(command):
    """The output of the firmware's tool for a command, or None where there is no such tool."""
    if not shutil.which("vcgencmd"):
        return None
    try:
        done = subprocess.run(
            ["vcgencmd", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=VCGENCMD_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace")
