import gzip
import lzma
import subprocess

import numpy as np
import pytest

import zoo
from onebit.errors import OnebitError
from tests.support.damage import scrambled
from zoo.datasets import debian_sections
from zoo.datasets._tokens import FIRST, LAST, PADDING, Tokenizer, train_tokenizer
from zoo.datasets.debian_sections import (
    CLASSES,
    Package,
    largest_sections,
    packages_index,
    read_packages,
    split_of,
    split_packages,
    without_names,
)

WORDS = [
    "fast",
    "small",
    "graphical",
    "parser",
    "server",
    "client",
    "tool",
    "data",
    "format",
    "network",
    "image",
    "text",
]


def stanza(name, section, description, source=None):
    lines = [f"Package: {name}", *([f"Source: {source}"] if source else []), f"Section: {section}"]
    return "\n".join([*lines, f"Description: {description}", " More text, which is not read.", ""])


def index(count=60):
    """Packages of 13 sections, the last of which is smaller than the others."""
    generator = np.random.default_rng(2)
    stanzas = []
    for section in range(CLASSES + 1):
        for number in range(count if section < CLASSES else 5):
            words = " ".join(generator.choice(WORDS, 4))
            text = f"{words} of kind{section} number {number}"
            stanzas.append(stanza(f"pkg-{section}-{number}", f"universe/s{section:02}", text))
    return "\n".join(stanzas).encode()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "debian_sections"
    path.mkdir()
    (path / "Packages").write_bytes(index())
    return path


def test_texts_become_token_ids_of_the_largest_sections(folder):
    dataset = zoo.load_dataset("debian_sections", folder.parent)
    assert set(dataset.classes) == {f"s{number:02}" for number in range(12)}
    assert "s12" not in dataset.classes
    assert dataset.input_shape == (32,)
    assert dataset.train.images.dtype == np.int32
    assert len(dataset.train) > 6 * len(dataset.test) > 0
    assert len(dataset.validation) > 0
    tokens, label = dataset.test.images[0], dataset.test.labels[0]
    assert tokens[0] == FIRST
    assert np.count_nonzero(tokens == LAST) == 1
    assert 0 <= label < CLASSES
    assert len(Tokenizer(dataset.tokenizer)) > tokens.max()


def test_every_load_gives_the_same_data_set_whatever_the_order_of_the_index(folder):
    first = zoo.load_dataset("debian_sections", folder.parent)
    stanzas = index().decode().split("\n\n")
    (folder / "Packages").write_text("\n\n".join(reversed(stanzas)))
    second = zoo.load_dataset("debian_sections", folder.parent)
    assert first.sha256 == second.sha256
    assert first.tokenizer == second.tokenizer


@pytest.mark.parametrize(("name", "pack"), [("Packages.gz", gzip.compress),
                                            ("Packages.xz", lzma.compress)])  # fmt: skip
def test_compressed_indexes_are_read(folder, name, pack):
    (folder / "Packages").unlink()
    (folder / name).write_bytes(pack(b"Package: a\n"))
    assert packages_index(folder) == b"Package: a\n"
    (folder / name).write_bytes(b"neither")
    with pytest.raises(OnebitError, match=rf"cannot read .*{name}: .*download it again"):
        packages_index(folder)


@pytest.mark.parametrize(("name", "pack"), [("Packages.gz", gzip.compress),
                                            ("Packages.xz", lzma.compress)])  # fmt: skip
