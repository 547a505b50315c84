"""Devices behind ssh: addresses, the command line, and connections that break in every way."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edge.devices import InterruptedRunError, RunnerError, channel
from edge.devices.ssh import OPTIONS, SshDevice, SshTarget
from onebit.errors import UsageError

CUT = f'{sys.executable} {Path(__file__).with_name("cut.py")} 3000 "$last"'
"""Lets 3,000 bytes through and then hangs up: the facts fit, long answers do not."""

RUN = 'exec sh -c "$last"'
HOSTILE = "-a b'c\"d;$(touch pwned)\n`e`*.tflite"


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("ssh://raspberrypi", SshTarget("raspberrypi")),
        ("ssh://pi@10.0.0.7:2222", SshTarget("10.0.0.7", "pi", 2222)),
        ("ssh://pi@[fe80::1%eth0]:22/", SshTarget("fe80::1%eth0", "pi", 22)),
        ("ssh://my_board.local", SshTarget("my_board.local")),
    ],
)
def test_address_is_parsed(address, target):
    assert SshTarget.parse(address) == target


@pytest.mark.parametrize(
    "address",
    [
        "ssh://", "ssh://-oProxyCommand=touch pwned", "ssh://-oProxyCommand=x@host",
        "ssh://pi@-host", "ssh://pi@host:-1", "ssh://pi@host:0", "ssh://pi@host:65536",
        "ssh://pi@host;reboot", "ssh://pi@host reboot", "ssh://pi@ho$(reboot)st", "ssh://a@b@c",
        "ssh://pi@host\n", "ssh://pi@host:22x", "ssh://@host", "ssh://pi'@host",
    ],
)  # fmt: skip
def test_address_that_ssh_would_take_for_something_else_is_refused(address):
    with pytest.raises(UsageError):
        SshDevice(address)


def test_option_that_is_none_is_refused():
    with pytest.raises(UsageError, match="Name=value"):
        SshDevice("ssh://pi@host", options=["-oProxyCommand"])


def test_target_follows_the_end_of_options(fake):
    arguments = fake("ssh", before="exit 255")
    with pytest.raises(RunnerError), SshDevice("ssh://pi@board:2222", options=["User=x"]):
        pass
    given = arguments.read_text().split("\n")
    end = given.index("--")
    assert given[end - 4 : end + 2] == ["-l", "pi", "-p", "2222", "--", "board"]
    # ssh takes the first value that it finds: the user's come before ours.
    values = [given[i + 1] for i, part in enumerate(given) if part == "-o"]
    assert values == ["User=x", *OPTIONS]


def test_hint_is_a_command_that_reaches_the_device():
    device = SshDevice("ssh://pi@board:2222", options=["IdentityFile=~/a key"])
    device._facts = {"machine": "aarch64", "bits": 64}
    assert (
        "run: ssh -o 'IdentityFile=~/a key' -p 2222 pi@board 'python3 -m" in device.install_hint()
    )


def test_hostile_names_reach_the_device_as_content_only(fake, device_folder, tmp_path):
    fake()
    file = tmp_path / HOSTILE
    file.write_bytes(b"content \x00\xff")
    with SshDevice("ssh://pi@board") as device:
        folder = Path(device.facts["folder"])
        assert folder.parent == device_folder
        assert folder.stat().st_mode & 0o777 == 0o700
        there = Path(device.put(file))
        assert there.parent == folder
        assert there.read_bytes() == file.read_bytes()
        assert device.put(file) == str(there)
        again = tmp_path / "same content"
        again.write_bytes(file.read_bytes())
        assert device.put(again) == str(there), "sent once, by its hash"
        done = device.execute(["cat", HOSTILE], 20)
        assert (done.code, done.output) == (1, b"")
        assert b"pwned" not in device.execute(["printf", "%s", "a;touch pwned"], 20).output[9:]
    assert list(device_folder.iterdir()) == []
    assert not list(tmp_path.rglob("pwned"))


def test_noise_of_login_scripts_is_skipped(fake):
    fake(before="echo 'Welcome to pi!'; printf '\\xff\\x00 more\\n'")
    with SshDevice("ssh://pi@board") as device:
        assert device.facts["bits"] == 64


def test_endless_noise_is_an_error(fake):
    fake(run="while :; do echo noise; done")
    with pytest.raises(RunnerError, match=r"cannot reach board: it prints 'noise.* without an end"):
        SshDevice("ssh://pi@board").__enter__()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("pi@board: Permission denied (publickey).", "ssh-copy-id -p 2222 pi@board"),
        ("Host key verification failed.", "connecting once: ssh -p 2222 pi@board"),
        ("ssh: connect to host board port 2222: Connection refused", "is sshd running"),
        ("ssh: Could not resolve hostname board: Name or service not known", "check the name"),
    ],
)
def test_refusal_is_reported_with_a_hint(fake, words, hint):
    fake(run=f"echo '{words}' >&2; exit 255")
    with pytest.raises(RunnerError) as caught:
        SshDevice("ssh://pi@board:2222").__enter__()
    assert words in str(caught.value)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_device_without_python_says_how_to_install_it(fake):
    fake()
    with pytest.raises(RunnerError, match=r"board has no /no/python; install it.*ssh pi@board"):
        SshDevice("ssh://pi@board", python="/no/python").__enter__()


def test_missing_ssh_is_reported(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RunnerError, match="cannot run ssh"):
        SshDevice("ssh://pi@board").__enter__()


def test_missing_packages_are_told_with_the_command(fake, tmp_path):
    fake()
    bare = tmp_path / "python"
    # -S leaves the site packages out.
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    device = SshDevice("ssh://pi@board", python=str(bare))
    with device, pytest.raises(RunnerError, match="no numpy and no runtime") as caught:
        device.require()
    assert "--install" in str(caught.value)
    assert "ssh pi@board 'python3 -m venv ~/.cache/onebit/venv && " in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 40, 4000])
def test_answer_that_is_cut_is_an_error(fake, kept, device_folder):
    # The agent's answers after its facts are cut.
    cut = f"import os; os.write(1, b'x' * {kept})"
    fake(run=f"exec {CUT}")
    device = SshDevice("ssh://pi@board")
    with device, pytest.raises(RunnerError, match="the connection ended: Connection reset"):
        device.execute([sys.executable, "-c", cut + "; os.write(1, b'y' * 9000)"], 20)
    deadline = time.monotonic() + 20
    while list(device_folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(device_folder.iterdir()) == []


def test_connection_that_is_cut_is_made_anew_for_the_next_call(fake, tmp_path):
    first_time = 'mkdir "$FAKE_LOG/again" 2>/dev/null'
    fake(run=f"if {first_time}; then exec {CUT}; else {RUN}; fi")
    file = tmp_path / "file"
    file.write_bytes(b"content")
    with SshDevice("ssh://pi@board") as device:
        first = device.put(file)
        with pytest.raises(RunnerError, match="the connection ended: Connection reset"):
            device.execute(["head", "-c", "9000", "/dev/zero"], 20)
        second = device.put(file)
        assert second != first
        assert Path(second).read_bytes() == b"content"


def test_device_that_stays_away_fails_at_once_from_then_on(fake):
    first_time = 'mkdir "$FAKE_LOG/again" 2>/dev/null'
    arguments = fake(run=f"{first_time} || exit 255; exec {CUT}")
    with SshDevice("ssh://pi@board") as device:
        for _ in range(4):
            with pytest.raises(RunnerError):
                device.execute(["head", "-c", "9000", "/dev/zero"], 20)
    assert arguments.read_text().count("\n--\n") == 2, "one more attempt, not three"


def test_time_limit_ends_the_whole_group(fake):
    fake()
    script = "import os, subprocess, sys, time\nc = subprocess.Popen(['sleep', '600'])\n"
    script += "print(os.getpid(), c.pid, flush=True); time.sleep(600)"
    with SshDevice("ssh://pi@board") as device:
        folder = Path(device.facts["folder"])
        (folder / "x.py").write_text(script)
        command = ["sh", "-c", f"{sys.executable} x.py > pids"]
        with pytest.raises(RunnerError, match="no result within the time limit of 3 s"):
            device.execute(command, 3)
        pids = (folder / "pids").read_text().split()
        assert len(pids) == 2
        assert all(ended(pid) for pid in pids)
        assert device.execute(["echo", "on"], 20).output == b"on\n", "the connection lives on"


def ended(pid):
    """Whether a process is gone, or a zombie that waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_hanging_connection_meets_its_limit(fake, monkeypatch):
    fake(run="exec sleep 600")
    monkeypatch.setattr(channel, "CLOSE_SECONDS", 1)
    opened = channel.Channel(SshDevice("ssh://pi@board").agent_command())
    start = time.monotonic()
    with pytest.raises(RunnerError, match="does not answer"):
        opened.open(1.0)
    assert time.monotonic() - start < 20


