"""Devices behind adb, with and without Python; the fake adb runs commands here."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge.__main__ import main as cli
from edge.devices import RunnerError, adb_shell
from edge.devices.adb import AdbDevice
from edge.devices.adb_shell import AdbShellDevice
from onebit.errors import UsageError

SERVER = """\
case "$1" in start-server) exit 0;; esac
case "$3" in
  get-state) {state};;
  push) {push};;
esac"""
PUSH = 'cp -- "$4" "$5"; echo "$4: 1 file pushed."; exit 0'


def server(state="echo device; exit 0", push=PUSH):
    return SERVER.format(state=state, push=push)


@pytest.mark.parametrize("address", ["adb:", "adb:-s", "adb:a b", "adb:x;reboot", "adb:a\n"])
def test_serial_that_adb_would_take_for_something_else_is_refused(address):
    for kind in (AdbDevice, AdbShellDevice):
        with pytest.raises(UsageError, match="adb devices"):
            kind(address)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("echo unauthorized; exit 0", "allow USB debugging"),
        ("echo offline; exit 0", "plug it in again"),
        ("echo \"error: device 'X1' not found\" >&2; exit 1", "is it plugged in"),
    ],
)
def test_device_that_is_not_ready_is_refused_with_a_hint(fake, state, words):
    fake("adb", before=server(state))
    for kind in (AdbDevice, AdbShellDevice):
        with pytest.raises(RunnerError, match=f"cannot reach X1: .*{words}"):
            kind("adb:X1").__enter__()


def test_missing_adb_is_reported(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RunnerError, match="no adb here; install it"):
        AdbDevice("adb:X1").__enter__()


def test_device_with_python_runs_the_agent(fake, device_folder, tmp_path):
    arguments = fake("adb", before=server())
    file = tmp_path / "-model;.tflite"
    file.write_bytes(b"model")
    with AdbDevice("adb:X1") as device:
        assert Path(device.put(file)).read_bytes() == b"model"
    assert "-s\nX1\nshell\n-T\n-e\nnone\n" in arguments.read_text()
    assert list(device_folder.iterdir()) == []


def test_device_without_python_suggests_the_tool(fake):
    fake("adb", before=server())
    with pytest.raises(RunnerError, match="--tool PATH"):
        AdbDevice("adb:X1", python="/no/python").__enter__()


def test_shell_takes_files_runs_programs_and_cleans_up(fake, device_folder, tmp_path):
    fake("adb", before=server())
    file = tmp_path / "it's a;b.sh"
    file.write_text('#!/bin/sh\necho "got $1"; pwd; exit 3\n')
    with AdbShellDevice("adb:X1") as device:
        there = device.put(file)
        folder = Path(there).parent
        assert folder.parent == device_folder
        assert folder.stat().st_mode & 0o777 == 0o700
        done = device.execute([there, "a 'b;$(touch pwned)"], 20)
        assert done.code == 3
        assert done.output.decode() == f"got a 'b;$(touch pwned)\n{folder}\n"
        assert device.probe().architecture == "x86_64"
    assert list(device_folder.iterdir()) == []
    assert not list(tmp_path.rglob("pwned"))


def test_shell_that_does_not_answer_is_ended(fake, device_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(adb_shell, "ADB_SECONDS", 0.5)
    fake("adb", before=server(), run='echo $$ > "$FAKE_LOG/pid"; exec cat > /dev/null')
    with pytest.raises(RunnerError, match="no result within the time limit"):
        AdbShellDevice("adb:X1").__enter__()
    pid = int((tmp_path / "log" / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_shell_output_without_its_end_is_an_error_although_adb_says_0(fake):
    fake("adb", before=server(), run='case "$last" in *mktemp*) exec sh -c "$last";; esac\n'
         'sh -c "$last" | head -c 5; exit 0')  # fmt: skip
    device = AdbShellDevice("adb:X1")
    with device, pytest.raises(RunnerError, match="cut: the output has no end"):
        device.execute(["echo", "long enough"], 20)


def test_push_that_did_not_arrive_is_an_error(fake, tmp_path):
    full = 'head -c 3 "$4" > "$5"; echo \'adb: error: No space left on device\' >&2; exit 0'
    fake("adb", before=server(push=full))
    file = tmp_path / "m.tflite"
    file.write_bytes(b"model")
    device, words = AdbShellDevice("adb:X1"), r"cannot put m.tflite on X1: .*No space left"
    with device, pytest.raises(RunnerError, match=words):
        device.put(file)


def test_shell_ends_a_program_at_its_time_limit(fake, device_folder):
    # The client runs the shell in a session of its own, as adbd does.
    fake("adb", before=server(), run='exec setsid -w sh -c "$last"')
    with AdbShellDevice("adb:X1") as device:
        with pytest.raises(RunnerError, match="no result within the time limit of 1 s"):
            device.execute(["sh", "-c", "echo $$ > pid; exec sleep 600"], 1)
        (pid,) = device_folder.glob("*/pid")
        state = Path(f"/proc/{pid.read_text().strip()}/stat")
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
        assert device.execute(["echo", "on"], 20).output == b"on\n"
    assert list(device_folder.iterdir()) == []


def test_doctor_and_devices_do_without_python(fake, tmp_path):
    programs = tmp_path / "toybox"
    programs.mkdir()
    commands = "sh mktemp uname grep tail df cat rm sha256sum chmod readlink sleep"
    for name in commands.split():
        (programs / name).symlink_to(shutil.which(name))
    listed = 'case "$1" in devices) echo List; echo "X1\tdevice"; exit 0;; esac\n'
    fake("adb", before=listed + server() + f"\nexport PATH={programs}")
    run = CliRunner().invoke
    doctor = run(cli, ["doctor", "adb:X1", "--format", "json"])
    checks = {check["check"]: check for check in json.loads(doctor.stdout)}
    assert "MB available" in checks["memory"]["result"]
    assert "MB free" in checks["disk"]["result"]
    assert checks["runtime"]["state"] == "warning"
    assert "--tool" in checks["runtime"]["fix"]
    listing = run(cli, ["devices", "--format", "json"])
    (phone,) = [d for d in json.loads(listing.stdout) if d["device"] == "X1"]
    assert phone["state"] == "reachable"
    assert "--tool" in phone["reason"]