def test_scrambled_indexes_are_one_line(folder, name, pack):
    (folder / "Packages").unlink()
    content = pack(index())
    for damaged in scrambled(content, 30, seed=1, start=len(content) // 4):
        (folder / name).write_bytes(damaged)
        with pytest.raises(OnebitError, match=rf"cannot read .*{name}: .*download it again"):
            packages_index(folder)


def test_apt_is_asked_when_the_folder_has_none(tmp_path, monkeypatch):
    def dumpavail(command, **options):
        assert command == ["apt-cache", "dumpavail"]
        return subprocess.CompletedProcess(command, 0, stdout=b"Package: a\n")

    monkeypatch.setattr(debian_sections.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(debian_sections.subprocess, "run", dumpavail)
    assert packages_index(tmp_path) == b"Package: a\n"


@pytest.mark.parametrize("installed", [False, True], ids=["no apt", "apt knows nothing"])
def test_without_an_index_one_line_says_what_to_do(tmp_path, monkeypatch, installed):
    monkeypatch.setattr(debian_sections.shutil, "which", lambda name: "apt" if installed else None)
    empty = subprocess.CompletedProcess([], 100, stdout=b"\n")
    monkeypatch.setattr(debian_sections.subprocess, "run", lambda *_, **__: empty)
    with pytest.raises(OnebitError, match=r"run apt-get update .* or put .*Packages\.xz") as caught:
        zoo.load_dataset("debian_sections", tmp_path)
    assert str(tmp_path / "debian_sections") in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"Package: one\nSection: libs\nDescription: text\n", b"\xff\xfe"]
)
def test_an_index_of_too_little_or_something_else_gives_one_line(folder, content):
    (folder / "Packages").write_bytes(content)
    with pytest.raises(OnebitError, match="debian_sections: ") as caught:
        zoo.load_dataset("debian_sections", folder.parent)
    assert "\n" not in str(caught.value)


def test_packages_of_one_source_share_a_split():
    packages = [
        Package(f"{name}{number}", f"source{number}", "libs", f"{name} {number}")
        for number in range(200)
        for name in ("lib", "lib-dev", "lib-doc")
    ]
    where = {p.name: name for name, split in split_packages(packages).items() for p in split}
    for number in range(200):
        assert {where[f"{name}{number}"] for name in ("lib", "lib-dev", "lib-doc")} == {
            split_of(f"source{number}")
        }
    shares = [list(where.values()).count(name) / 600 for name in ("train", "validation", "test")]
    # 200 draws: three standard deviations of a share of 0.1 are 0.064.
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.09)


def test_a_description_is_in_one_split_only():
    sources = {split_of(f"s{i}"): f"s{i}" for i in range(100)}
    packages = [
        Package(f"p-{name}", source, "libs", "the same") for name, source in sources.items()
    ]
    packages += [
        Package(f"q-{name}", source, "doc", "the same") for name, source in sources.items()
    ]
    splits = split_packages(packages)
    assert sum(len(split) for split in splits.values()) == 2
    texts = [{p.text for p in split} for split in splits.values()]
    assert sum("the same" in text for text in texts) == 1


def test_names_are_taken_out_and_read_packages_keeps_the_first_line():
    assert without_names("Foo bindings for libfoo (foo)", ["foo", "libfoo-perl"]) == (
        "bindings for libfoo ( )"
    )
    text = stanza("libfoo-perl", "perl", "libfoo-perl talks to FOO.", source="foo (1.2)")
    assert read_packages(text.encode()) == [Package("libfoo-perl", "foo", "perl", "talks to .")]
    assert read_packages(stanza("bar", "contrib/web", "bar").encode()) == []


def test_the_largest_sections_come_first():
    packages = [Package(f"{s}{i}", "x", s, "t") for s, n in (("b", 2), ("a", 2), ("c", 3))
                for i in range(n)]  # fmt: skip
    assert largest_sections(packages) == ("c", "a", "b")


def test_token_ids_are_framed_cut_and_padded():
    tokenizer = train_tokenizer(["one two three four five six"] * 5, 40)
    (short, long) = tokenizer.encode(["one", "one two three four five six " * 5], 8)
    assert short[0] == FIRST
    assert LAST in short
    assert short[-1] == PADDING
    assert (long[0], long[-1]) == (FIRST, LAST)
    assert PADDING not in long
    np.testing.assert_array_equal(tokenizer.encode(["ONE"], 8), tokenizer.encode(["one"], 8))
    with pytest.raises(OnebitError, match="the tokenizer is damaged"):
        Tokenizer(b"nothing")
