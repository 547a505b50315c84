"""Exported networks on emulated microcontrollers: answers, figures, and what goes wrong there."""

import dataclasses
import json

import numpy as np
import pytest
from click.testing import CliRunner

from convert.errors import ConversionError
from convert.runtimes.lce_interpreter import LceInterpreter
from edge.__main__ import main
from edge.boards import measurement
from edge.boards.answers import GARBLED, HANG, HARD_FAULT, parse_answers
from edge.boards.catalogue import BOARDS, Memory
from edge.boards.emulator import Running, run_on_board
from edge.boards.firmware import build_firmware
from edge.boards.measurement import measure
from edge.results.row import FAILED, INVALID, Run
from edge.results.row_json import from_json, to_json
from onebit.errors import OnebitError
from tests.edge.boards.conftest import MODEL, board_or_skip, export
from tests.support.int8_graphs import CASES, int8_case
from tests.support.lce_random_graphs import draw

RUN = Run("id", "2026-11-30T00:00:00+00:00", "test", "0")
DEFAULT_BOARDS = ("microbit", "mps2-an385")


def slow_beyond(names):
    return [pytest.param(n, marks=[] if n in names else pytest.mark.slow, id=n) for n in BOARDS]


@pytest.mark.parametrize("name", slow_beyond(DEFAULT_BOARDS))
def test_answers_are_the_hosts_bit_for_bit(name, exported):
    row = measure(exported, board_or_skip(name), RUN)
    assert row.status == INVALID, row.reason
    assert row.reason == measurement.EMULATED
    figures = row.firmware
    assert (figures.same_as_host, figures.vectors_agree) == (True, True)
    first, second = figures.instructions
    # Two inputs of one network: only clamps and rounding branch on values.
    assert first == pytest.approx(second, rel=0.05)
    assert row.model.binary_weight_macs < first < 100 * row.model.binary_weight_macs
    # 13,216 weights as bits with their scales and biases, and some code.
    assert 13_216 / 8 <= figures.constant_bytes <= 3_000
    assert 500 <= figures.code_bytes <= 8_000
    assert 100 <= figures.stack_bytes <= 1_000
    assert from_json(to_json(row)) == row


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", list(BOARDS))
def test_random_networks_on_boards(name, seed, tmp_path):
    board = board_or_skip(name)
    try:
        network = export(draw(3000 + seed).model, tmp_path / "net", "net")
    except ConversionError as error:
        pytest.skip(str(error))
    row = measure(network, board, RUN)
    if name == "microbit" and "does not fit" in str(row.reason):
        pytest.skip(row.reason)
    assert row.status == INVALID, row.reason


INT8 = [name for name in CASES if name.startswith(("conv", "depthwise", "dense"))]


@pytest.mark.parametrize(
    ("name", "case"),
    [
        # Thumb-2 with the DSP extension, MVE, and plain C.
        pytest.param(
            name, case,
            marks=() if (name, case) == ("mps2-an386", "conv-odd-channels") else pytest.mark.slow,
        )
        for name in ("mps2-an385", "mps2-an386", "mps3-an547", "riscv32")
        for case in INT8
    ],
)  # fmt: skip
def test_int8_layers_on_boards(name, case, tmp_path):
    content, _ = int8_case(case)
    row = measure(export(content, tmp_path / "net", "net"), board_or_skip(name), RUN)
    assert row.status == INVALID, row.reason


def test_counts_are_the_same_in_every_run(exported):
    board = board_or_skip("mps2-an385")
    one, two = (measure(exported, board, RUN).firmware for _ in range(2))
    assert one == two


def test_wrong_answer_fails(changed):
    board = board_or_skip("mps2-an385")
    path = changed.folder / "vectors.h"
    text = path.read_text()
    first = text.index("vector_outputs[VECTOR_COUNT] = {")
    end = text.index("f,", first)
    begin = text.rindex(" ", 0, end)
    path.write_text(text[:begin] + " 1234.5" + text[end:])
    row = measure(changed, board, RUN)
    assert (row.status, row.reason) == (
        FAILED,
        "the answers are not those that the exporter expects",
    )


def broken(network, statement):
    """Puts a statement where the network's inference begins."""
    source = network.folder / "src" / f"{network.name}.c"
    text = source.read_text()
    place = text.index("{", text.index(f"int {network.name}_invoke(")) + 1
    source.write_text(text[:place] + f"\n  {statement}\n" + text[place:])


@pytest.mark.parametrize(
    ("statement", "reason", "message"),
    [
        ("for (volatile int i = 0; i < 1;) {}", HANG, "did not end within 3 s"),
        ("*(volatile int *)0xF0000000u = 1;", HARD_FAULT, "ended in a hard fault (pc 0x"),
    ],
    ids=["hang", "fault"],
)
def test_firmware_that_fails_says_how(changed, tmp_path, statement, reason, message):
    board = board_or_skip("mps2-an385")
    broken(changed, statement)
    folder = tmp_path / "build"
    folder.mkdir()
    firmware = build_firmware(changed, board, folder)
    with pytest.raises(OnebitError) as caught:
        run_on_board(firmware, board, folder, 3, Running())
    assert caught.value.reason == reason
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("flash", "ram", "message"),
    [
        (2 << 10, 16 << 10, "bytes too large for its 2,048 bytes of flash"),
        (256 << 10, 2 << 10, "bytes too large for its 2,048 bytes of RAM"),
    ],
)
def test_network_that_does_not_fit_is_refused(exported, flash, ram, message):
    board = board_or_skip("microbit")
    small = dataclasses.replace(board, flash=Memory(0, flash), ram=Memory(board.ram.origin, ram))
    row = measure(exported, small, RUN)
    assert row.status == FAILED
    assert message in row.reason


