"""An exported network, and boards that skip where their toolchain is not installed."""

import shutil
from pathlib import Path

import pytest

from convert.targets.c.project import project_files
from edge.boards.catalogue import BOARDS
from edge.boards.exports import read_export
from edge.boards.firmware import install_hint, missing_programs
from onebit.own_folders import write_folder

MODEL = Path(__file__).parents[2] / "written_before" / "model.tflite"


def export(content, folder, name="small"):
    files, about = project_files(content, "model.tflite", name)
    write_folder(folder, files, target="c", network=about)
    return read_export(folder)


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    return export(MODEL.read_bytes(), tmp_path_factory.mktemp("exported") / "small")


@pytest.fixture
def changed(exported, tmp_path):
    """A copy of the exported network whose files a test may change."""
    shutil.copytree(exported.folder, tmp_path / "small")
    return read_export(tmp_path / "small")


def board_or_skip(name):
    board = BOARDS[name]
    if missing_programs(board):
        pytest.skip(f"{', '.join(missing_programs(board))} missing: {install_hint(board)}")
    return board
