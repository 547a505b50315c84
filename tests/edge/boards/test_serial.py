"""Boards behind a serial port: QEMU's on a pseudo-terminal, and faults that a script plays."""

import json
import os
import re
import subprocess
import threading
import tty
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edge.__main__ import main
from edge.boards import serial_board
from edge.boards.answers import GARBLED, HANG
from edge.boards.firmware import PACKAGE, build_firmware
from edge.boards.measurement import cell_key, measure
from edge.boards.serial_board import SerialBoard, ask_board, core_name, parse_serial_board
from edge.boards.serial_port import NO_PORT, UNPLUGGED, SerialPort
from edge.results.cell_key import CellKey
from edge.results.row import Run
from edge.results.row_json import from_json, to_json
from onebit.errors import OnebitError, UsageError
from tests.edge.boards.conftest import board_or_skip

UART = Path(__file__).parent / "uart.c"
SHA256 = "0" * 64
START = (
    f'{{"kind": "start", "sha256": "{SHA256}", "arena_bytes": 4, "input_bytes": 4, "core": 0}}\n'
)
VECTOR = (
    '{"kind": "vector", "code": 0, "agrees": true, "stack_bytes": 0, "cycles": 7, "output": "00"}\n'
)
READY, END = '{"kind": "ready"}\n', '{"kind": "end"}\n'


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def powered(tmp_path):
    """A function that builds a network for a board, switches it on, and gives its port."""
    started = []

    def power(network, name):
        board = board_or_skip(name)
        folder = tmp_path / f"build-{len(started)}"
        folder.mkdir()
        port = [PACKAGE / "serial.c", PACKAGE / "processor.c", UART]
        firmware = build_firmware(network, board, folder, port)
        command = [
            board.toolchain.emulator, *board.machine, "-display", "none", "-monitor", "none",
            "-serial", "pty", "-kernel", str(firmware.program),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        line = process.stdout.readline().decode()
        return re.search(r"/dev/\S+", line)[0], process

    yield power
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("name", "core"),
    [
        ("mps2-an385", "Cortex-M3"),
        pytest.param("mps2-an500", "Cortex-M7", marks=pytest.mark.slow),
        pytest.param("riscv32", None, marks=pytest.mark.slow),
    ],
)
def test_board_is_asked_through_its_port(name, core, exported, powered, tmp_path):
    port, _ = powered(exported, name)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 28, 28, 1)).astype(np.float32)
    np.savez(tmp_path / "test.npz", inputs=images, labels=np.zeros(3, np.int64))
    rows = tmp_path / "rows.jsonl"
    command = ["bench", exported.folder, "--device", f"serial:{port}", "-o", rows]
    done = run(*command, "--data", tmp_path / "test.npz")
    assert done.exit_code == 0, done.output
    row = from_json(rows.read_text())
    assert (row.status, row.host.kind, row.host.cpu) == ("ok", "serial", core)
    assert (row.firmware.same_as_host, row.firmware.vectors_agree) == (True, True)
    assert (row.firmware.code_bytes, row.firmware.emulator) == (None, None)
    assert row.evaluation.samples == 3
    assert row.evaluation.argmax_agreement == 1
    # QEMU has no data watchpoint unit; its mcycle is this machine's clock.
    assert bool(row.firmware.cycles) == (name == "riscv32")
    # The board waits for the next request.
    assert run(*command).exit_code == 0
    assert run("doctor", f"serial:{port}").exit_code == 0


def test_board_that_was_left_within_a_sample_is_asked_again(exported, powered):
    port, _ = powered(exported, "mps2-an385")
    with SerialPort(port, 115200) as left:
        left.write(b"R", 5)
        while '"ready"' not in left.read_line(20):
            pass
        left.write(b"S" + bytes(100), 5)
    answers = ask_board(SerialBoard(port), [], 28 * 28 * 4)
    assert [i.kind for i in answers.inferences] == ["vector", "vector"]


def test_board_with_another_network_is_refused(changed):
    played = Played(START, VECTOR, VECTOR, READY, END)
    done = run("bench", changed.folder, "--device", f"serial:{played.port}", "--format", "jsonl")
    assert done.exit_code == 1
    assert (
        "has another network, from the file with SHA-256 0000" in json.loads(done.stdout)["reason"]
    )


class Played:
    """A board that says what a test writes, behind a pseudo-terminal."""

    def __init__(self, *lines, unplugs=False):
        self._board, port = os.openpty()
        tty.setraw(port)
        self.port = os.ttyname(port)
        self._lines, self._ends = lines, [self._board, port] if unplugs else []
        threading.Thread(target=self._play, daemon=True).start()

    def _play(self):
        while b"R" not in os.read(self._board, 1 << 12):
            pass
        for line in self._lines:
            os.write(self._board, line if isinstance(line, bytes) else line.encode())
        for end in self._ends:
            os.close(end)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(serial_board, "_START_SECONDS", 0.6)
    monkeypatch.setattr(serial_board, "_ASK_AGAIN_SECONDS", 0.3)


