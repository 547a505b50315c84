"""Files that are cut or changed anywhere are refused, before a runtime crashes on them."""

from pathlib import Path

import pytest

from onebit.errors import OnebitError
from onebit.metadata import require_whole
from onebit.metadata.tables import Number, number_types, write
from tests.support.damage import scrambled

GOLDEN = Path(__file__).parent.parent / "convert" / "golden" / "chains"
FILES = [GOLDEN / name for name in ("sign_cnn.tflite", "int8_all.tflite", "tokens.tflite")]

UINT, INT = number_types.Uint32Flags, number_types.Uint64Flags


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_cut_anywhere_is_refused(path):
    content = path.read_bytes()
    require_whole(content, "x")
    for share in range(1, 40):
        with pytest.raises(OnebitError, match=r"^x is truncated or damaged: .*copy the file again"):
            require_whole(content[: len(content) * share // 40], "x")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({}, "it has no graph"),
        ({2: [{0: [{2: Number(7, UINT)}]}]}, "a buffer that does not exist"),
        ({2: [{3: [{0: Number(0, UINT)}]}]}, "a code that does not exist"),
        ({1: [{}], 2: [{3: [{1: [1.0]}]}]}, "a tensor that does not exist"),
        ({2: [{}], 4: [{1: Number(99, INT), 2: Number(1 << 20, INT)}]}, "ends behind the file"),
    ],
)
def test_references_to_nothing_are_refused(model, reason):
    with pytest.raises(OnebitError, match=reason):
        require_whole(write(model, b"TFL3"), "x")


def test_scrambled_files_raise_nothing_else():
    refused = 0
    for content in scrambled(FILES[0].read_bytes(), 500, seed=4):
        try:
            require_whole(content, "x")
        except OnebitError:
            refused += 1
    assert refused > 50
