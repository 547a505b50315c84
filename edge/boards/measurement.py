"""Measures exported networks on boards: a row for each network and board."""

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edge.bench.samples import EvalSamples
from edge.boards.answers import Answers
from edge.boards.catalogue import Board
from edge.boards.emulator import Running, emulator_version, run_on_board, run_on_host
from edge.boards.exports import ExportedNetwork
from edge.boards.firmware import Firmware as Program
from edge.boards.firmware import build_firmware, build_for_host
from edge.boards.samples import evaluate, input_bytes, packed_samples
from edge.boards.serial_board import SILENCE_SECONDS, SerialBoard, ask_board, core_name
from edge.results.cell_key import CellKey
from edge.results.row import FAILED, INVALID, OK, Firmware, Host, Model, Row, Run, Setup
from onebit.errors import OnebitError

EMULATED = "counted under QEMU: instructions and memory are exact, times are unknown"
TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class _Outcome:
    """The answers of a board, and the program that was built for it, if one was."""

    answers: Answers
    program: Program | None = None
    emulator: str | None = None
    processor: str | None = None


def measure(
    network: ExportedNetwork,
    board: Board | SerialBoard,
    run: Run,
    seconds: float | None = None,
    running: Running | None = None,
    samples: EvalSamples | None = None,
) -> Row:
    """The row of a network on a board; a failure is a row too.

    The board's answers to the network's test vectors are compared with those of the same sources
    built for this machine, bit for bit, and with the exporter's expectations. So are its answers to
    `samples`, which give an accuracy where they are labelled.

    Args:
        network: An exported folder.
        board: An emulated board, for which it is built here, or a real one that has it.
        run: The run that the row belongs to.
        seconds: How long an emulated board may take, or how long a real one may say nothing.
        running: Ends an emulated board from another thread.
        samples: Labelled samples.
    """
    running = running or Running()
    setup = Setup(name="c", runtime="c", kernel="portable", threads=1)
    row = Row(run, _host(board), _model(network), setup, FAILED, "nothing was measured")
    try:
        with tempfile.TemporaryDirectory(prefix="onebit-") as name:
            folder, inputs = Path(name), b""
            if samples is not None:
                inputs = packed_samples(network, samples)
                (folder / "inputs.bin").write_bytes(inputs)
            if isinstance(board, SerialBoard):
                outcome = _real(network, board, inputs, seconds or SILENCE_SECONDS)
            else:
                outcome = _emulated(network, board, folder, seconds or TIMEOUT_SECONDS, running)
            program = build_for_host(network, folder)
            reference = run_on_host(program, folder, TIMEOUT_SECONDS, running)
    except OnebitError as error:
        return dataclasses.replace(row, reason=str(error))
    row = _with_processor(row, outcome)
    figures = _figures(outcome, reference)
    if samples is not None:
        evaluation = evaluate(network, samples, outcome.answers, reference)
        row = dataclasses.replace(row, evaluation=evaluation)
    status, reason = (OK, None) if isinstance(board, SerialBoard) else (INVALID, EMULATED)
    if not figures.same_as_host:
        status, reason = FAILED, "the board's answers are not those of this machine"
    elif not figures.vectors_agree:
        status, reason = FAILED, "the answers are not those that the exporter expects"
    return dataclasses.replace(row, status=status, reason=reason, firmware=figures)


def _emulated(
    network: ExportedNetwork, board: Board, folder: Path, seconds: float, running: Running
) -> _Outcome:
    program = build_firmware(network, board, folder)
    answers = run_on_board(program, board, folder, seconds, running)
    return _Outcome(answers, program, emulator_version(board))


def _real(network: ExportedNetwork, board: SerialBoard, inputs: bytes, seconds: float) -> _Outcome:
    size = input_bytes(network)
    parts = [inputs[start : start + size] for start in range(0, len(inputs), size)]
    answers = ask_board(board, parts, size, seconds)
    if answers.sha256 != network.sha256:
        raise OnebitError(
            f"the board behind {board.path} has another network, from the file with SHA-256 "
            f"{answers.sha256[:16]}…",
            hint=f"write the harness of {network.name} on it (`onebit edge harness`)",
        )
    return _Outcome(answers, processor=core_name(answers.core))


def _with_processor(row: Row, outcome: _Outcome) -> Row:
    """The row with what only the outcome says: the compiler, or a real board's processor."""
    if outcome.program is not None:
        setup = dataclasses.replace(row.setup, runtime_version=outcome.program.compiler)
        return dataclasses.replace(row, setup=setup)
    return dataclasses.replace(row, host=dataclasses.replace(row.host, cpu=outcome.processor))


def _host(board: Board | SerialBoard) -> Host:
    if isinstance(board, SerialBoard):
        return Host(board.address, kind="serial", emulated=False)
    return Host(
        board.address, kind="mcu", cpu=board.core, board=board.name, emulated=True,
        memory_bytes=board.ram.size_bytes,
    )  # fmt: skip


def cell_key(network: ExportedNetwork, board: Board | SerialBoard) -> CellKey:
    """The key of a row of a network on a board."""
    return CellKey(_host(board).device, network.sha256, "c", 1, None, None)


def _model(network: ExportedNetwork) -> Model:
    macs = network.macs
    signed = sum(count for kind, count in macs.items() if kind.startswith("±1"))
    return Model(
        name=network.name,
        file=str(network.folder),
        sha256=network.sha256,
        size_bytes=network.size_bytes,
        binary_macs=macs.get("binary", 0),
        binary_weight_macs=signed,
        int8_macs=macs.get("int8", 0),
        float_macs=macs.get("float", 0),
    )


def _figures(outcome: _Outcome, host: Answers) -> Firmware:
    program, inferences = outcome.program, outcome.answers.inferences
    vectors = [i for i in inferences if i.kind == "vector"]
    depths = [i.stack_bytes for i in inferences if i.stack_bytes is not None]
    return Firmware(
        code_bytes=None if program is None else program.code_bytes,
        constant_bytes=None if program is None else program.constant_bytes,
        arena_bytes=outcome.answers.arena_bytes,
        stack_bytes=max(depths, default=None),
        input_bytes=outcome.answers.input_bytes,
        instructions=tuple(i.instructions for i in vectors if i.instructions is not None),
        cycles=tuple(i.cycles for i in vectors if i.cycles is not None),
        compiler=None if program is None else program.compiler,
        emulator=outcome.emulator,
        vectors_agree=all(i.agrees is not False for i in inferences),
        same_as_host=[i.output for i in inferences] == [i.output for i in host.inferences],
    )