@pytest.mark.parametrize(
    ("lines", "reason", "message"),
    [
        ([], HANG, r"did not answer within 0.6 s; is the harness on it .* at 115200 baud\?"),
        (["boot: v1\n"], HANG, "last it printed: boot: v1"),
        ([b"\xfe\x80\x00\x1f" * 9], GARBLED, "which is not text; is its port at 115200 baud"),
        ([START, VECTOR], HANG, "said nothing for 0.5 s; it hangs"),
        ([START, "{\x00bad\n"], GARBLED, "printed a garbled line"),
        ([START, "sensor ready\n"], GARBLED, "a garbled line: 'sensor ready'; does its program"),
        ([START, '{"kind": "vector"}\n'], GARBLED, "an incomplete line"),
        ([START, '{"fault": "hard fault", "pc": "0x1"}\n'], "hard-fault", "hard fault .pc 0x1"),
    ],
    ids=[
        "silent",
        "other-program",
        "wrong-baud",
        "hang",
        "garbled",
        "chatty",
        "incomplete",
        "fault",
    ],
)
def test_board_that_fails_says_how(lines, reason, message, impatient):
    with pytest.raises(OnebitError) as caught:
        ask_board(SerialBoard(Played(*lines).port), [], 4, 0.5)
    assert caught.value.reason == reason
    assert re.search(message, str(caught.value)), str(caught.value)


def test_unplugged_board_is_noticed():
    with pytest.raises(OnebitError, match="was unplugged; plug it in again") as caught:
        ask_board(SerialBoard(Played(START, VECTOR, unplugs=True).port), [], 4)
    assert caught.value.reason == UNPLUGGED


def test_what_a_board_prints_before_it_begins_is_skipped():
    answers = ask_board(SerialBoard(Played("boot\n", END, START, VECTOR, READY, END).port), [], 4)
    assert [inference.cycles for inference in answers.inferences] == [7]


def test_port_that_is_missing_or_in_use_is_named(tmp_path):
    with pytest.raises(OnebitError, match="there is no /dev/ttyNONE") as caught:
        SerialPort("/dev/ttyNONE", 115200)
    assert caught.value.reason == NO_PORT
    (tmp_path / "file").write_text("x")
    with pytest.raises(OnebitError, match="file is not a serial port"):
        SerialPort(str(tmp_path / "file"), 115200)
    played = Played()
    with (
        SerialPort(played.port, 115200),
        pytest.raises(OnebitError, match="in use; close other programs"),
    ):
        SerialPort(played.port, 115200)


def test_missing_board_is_a_failed_row(exported, tmp_path):
    rows = tmp_path / "rows.jsonl"
    done = run("bench", exported.folder, "--device", "serial:/dev/ttyNONE", "-o", rows)
    assert done.exit_code == 1
    row = from_json(rows.read_text())
    assert (row.status, row.host.device) == ("failed", "serial:/dev/ttyNONE")
    assert "there is no /dev/ttyNONE" in row.reason


def test_address_has_a_port_and_perhaps_a_rate():
    assert parse_serial_board("serial:/dev/x") == SerialBoard("/dev/x", 115200)
    board = parse_serial_board("serial:/dev/x@9600")
    assert (board, board.address) == (SerialBoard("/dev/x", 9600), "serial:/dev/x@9600")
    for address, message in [("serial:", "has no port"), ("serial:x@1234", "not a baud rate")]:
        with pytest.raises(UsageError, match=message):
            parse_serial_board(address)


def test_row_of_a_board_with_a_rate_is_found_again(exported):
    board = SerialBoard("/dev/ttyNONE", 921600)
    row = from_json(to_json(measure(exported, board, Run("id", "now", "test", "0"))))
    assert row.host.device == board.address
    assert CellKey.of(row) == cell_key(exported, board)


def test_cores_are_known_by_their_part_numbers():
    assert core_name(0x411FC272) == "Cortex-M7"
    assert core_name(0x410FD214) == "Cortex-M33"
    assert (core_name(None), core_name(1)) == (None, None)


ARDUINO = """
#include <stdint.h>
struct Port { void begin(long); void write(uint8_t); int read(); };
extern Port Serial;
void yield();
"""


def test_harness_compiles_as_a_sketch(exported, tmp_path):
    folder = tmp_path / "bnn_board"
    done = run("harness", exported.folder, "-o", folder)
    assert done.exit_code == 0, done.output
    assert f"{folder}/README.md says how they get onto a board" in done.output
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    flags = ["-Wall", "-Wextra", "-Werror", "-c", "-o", str(tmp_path / "x.o")]
    sketch = ["-x", "c++", "-include", str(tmp_path / "Arduino.h"), str(folder / "bnn_board.ino")]
    subprocess.run(["g++", *flags, *sketch], check=True)
    for source in folder.glob("*.c"):
        subprocess.run(["gcc", "-std=c99", *flags, str(source)], check=True)
    assert run("harness", exported.folder, "-o", folder).exit_code == 0  # its own folder again
    (folder / "bnn_board.ino").write_text("mine")
    assert run("harness", exported.folder, "-o", folder).exit_code == 1
    done = run("harness", exported.folder, "-o", exported.folder, "--force")
    assert done.exit_code == 2
    assert "is the exported network itself; give another -o" in done.stderr
