"""The agent as a device's Python sees it."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.devices import RunnerError, agent, channel
from edge.devices.channel import BOOTSTRAP, SOURCE
from edge.devices.local import LocalDevice

OLDEST_PYTHON = (3, 8)


def test_agent_needs_only_an_old_python():
    tree = ast.parse(SOURCE, feature_version=OLDEST_PYTHON)
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module.split(".")[0])
    assert imported <= sys.stdlib_module_names


def test_bootstrap_survives_every_login_shell():
    # csh ends a quoted text at a line break and expands ! even in quotes.
    assert "\n" not in BOOTSTRAP
    assert "!" not in BOOTSTRAP
    ast.parse(BOOTSTRAP, feature_version=OLDEST_PYTHON)


def run(content, folder, **environment):
    return subprocess.run(
        [sys.executable, "-c", BOOTSTRAP],
        input=content,
        capture_output=True,
        timeout=30,
        cwd=folder,
        env={"TMPDIR": str(folder), "PATH": "/usr/bin:/bin", **environment},
    )


def test_connection_that_ends_at_any_byte_leaves_nothing(tmp_path):
    frames = SOURCE + b'{"op": "put", "name": "a", "size": 5, "sha256": "0"}\n12345'
    for end in (0, 1, len(SOURCE) - 1, len(SOURCE), len(SOURCE) + 20, len(frames) - 2):
        run(frames[:end], tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_modules_in_the_current_folder_are_not_imported(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('hijacked')")
    done = run(SOURCE, tmp_path)
    assert b"hijacked" not in done.stderr
    assert done.stdout.startswith(agent.MARK.encode())


def test_file_that_arrives_changed_is_refused(tmp_path):
    frames = SOURCE + b'{"op": "put", "name": "a", "size": 5, "sha256": "0"}\n12345'
    done = run(frames + b'{"op": "get", "name": "a", "size": 0}\n', tmp_path)
    put, get = done.stdout.splitlines()[2:]
    assert b'"error": "it arrived changed"' in put
    assert b'"error": "No such file or directory"' in get


def test_names_do_not_lead_out_of_the_folder(tmp_path):
    (tmp_path / "secret").write_text("secret")
    frame = b'{"op": "get", "name": "../secret", "size": 0}\n'
    assert b'"error"' in run(SOURCE + frame, tmp_path).stdout
    frame = (
        b'{"op": "put", "name": "../evil", "size": 0, "sha256": '
        b'"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}\n'
    )
    assert b'"path"' in run(SOURCE + frame, tmp_path).stdout
    assert not (tmp_path / "evil").exists()


@pytest.fixture
def impatient(monkeypatch):
    """An agent that takes a second of silence for a lost harness; the length stays the same."""
    short = SOURCE.replace(b"SILENCE_SECONDS = 300", b"SILENCE_SECONDS = 1.0")
    assert len(short) == len(SOURCE)
    assert short != SOURCE
    monkeypatch.setattr(channel, "SOURCE", short)


def test_silent_harness_is_taken_for_lost(impatient):
    with LocalDevice() as device:
        folder = Path(device.facts["folder"])
        start = time.monotonic()
        with pytest.raises(RunnerError, match="the connection ended"):
            device.execute(["sleep", "600"], 600)
        assert time.monotonic() - start < 30
    assert not folder.exists()


def test_beats_keep_the_agent_alive(impatient, monkeypatch):
    monkeypatch.setattr(channel, "BEAT_SECONDS", 0.2)
    with LocalDevice() as device:
        assert device.execute(["sleep", "3"], 20).code == 0
        time.sleep(2)
        assert device.execute(["echo", "on"], 20).output == b"on\n"


def test_signal_that_the_system_sends_ends_the_agent_cleanly():
    with LocalDevice() as device:
        folder = Path(device.facts["folder"])
        done = device.execute(["sh", "-c", "ps -o ppid= -p $$ || cut -d' ' -f4 /proc/$$/stat"], 20)
        agent_pid = int(done.output)
        os.kill(agent_pid, signal.SIGHUP)
        deadline = time.monotonic() + 20
        while folder.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_commands_leave_no_open_files():
    with LocalDevice() as device:
        count = ["sh", "-c", "ls /proc/$PPID/fd | wc -l"]
        first, *_, last = [int(device.execute(count, 20).output) for _ in range(20)]
    assert last < first + 10  # some are closed at any moment


def test_answer_has_time_for_its_size(monkeypatch):
    monkeypatch.setattr(channel, "TRANSFER_SECONDS", 1)
    monkeypatch.setattr(channel, "SLOWEST_BYTES_PER_SECOND", 1)
    slow = """echo '{"size": 4}'; for i in 1 2 3 4; do sleep 0.4; printf x; done"""
    connected = channel.Channel(["sh", "-c", slow])
    assert connected.call({"op": "get", "name": "x"})[1] == b"xxxx"
    connected.close()