def test_missing_toolchain_says_how_to_install_it(exported, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    row = measure(exported, BOARDS["mps2-an385"], RUN)
    assert row.status == FAILED
    assert "needs arm-none-eabi-gcc, arm-none-eabi-nm, qemu-system-arm" in row.reason
    assert "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm" in row.reason


START = '{"kind": "start", "sha256": "0", "arena_bytes": 4, "input_bytes": 4, "core": 0}\n'


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (START + '{"kind": "vec\x00tor"', "a garbled line"),
        (START + '{"kind": "vector", "code": 0, "output": "0g"}', "an incomplete line"),
        (START, "ended early with code 1"),
        ("qemu: no such machine", "last it printed: qemu: no such machine"),
    ],
)
def test_garbled_output_is_an_error(said, message):
    with pytest.raises(OnebitError, match=message) as caught:
        parse_answers(said, 1)
    assert caught.value.reason == GARBLED


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_bench_writes_rows_and_resumes(exported, tmp_path):
    board_or_skip("mps2-an385")
    rows = tmp_path / "rows.jsonl"
    command = ["bench", exported.folder, "--device", "mcu:mps2-an385", "-o", rows]
    done = run(*command, "--format", "jsonl")
    assert done.exit_code == 0, done.output
    record = json.loads(rows.read_text())
    assert json.loads(done.stdout) == record
    assert record["firmware"]["instructions"]
    assert run(*command, "--resume").exit_code == 0
    assert len(rows.read_text().splitlines()) == 1


def test_labelled_samples_give_an_accuracy(exported, tmp_path):
    board_or_skip("mps2-an500")
    images = np.random.default_rng(0).uniform(-1, 1, (6, 28, 28, 1)).astype(np.float32)
    labels = LceInterpreter(MODEL.read_bytes()).run([images])[0].argmax(1)
    labels[-1] = (labels[-1] + 1) % 10
    np.savez(tmp_path / "test.npz", inputs=images, labels=labels)
    command = ["bench", exported.folder, "--device", "mcu:mps2-an500"]
    done = run(*command, "--data", tmp_path / "test.npz", "--format", "jsonl")
    assert done.exit_code == 0, done.output
    evaluation = json.loads(done.stdout)["evaluation"]
    assert evaluation["samples"] == 6
    assert evaluation["accuracy"] == pytest.approx(5 / 6)
    assert evaluation["argmax_agreement"] == 1
    np.savez(tmp_path / "other.npz", inputs=images[:, :5], labels=labels)
    done = run(*command, "--data", tmp_path / "other.npz")
    assert done.exit_code == 1
    assert "samples have shape [5, 28, 1], the network takes [1, 28, 28, 1]" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{export}"], "an exported network runs on boards"),
        (["{export}", "--device", "mcu:nowhere"], "mcu:nowhere is not a board; known: microbit"),
        (["x.tflite", "--device", "mcu:microbit"], "x.tflite is not an exported network"),
        (["{export}", "--device", "mcu:microbit", "--device", "local"], "apart from other devices"),
        *(
            (["{export}", "--device", "mcu:microbit", *option], f"{option[0]} has no effect on")
            for option in (
                ["--threads", "2"],
                ["--runtime", "lce"],
                ["--instructions"],
                ["--repeat", "3"],
                ["--as", "x"],
                ["--mode", "quick"],
                ["--profile-ops"],
                ["--fleet", "f.toml"],
            )
        ),
    ],
)
def test_wrong_usage_is_one_line(exported, arguments, message):
    done = run("bench", *(a.format(export=exported.folder) for a in arguments))
    assert done.exit_code == 2
    assert message in done.stderr
    assert np.char.count(done.stderr, "\n") == 1


def test_doctor_says_what_a_board_needs(monkeypatch):
    board_or_skip("mps2-an385")
    assert run("doctor", "mcu:mps2-an385").exit_code == 0
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("doctor", "mcu:mps2-an385", "--format", "json")
    assert done.exit_code == 1
    (check, *_) = [c for c in json.loads(done.stdout) if c["state"] == "error"]
    assert check["fix"].startswith("apt-get install gcc-arm-none-eabi")


def test_doctor_says_what_every_board_needs(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("doctor", "mcu:", "--format", "json")
    assert done.exit_code == 1
    checks = {check["check"]: check for check in json.loads(done.stdout)}
    assert {*BOARDS} <= {*checks}
    assert checks["mps2-an385"]["fix"].endswith("qemu-system-arm")
    assert checks["riscv32"]["fix"].endswith("qemu-system-misc")
