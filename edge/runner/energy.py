"""Energy, where the board has a meter; elsewhere None.

Three meters are known: Intel's and AMD's energy counters (RAPL: only processor packages), the
Raspberry Pi 5's power chip (its rails; not what the USB ports take), and a battery that is being
discharged (the whole device). They differ in what they count: compare only equal sources.
"""

import re
import threading
import time

from .files import find, read_number, read_text
from .pi import vcgencmd

POLL_SECONDS = 0.1
IDLE_SECONDS = 1.0
RAIL = re.compile(r"^\s*(\w+)_([AV])\s.*=([0-9.]+)[AV]\s*$")


class Counter:
    """Energy counters that only grow, until they wrap around."""

    source = "rapl"

    def __init__(self, folders):
        self._folders = folders

    def start(self):
        """Begins a span."""
        self._before = self._read()

    def stop(self):
        """The joules of the span."""
        joules = 0.0
        for folder, before, after in zip(self._folders, self._before, self._read()):  # noqa: B905
            difference = after - before
            if difference < 0:
                difference += read_number(folder + "/max_energy_range_uj") or 0.0
            joules += difference * 1e-6
        return joules

    def _read(self):
        return [read_number(folder + "/energy_uj") or 0.0 for folder in self._folders]


class Power:
    """A reading of power at one moment, read over and over by a thread beside the inferences."""

    def __init__(self, source, watts):
        self.source = source
        self._watts = watts

    def start(self):
        """Begins a span."""
        self._begin, self._readings, self._ended = time.perf_counter(), [], threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self):
        while True:
            watts = self._watts()
            if watts is not None:
                self._readings.append(watts)
            if self._ended.wait(POLL_SECONDS):
                return

    def stop(self):
        """The joules of the span, the mean power times its length; None without a reading."""
        self._ended.set()
        self._thread.join()
        seconds = time.perf_counter() - self._begin
        readings = self._readings
        return sum(readings) / len(readings) * seconds if readings else None


def find_meter():
    """The meter of this machine that measures the processor most exactly, or None."""
    packages = [
        folder
        for folder in find("/sys/class/powercap/intel-rapl:*")
        # Only whole packages: subzones, and psys around them, would count the same energy twice.
        if (read_text(folder + "/name") or "").startswith("package")
        and read_number(folder + "/energy_uj") is not None
    ]
    if packages:
        return Counter(packages)
    for source, watts in (("pi-pmic", pi_watts), ("battery", battery_watts)):
        if watts() is not None:
            return Power(source, watts)
    return None


def pi_watts():
    """The power of a Raspberry Pi 5's rails as its power chip reports it, in watts; None elsewhere.

    The sum of current times voltage over the rails for which both are known.
    """
    rails: dict = {}
    for line in (vcgencmd("pmic_read_adc") or "").splitlines():
        match = RAIL.match(line)
        if match:
            rails.setdefault(match.group(1), {})[match.group(2)] = float(match.group(3))
    products = [rail["A"] * rail["V"] for rail in rails.values() if len(rail) == 2]
    return sum(products) if products else None


def battery_watts():
    """The power that a battery delivers in watts; None unless one is being discharged."""
    for folder in find("/sys/class/power_supply/*"):
        if read_text(folder + "/type") != "Battery" or read_text(folder + "/scope") == "Device":
            continue
        if read_text(folder + "/status") != "Discharging":
            continue
        watts = read_number(folder + "/power_now", 1e-6)
        amperes = read_number(folder + "/current_now", 1e-6)
        volts = read_number(folder + "/voltage_now", 1e-6)
        if watts is None and amperes is not None and volts is not None:
            watts = amperes * volts
        if watts:
            return abs(watts)  # some drivers give a discharging current a minus sign
    return None


def measure_energy(run, inputs, seconds):
    """The energy of inferences one after the other, after the samples; None without a meter.

    Returns:
        `{"source", "joules", "seconds", "inferences", "idle_watts"}`; the last is the reading of
        the same meter in the second before, when this process slept.
    """
    meter = find_meter()
    if meter is None or seconds <= 0:
        return None
    meter.start()
    start = time.perf_counter()
    time.sleep(IDLE_SECONDS)
    idle = meter.stop()
    idle_seconds = time.perf_counter() - start

    meter.start()
    start, inferences = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        run(inputs)
        inferences += 1
    joules = meter.stop()
    elapsed = time.perf_counter() - start
    if joules is None or idle is None:
        return None
    return {
        "source": meter.source,
        "joules": joules,
        "seconds": elapsed,
        "inferences": inferences,
        "idle_watts": idle / idle_seconds,
    }
