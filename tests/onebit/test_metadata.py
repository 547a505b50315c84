"""Metadata as data and as FlatBuffers; tests/convert/test_metadata.py has them in files."""

import io
import zipfile

import numpy as np
import pytest

from onebit.errors import OnebitError
from onebit.metadata import (
    Metadata,
    Normalization,
    Tensor,
    associated_files,
    encode,
    read_labels,
    with_files,
)
from onebit.metadata.schema import decode

ALL = Metadata(
    "net", "A net – of cats", "Eve", "MIT", normalization={1: Normalization((1.5, 0, 9), (2, 3, 4))}
)
INPUTS = [Tensor("ids", (1, 7)), Tensor("image", (1, 4, 4, 3))]
OUTPUTS = [Tensor("scores", (1, 2))]


@pytest.mark.parametrize("metadata", [ALL, Metadata(), Metadata("net", license="MIT")])
def test_decoded_is_what_was_encoded(metadata):
    assert decode(encode(metadata, INPUTS, OUTPUTS, "l.txt")) == (metadata, None)


def test_only_files_with_labels_name_a_file_of_them():
    encoded = encode(Metadata(labels=("a", "b")), INPUTS, OUTPUTS, "l.txt")
    assert decode(encoded) == (Metadata(), "l.txt")


def test_equal_facts_give_equal_bytes():
    first, second = (
        with_files(encode(ALL, INPUTS, OUTPUTS, "l.txt"), {"l.txt": b"a\nb\n"}) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("scale", "offset"),
    [([1 / 127.5], [-1.0]), ([1 / 128], [-1.0]), ([1 / 58.4, 1 / 57.1, 2], [-2.1, 0, 3])],
)
def test_normalization_is_the_scale_and_offset_of_training(scale, offset):
    pixels = np.arange(256).repeat(3).reshape(1, 16, 16, 3)
    values = Normalization.from_scale(scale, offset)(pixels)
    expected = pixels.astype(np.float32) * np.float32(scale) + np.float32(offset)
    # -(-offset / scale) * scale rounds thrice in float64, and then to float32.
    np.testing.assert_allclose(values, expected, rtol=2**-23, atol=2**-23)
    assert values.dtype == np.float32


def test_normalization_to_the_range_of_minus_one_to_one_is_that_of_training_to_the_last_bit():
    pixels = np.arange(256, dtype=np.uint8)
    expected = pixels.astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)
    np.testing.assert_array_equal(Normalization((127.5,), (127.5,))(pixels), expected)


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        *(((), (1,)), ((0,), ()), ((0,), (0,)), ((np.nan,), (1,)), ((0,), (np.inf,))),
        ((0, 0), (1, 1, 1)),
    ],
)
def test_numbers_that_normalise_nothing_are_refused(mean, std):
    with pytest.raises(ValueError, match="deviation"):
        Normalization(mean, std)


def test_archive_keeps_the_model_and_gives_its_files_back():
    content = bytes(range(256)) * 5
    packed = with_files(content, {"a.txt": b"A", "b/c": b""})
    assert packed.startswith(content)
    assert associated_files(packed, "x") == {"a.txt": b"A", "b/c": b""}
    assert associated_files(content, "x") == {}
    assert with_files(content, {}) == content


def test_damaged_archive_is_one_line():
    packed = bytearray(with_files(bytes(64), {"a.txt": b"A" * 50}))
    packed[packed.index(b"A" * 50)] = 0
    with pytest.raises(OnebitError, match="the archive in x is damaged"):
        associated_files(bytes(packed), "x")


def test_archive_that_claims_to_be_huge_is_not_unpacked(monkeypatch):
    monkeypatch.setattr("onebit.metadata.files.MOST_BYTES", 10)
    with pytest.raises(OnebitError, match=r"a\.txt in x is over 10 bytes"):
        associated_files(with_files(b"", {"a.txt": bytes(11)}), "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n\nb\n", "line 2 of .* is empty"),
        ("\n", r"labels\.txt is empty; write"),
        (b"\xff\xfe", "is not a text in UTF-8; write"),
        (None, ".*labels.txt does not exist$"),
    ],
)
def test_labels_that_cannot_be_read_are_one_line(tmp_path, text, message):
    path = tmp_path / "labels.txt"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(OnebitError, match=message):
        read_labels(path)


def test_labels_are_lines(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffcat\r\n dog \r\n\r\n".encode())
    assert read_labels(path) == ["cat", "dog"]


def test_entries_are_stored_as_they_are():
    """Readers in C++ map them into memory."""
    with zipfile.ZipFile(io.BytesIO(with_files(b"model", {"l.txt": b"a" * 99}))) as archive:
        (entry,) = archive.infolist()
    assert (entry.compress_type, entry.header_offset) == (zipfile.ZIP_STORED, 5)
