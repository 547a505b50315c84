"""Measuring on emulated boards with the genuine ssh and adb: deploy, run, compare, clean up."""

import numpy as np
import pytest

from edge.emulation.sshd import write_client
from tests.edge.native.conftest import native_build, onebit_delegate  # noqa: F401 - fixtures

pytestmark = pytest.mark.emulated
BOARDS = (("aarch64", "tflite-runtime-2.14"), ("aarch64", "ai-edge-litert-2.3"))
ALL_BOARDS = (*BOARDS, ("armv7", "tflite-runtime-2.14"))
DELEGATE = ("--runtime", "litert:delegate")


def ssh_of(board):
    return f"ssh://{board.name}"


def adb_of(board):
    return f"adb:{board.serial}"


def check_rows(rows, devices):
    """One good row a device, with the same bytes as on this machine."""
    assert {row["host"]["device"] for row in rows} == set(devices)
    assert len(rows) == len(devices)
    for row in rows:
        assert row["status"] in ("ok", "invalid"), row["reason"]
        assert row["summary"]["runs"] >= 3
        assert row["parity"]["max_abs_difference"] == 0.0
    assert len({row["parity"]["output_sha256"] for row in rows}) == 1


# This machine runs the delegate too.
@pytest.mark.usefixtures("onebit_delegate")
@pytest.mark.parametrize("kinds", [BOARDS, pytest.param(ALL_BOARDS, marks=pytest.mark.slow)])
def test_ssh_boards_answer_as_this_machine_does(kinds, ssh_board, harness, residual_file, tmp_path):
    boards = [
        ssh_board(target, name=f"board{i}", runtime=runtime)
        for i, (target, runtime) in enumerate(kinds)
    ]
    before = [board.files() for board in boards]
    run = harness(write_client(tmp_path / "bin", boards))
    devices = [word for board in boards for word in ("--device", ssh_of(board))]
    rows = run.bench(str(residual_file), *DELEGATE, "--device", "local", *devices)
    check_rows(rows, ["local", *(board.name for board in boards)])
    by_name = {row["host"]["device"]: row for row in rows}
    for board, (target, runtime), files in zip(boards, kinds, before, strict=True):
        row = by_name[board.name]
        assert row["setup"]["runtime_version"].replace(" ", "-").startswith(runtime)
        assert row["host"]["emulated"] is True
        assert row["host"]["architecture"] == {"armv7": "armv7l"}.get(target, target)
        assert board.files() == files
        assert all("sshd -D" in words for words in board.processes().values())


@pytest.mark.usefixtures("onebit_delegate")
def test_adb_board_with_python_answers_as_this_machine_does(
    adb_board, adb_server, harness, residual_file
):
    board = adb_board(runtime="ai-edge-litert-2.3")
    before = board.files()
    run = harness(adb_server.bin)
    rows = run.bench(str(residual_file), *DELEGATE, "--device", "local", "--device", adb_of(board))
    check_rows(rows, ["local", board.serial])
    assert board.files() == before
    assert len(board.processes()) == 1


def test_data_is_evaluated_on_the_board(
    ssh_board, harness, residual_file, residual_model, tmp_path
):
    board = ssh_board(runtime="tflite-runtime-2.14")
    shape = residual_model[1]
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((4, *shape[1:])).astype(np.float32)
    np.savez(tmp_path / "data 1.npz", inputs=inputs, labels=np.zeros(4, np.int64))
    run = harness(write_client(tmp_path / "bin", [board]))
    rows = run.bench(
        str(residual_file), *DELEGATE, "--device", ssh_of(board),
        "--data", str(tmp_path / "data 1.npz"),
    )  # fmt: skip
    assert rows[0]["evaluation"]["max_abs_difference"] == 0.0


def test_names_with_spaces_quotes_and_dashes_are_safe(ssh_board, harness, residual_file, tmp_path):
    odd = tmp_path / '-a; touch x\' "$(id)".tflite'
    odd.write_bytes(residual_file.read_bytes())
    board = ssh_board(runtime="tflite-runtime-2.14")
    before = board.files()
    run = harness(write_client(tmp_path / "bin", [board]))
    rows = run.bench(*DELEGATE, "--device", ssh_of(board), "--", str(odd))
    assert rows[0]["status"] in ("ok", "invalid"), rows[0]["reason"]
    assert rows[0]["summary"]["runs"] >= 3
    assert board.files() == before


@pytest.mark.slow
def test_two_harnesses_at_once_do_not_meet(ssh_board, harness, residual_file, tmp_path):
    board = ssh_board(runtime="tflite-runtime-2.14")
    before = board.files()
    client = write_client(tmp_path / "bin", [board])
    runs = []
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        runs.append(harness(client, folder=tmp_path / str(i)))
    arguments = (str(residual_file), *DELEGATE, "--device", ssh_of(board))
    started = [run.start(*arguments) for run in runs]
    for run, process in zip(runs, started, strict=True):
        check_rows(run.finish(process), ["pi"])
    assert board.files() == before
