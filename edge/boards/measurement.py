"""Measures exported networks on boards: a row for each network and board."""

import dataclasses
import tempfile
from pathlib import Path

from edge.bench.samples import EvalSamples
from edge.boards.catalogue import PREFIX, Board
from edge.boards.emulator import Answers, Running, emulator_version, run_on_board, run_on_host
from edge.boards.exports import ExportedNetwork
from edge.boards.firmware import Firmware as Program
from edge.boards.firmware import build_firmware, build_for_host
from edge.boards.samples import evaluate, packed_samples
from edge.results.row import FAILED, INVALID, CellKey, Firmware, Host, Model, Row, Run, Setup
from onebit.errors import OnebitError

EMULATED = "counted under QEMU: instructions and memory are exact, times are unknown"
TIMEOUT_SECONDS = 600.0


def measure(
    network: ExportedNetwork,
    board: Board,
    run: Run,
    seconds: float = TIMEOUT_SECONDS,
    running: Running | None = None,
    samples: EvalSamples | None = None,
) -> Row:
    """The row of a network on a board; a failure is a row too.

    The board's answers to the network's test vectors are compared with those of the same sources
    built for this machine, bit for bit, and with the exporter's expectations. So are its answers to
    `samples`, which give an accuracy where they are labelled.
    """
    running = running or Running()
    host = Host(
        f"{PREFIX}{board.name}", kind="mcu", cpu=board.core, board=board.name, emulated=True,
        memory_bytes=board.ram.size_bytes,
    )  # fmt: skip
    model = _model(network)
    setup = Setup(name="c", runtime="c", kernel="portable", threads=1)
    row = Row(run, host, model, setup, FAILED, "nothing was measured")
    try:
        with tempfile.TemporaryDirectory(prefix="onebit-") as name:
            folder = Path(name)
            firmware = build_firmware(network, board, folder)
            row = dataclasses.replace(
                row, setup=dataclasses.replace(setup, runtime_version=firmware.compiler)
            )
            if samples is not None:
                (folder / "inputs.bin").write_bytes(packed_samples(network, samples))
            answers = run_on_board(firmware, board, folder, seconds, running)
            reference = run_on_host(build_for_host(network, folder), folder, seconds, running)
    except OnebitError as error:
        return dataclasses.replace(row, reason=str(error))
    figures = _figures(firmware, answers, reference, emulator_version(board))
    if samples is not None:
        row = dataclasses.replace(row, evaluation=evaluate(network, samples, answers, reference))
    status, reason = INVALID, EMULATED
    if not figures.same_as_host:
        status, reason = FAILED, "the board's answers are not those of this machine"
    elif not figures.vectors_agree:
        status, reason = FAILED, "the answers are not those that the exporter expects"
    return dataclasses.replace(row, status=status, reason=reason, firmware=figures)


def cell_key(network: ExportedNetwork, board: Board) -> CellKey:
    """The key of a row of a network on a board."""
    return CellKey(f"{PREFIX}{board.name}", network.sha256, "c", 1, None, None)


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


def _figures(program: Program, board: Answers, host: Answers, emulator: str) -> Firmware:
    inferences = board.inferences
    vectors = [i for i in inferences if i.kind == "vector"]
    return Firmware(
        code_bytes=program.code_bytes,
        constant_bytes=program.constant_bytes,
        arena_bytes=board.arena_bytes,
        stack_bytes=max(i.stack_bytes for i in inferences),
        input_bytes=board.input_bytes,
        instructions=tuple(i.instructions for i in vectors if i.instructions is not None),
        cycles=tuple(i.cycles for i in vectors if i.cycles is not None),
        compiler=program.compiler,
        emulator=emulator,
        vectors_agree=all(i.agrees is not False for i in inferences),
        same_as_host=[i.output for i in inferences] == [i.output for i in host.inferences],
    )