def test_interrupt_from_another_thread_ends_what_runs(fake, device_folder):
    fake()
    device = SshDevice("ssh://pi@board")
    with device:
        threading.Timer(0.5, device.interrupt).start()
        with pytest.raises(InterruptedRunError):
            device.execute(["sleep", "600"], 600)
    assert list(device_folder.iterdir()) == []


def test_killed_harness_leaves_nothing(fake, device_folder, tmp_path):
    fake()
    script = (
        "import sys; from edge.devices.ssh import SshDevice\n"
        "with SshDevice('ssh://pi@board') as device:\n"
        "    print('ready', flush=True)\n"
        "    device.execute(['sh', '-c', 'echo $$ > pid; exec sleep 600'], 600)\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.getcwd())
    harness = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE,
                               env=environment)  # fmt: skip
    assert harness.stdout.readline() == b"ready\n"
    deadline = time.monotonic() + 20
    while not (found := list(device_folder.glob("*/pid"))) or not found[0].read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = found[0].read_text().strip()
    harness.send_signal(signal.SIGKILL)
    harness.communicate()
    while not ended(pid) or list(device_folder.glob("onebit-[!e]*")):
        assert time.monotonic() < deadline, "the agent outlived its harness"
        time.sleep(0.05)


def test_disk_that_is_full_is_told(fake, tmp_path, device_folder):
    fake(before="ulimit -f 4")  # 2 kB a file
    file = tmp_path / "model.tflite"
    file.write_bytes(bytes(100_000))
    small = tmp_path / "small"
    small.write_bytes(bytes(100))
    with SshDevice("ssh://pi@board") as device:
        with pytest.raises(RunnerError, match=r"cannot put model.tflite on board: File too large"):
            device.put(file)
        assert Path(device.put(small)).read_bytes() == bytes(100), "the frames stay in step"
