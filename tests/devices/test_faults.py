"""A fault of a device leaves one clear row, and no process or file there."""

import re
import signal
import time

import pytest

from edge.emulation.sshd import make_key, write_client
from tests.devices.harness import reasons, runs_on, wait_until

pytestmark = pytest.mark.emulated
SITE = "home/pi/.local/lib/python3.11/site-packages/ai_edge_litert"
# Runtimes that do one thing, as soon as the runner imports them.
HANGS = "import time; time.sleep(600)"
CRASHES = "import os; os.kill(os.getpid(), 11)"
PRINTS = "import os; os.write(1, b'Segmentation fault\\n'); os._exit(0)"
DELEGATE = ("--runtime", "litert:delegate")


def put_runtime(board, code):
    """Gives a board a runtime of one statement."""
    folder = board.folder / SITE
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "interpreter.py").write_text(code)


@pytest.fixture
def faulty(ssh_board, harness, residual_file, tmp_path):
    """A board, how to start the command on it, and a check that nothing is left there."""

    class Faulty:
        def __init__(self, code=None, **options):
            self.board = ssh_board(**options)
            if code is not None:
                put_runtime(self.board, code)
            self.before = self.board.files()
            self.run = harness(write_client(tmp_path / "bin", [self.board]))
            self.arguments = (str(residual_file), *DELEGATE, "--device", "ssh://pi")

        def check_clean(self):
            def clean():
                words = self.board.processes().values()
                return all("sshd -D" in w and "-R" not in w for w in words)

            wait_until(clean, f"the board has {self.board.processes()}")
            assert self.board.files() == self.before

    return Faulty


@pytest.mark.parametrize(
    ("code", "arguments", "reason"),
    [
        (CRASHES, (), "the runner was killed by SIGSEGV"),
        pytest.param(
            PRINTS,
            (),
            "ended with code 0 and printed '' instead of a result: Segmentation fault",
            marks=pytest.mark.slow,
        ),
        (HANGS, ("--timeout", "3"), "no result within the time limit of 3 s"),
    ],
    ids=["crash", "garbage", "hang"],
)
def test_broken_runtime_is_a_row(faulty, code, arguments, reason):
    it = faulty(code)
    rows = it.run.bench(*it.arguments, *arguments, exit_code=1)
    assert len(rows) == 1
    assert reason in reasons(rows)[0]
    it.check_clean()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("echo Hello", "the connection ended after it printed 'Hello'"),
        ("yes | head -n 50000", "prints 'y"),
        ("exit 3", "cannot reach pi"),
    ],
)
def test_device_that_answers_garbage_is_a_row(faulty, program, reason, tmp_path):
    it = faulty(HANGS)
    python = it.board.folder / "home/pi/python"
    python.write_text(f"#!/bin/sh\n{program}\n")
    python.chmod(0o755)
    it.before = it.board.files()
    fleet = '[[device]]\naddress = "ssh://pi"\npython = "/home/pi/python"\n'
    (tmp_path / "fleet.toml").write_text(fleet)
    arguments = [*it.arguments[:-2], "--fleet", str(tmp_path / "fleet.toml")]
    assert reason in reasons(it.run.bench(*arguments, exit_code=1))[0]
    it.check_clean()


def test_device_without_a_runtime_is_told_what_to_install(faulty):
    it = faulty()
    (reason,) = reasons(it.run.bench(*it.arguments, exit_code=1))
    assert "has no runtime" in reason
    assert "pip install" in reason
    it.check_clean()


def test_full_disk_is_a_row(faulty):
    it = faulty(HANGS, disk_bytes=1 << 16)
    (reason,) = reasons(it.run.bench(*it.arguments, exit_code=1))
    assert "No space left on device" in reason
    it.check_clean()


