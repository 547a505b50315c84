"""Facts for the doctor, from files of made-up boards."""

import json
import subprocess
import sys

from edge.devices.runner_archive import write_runner
from edge.runner import files, inspection


def test_flags_have_names():
    assert inspection.named(0) == []
    assert inspection.named(0b0101) == ["under-voltage", "throttled"]
    assert inspection.named(0x50000 >> 16) == ["under-voltage", "throttled"]


def test_memory_and_swap_are_read():
    free, swapped = inspection.memory_bytes("MemAvailable"), inspection.swapped_bytes()
    assert free is None or free > 0
    assert swapped is None or swapped >= 0
    assert inspection.memory_bytes("NoSuchField") is None


def test_busy_cores_are_between_none_and_all():
    busy = inspection.busy_cores()
    assert busy is None or 0 <= busy < 10_000


def test_runner_inspects_without_numpy(tmp_path):
    """`-S` leaves the packages out."""
    command = [sys.executable, "-S", str(write_runner(tmp_path))]
    for action in ("inspect", "probe"):
        done = subprocess.run(
            command, input=json.dumps({"action": action}), capture_output=True, text=True,
            timeout=60, cwd=tmp_path,
        )  # fmt: skip
        answer = json.loads(done.stdout)
        assert answer["status"] == "ok", answer
    done = subprocess.run(
        command, input='{"action": "bench"}', capture_output=True, text=True, timeout=60
    )
    assert "numpy" in json.loads(done.stdout)["reason"]


def test_battery_is_read_from_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", str(tmp_path))
    assert inspection.battery() is None
    for name, kind in (("ac", "Mains"), ("battery", "Battery")):
        folder = tmp_path / "sys/class/power_supply" / name
        folder.mkdir(parents=True)
        (folder / "type").write_text(kind + "\n")
    (folder / "status").write_text("Charging\n")
    assert inspection.battery() == {"percent": None, "state": "Charging"}
    (folder / "capacity").write_text("83\n")
    assert inspection.battery() == {"percent": 83, "state": "Charging"}


def test_memory_is_read_from_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", str(tmp_path))
    assert inspection.memory_bytes("MemAvailable") is None
    assert inspection.swapped_bytes() is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(
        "MemTotal:  3884000 kB\nMemAvailable:  1000 kB\nSwapTotal:  300 kB\nSwapFree:  100 kB\n"
    )
    assert inspection.memory_bytes("MemAvailable") == 1_024_000
    assert inspection.swapped_bytes() == 200 * 1024
