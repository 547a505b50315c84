"""Exported networks on emulated microcontrollers: answers, figures, and what goes wrong there."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from convert.errors import ConversionError
from convert.runtimes.lce_interpreter import LceInterpreter
from edge.__main__ import main
from edge.bench.samples import EvalSamples
from edge.boards import firmware, measurement
from edge.boards.answers import GARBLED, HANG, HARD_FAULT, Answers, Inference, parse_answers
from edge.boards.catalogue import BOARDS, Memory
from edge.boards.emulator import Running, run_on_board, run_on_host
from edge.boards.exports import ExportedNetwork, Field
from edge.boards.firmware import build_firmware
from edge.boards.measurement import measure
from edge.boards.samples import evaluate, packed_samples
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
    assert "small takes [1, 28, 28, 1] for " in done.stderr
    assert "other.npz is [1, 5, 28, 1]" in done.stderr


CLASSES = Field("float32", (1, 3))


def network_of(*inputs, output=CLASSES):
    names = tuple(f"input_{number}" for number in range(len(inputs)))
    return ExportedNetwork(Path("small"), "small", "0", 0, {}, inputs, (output,), names)


def samples_of(labels=None, **inputs):
    known = None if labels is None else np.array(labels)
    return EvalSamples("some", "test", inputs, known, "sha", Path("some.npz"))


@pytest.mark.parametrize(
    ("field", "values", "labels", "message"),
    [
        (Field("int8", (1, 2)), np.full((1, 2), 200, np.uint8), None, "values from 200 to 200"),
        (Field("int8", (1, 2)), np.full((1, 2), 0.5, np.float32), None, "has floats"),
        (Field("float32", (1, 2)), np.zeros((1, 2), np.int8), None, "as in training"),
        (Field("bits", (1, 2)), np.zeros((1, 2), np.uint8), None, "as in training"),
        (Field("float32", (1, 4, 1)), np.zeros((1, 1, 4), np.float32), None, "takes .1, 4, 1."),
        (Field("float32", (1, 2)), np.zeros((1, 2), np.float32), [3], "has the label 3"),
    ],
)
def test_samples_that_do_not_fit_are_refused(field, values, labels, message):
    with pytest.raises(OnebitError, match=message):
        packed_samples(network_of(field), samples_of(labels, inputs=values))


def test_inputs_are_known_by_their_names():
    network = network_of(Field("int8", (1, 1)), Field("float32", (1, 1)))
    one, other = np.full((2, 1), 7, np.int8), np.ones((2, 1), np.float32)
    packed = packed_samples(network, samples_of(input_1=other, input_0=one))
    assert packed == 2 * (b"\7\0\0\0" + np.float32(1).tobytes())
    with pytest.raises(OnebitError, match=r"takes input_0, input_1, but .* has input_0, x"):
        packed_samples(network, samples_of(input_0=one, x=other))


def test_floats_become_the_integers_of_each_channel():
    field = Field("uint8", (1, 1, 2), (0.5, 0.25), (10.0, 20.0))
    values = np.array([[[1.0, -1.0]], [[-100.0, 100.0]]], np.float32)
    assert packed_samples(network_of(field), samples_of(inputs=values)) == bytes([12, 16, 0, 255])


@pytest.mark.parametrize("output", [Field("bits", (1, 40)), Field("float32", (1, 2, 2, 1))])
def test_network_without_classes_has_no_accuracy(output):
    network = network_of(Field("float32", (1, 1)), output=output)
    answers = Answers("0", 0, 4, None, (Inference("sample", bytes(16), None, None, None),))
    given = samples_of([0], inputs=np.zeros((1, 1), np.float32))
    evaluation = evaluate(network, given, answers, answers)
    assert (evaluation.accuracy, evaluation.argmax_agreement) == (None, None)


def test_each_inference_is_reported_with_its_own_figures(exported, tmp_path, monkeypatch):
    package = tmp_path / "package"
    shutil.copytree(firmware.PACKAGE, package)
    source = (package / "host.c").read_text()
    clock = "uint32_t board_cycles(void) { static uint32_t at, step; return at += step++; }"
    (package / "host.c").write_text(
        source.replace("uint32_t board_cycles(void) { return 0; }", clock)
    )
    monkeypatch.setattr(firmware, "PACKAGE", package)
    (tmp_path / "inputs.bin").write_bytes(bytes(2 * 28 * 28 * 4))
    program = firmware.build_for_host(exported, tmp_path)
    answers = run_on_host(program, tmp_path, 60, Running())
    assert [(i.kind, i.cycles) for i in answers.inferences] == [
        ("vector", 1), ("vector", 3), ("sample", 5), ("sample", 7),
    ]  # fmt: skip


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