def test_wrong_host_key_is_a_row(faulty, tmp_path):
    it = faulty(HANGS)
    make_key(tmp_path / "other")
    it.board.trust(tmp_path / "other.pub")
    (reason,) = reasons(it.run.bench(*it.arguments, exit_code=1))
    assert "Host key verification failed" in reason or "HOST IDENTIFICATION" in reason
    it.check_clean()


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param("-R", id="connection"),
        pytest.param("/usr/sbin/sshd", id="server", marks=pytest.mark.slow),
    ],
)
def test_cut_connection_costs_this_devices_rows_alone(
    killed, ssh_board, harness, residual_file, tmp_path
):
    """`-R` is the process of one connection; the server's own process has it not."""
    cut = ssh_board(name="cut")
    put_runtime(cut, HANGS)
    other = ssh_board(name="other", runtime="tflite-runtime-2.14")
    before = cut.files(), other.files()
    run = harness(write_client(tmp_path / "bin", [cut, other]))
    process = run.start(
        str(residual_file), *DELEGATE, "--device", "ssh://cut", "--device", "ssh://other"
    )
    wait_until(lambda: runs_on(cut), "the runner starts")
    assert cut.signal(killed) >= 1
    rows = {row["host"]["device"]: row for row in run.finish(process, exit_code=1)}
    assert "the connection ended" in reasons([rows["cut"]])[0]
    assert rows["other"]["status"] in ("ok", "invalid"), rows["other"]["reason"]
    assert rows["other"]["summary"]["runs"] >= 3
    assert rows["other"]["parity"]["max_abs_difference"] == 0.0
    wait_until(lambda: not runs_on(cut) and cut.files() == before[0], "the cut board is clean")
    assert other.files() == before[1]


def test_killed_adbd_is_a_row(adb_board, adb_server, harness, residual_file):
    """adb itself answers 0, with what was printed until then."""
    board = adb_board()
    put_runtime(board, HANGS)
    before = board.files()
    run = harness(adb_server.bin)
    process = run.start(str(residual_file), *DELEGATE, "--device", f"adb:{board.serial}")
    wait_until(lambda: runs_on(board), "the runner starts")
    assert board.signal("/run/adbd/adbd") == 1
    (reason,) = reasons(run.finish(process, exit_code=1))
    assert "the connection ended" in reason
    wait_until(lambda: not runs_on(board) and board.files() == before, "the board is clean")


def test_library_of_another_architecture_is_a_row(ssh_board, residual_file, tmp_path, monkeypatch):
    from edge.bench.cells import plan_cells, run_cells
    from edge.bench.measurement import Plan
    from edge.devices import remote
    from edge.devices.ssh import SshDevice
    from onebit.delegate import find_delegate

    board = ssh_board(runtime="tflite-runtime-2.14")
    monkeypatch.setenv("PATH", str(write_client(tmp_path / "bin", [board])), prepend=":")
    ours = find_delegate()
    if ours is None:
        pytest.skip("the delegate is not built: make delegate")
    monkeypatch.setattr(remote, "delegate_for", lambda *_: ours)
    with SshDevice("ssh://pi") as device:
        cells = plan_cells([residual_file], ["litert:delegate"], offer=device.offers())
        (row,) = run_cells(cells, device, Plan())
    assert row.status == "failed"
    # The loader names the library; with another word size it says "wrong ELF class".
    assert re.fullmatch(
        r"/tmp/onebit-\w+/[0-9a-f]{20}\.so: (cannot open .*|wrong ELF .*)", row.reason
    )


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        *(
            pytest.param(number, marks=pytest.mark.slow)
            for number in (signal.SIGTERM, signal.SIGHUP)
        ),
    ],
)
def test_interrupt_in_mid_run_leaves_nothing(faulty, number):
    it = faulty(HANGS)
    process = it.run.start(*it.arguments)
    wait_until(lambda: runs_on(it.board), "the runner starts")
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, 1), printed
    assert "Traceback" not in printed
    assert it.run.rows() == []
    it.check_clean()


@pytest.mark.parametrize("delay", [0.4, 1.0, 2.0])
def test_interrupt_at_any_moment_leaves_nothing(faulty, delay):
    it = faulty(HANGS)
    process = it.run.start(*it.arguments)
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode not in (0, 1), printed
    assert it.run.rows() == []
    it.check_clean()


def test_killed_harness_leaves_nothing_on_the_device(faulty):
    it = faulty(HANGS)
    process = it.run.start(*it.arguments)
    wait_until(lambda: runs_on(it.board), "the runner starts")
    process.kill()
    process.communicate(timeout=60)
    it.check_clean()


@pytest.mark.slow  # ssh waits 45 s before it takes a silent device for lost
def test_frozen_device_is_a_row(faulty):
    it = faulty(HANGS)
    process = it.run.start(*it.arguments, "--timeout", "200")
    wait_until(lambda: runs_on(it.board), "the runner starts")
    assert it.board.signal("", signal.SIGSTOP) >= 3
    (reason,) = reasons(it.run.finish(process, exit_code=1))
    assert "not responding" in reason
    it.board.signal("", signal.SIGCONT)
    it.check_clean()
