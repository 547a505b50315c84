"""Debian packages: a one-line description → the section of the archive that it belongs to.

Every machine with Debian or Ubuntu has the descriptions of the whole archive, which makes this a
text task without a download. Which releases and updates a machine knows decides what is in it, so
that figures compare only where the data set's hash is the same.

Against leakage:

- packages built from one source (foo, foo-doc, libfoo-dev) describe the same thing, so the hash of
  the *source's* name puts all of them into one split;
- a description that stands in the training split word for word is dropped from the others;
- the name of the package and of its source are taken out of the description, because names follow
  their section (libfoo-perl, python3-foo). What stays is what the maintainers wrote, and that often
  names the section literally ("development files", "Perl module"): the task is an easy one.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onebit.errors import OnebitError
from zoo.datasets import Dataset, Split, register_dataset
from zoo.datasets._packed_files import read_unpacked
from zoo.datasets._tokens import Tokenizer, train_tokenizer

FILES = ("Packages", "Packages.gz", "Packages.xz")
COMMAND = ["apt-cache", "dumpavail"]
CLASSES, LENGTH, VOCABULARY = 12, 32, 4096
FIELDS = ["Package", "Source", "Section", "Description"]


@dataclass(frozen=True)
class Package:
    """A package: its source's name, its section, its description without names."""

    name: str
    source: str
    section: str
    text: str


@register_dataset(input_shape=(LENGTH,), classes=CLASSES)
def debian_sections(folder: Path) -> Dataset:
    """Debian's package descriptions → the archive's 12 largest sections; of `apt-cache`, offline.

    A tenth of the sources each is for validation and for the test. Texts are token ids of a
    vocabulary made of the training split.
    """
    splits = split_packages(read_packages(packages_index(folder)))
    sections = largest_sections(splits["train"])
    kept = {
        name: [package for package in split if package.section in sections]
        for name, split in splits.items()
    }
    if not all(kept.values()) or len(sections) < CLASSES:
        raise OnebitError(
            "debian_sections: too few packages to learn from; run apt-get update, or put the "
            f"Packages.xz of a whole release into {folder}"
        )
    tokenizer = train_tokenizer([package.text for package in kept["train"]], VOCABULARY)
    encoded = {name: _encoded(split, sections, tokenizer) for name, split in kept.items()}
    return Dataset(
        name="debian_sections",
        classes=sections,
        train=encoded["train"],
        validation=encoded["validation"],
        test=encoded["test"],
        tokenizer=tokenizer.model,
    )


def packages_index(folder: Path) -> bytes:
    """Debian's index of packages: the first of `FILES` in the folder, else what apt knows.

    Raises:
        OnebitError: There is neither, or the file is damaged.
    """
    for name in FILES:
        path = folder / name
        if path.is_file():
            return read_unpacked(path)
    content = b""
    if shutil.which(COMMAND[0]):
        content = subprocess.run(COMMAND, capture_output=True, check=False).stdout
    if not content.strip():
        raise OnebitError(
            "debian_sections is not here: run apt-get update on Debian or Ubuntu, or put a "
            f"mirror's dists/stable/main/binary-amd64/Packages.xz into {folder}"
        )
    return content


def read_packages(index: bytes) -> list[Package]:
    """The packages of an index that have a section and a description, ordered by a hash.

    The order mixes the sections and does not depend on the index's.

    Raises:
        OnebitError: This is not an index of packages.
    """
    from debian import deb822

    found: dict[str, Package] = {}
    try:
        for entry in deb822.Packages.iter_paragraphs(
            io.BytesIO(index), fields=FIELDS, use_apt_pkg=False
        ):
            name, source = entry["Package"], (entry.get("Source") or entry["Package"]).split()[0]
            # Ubuntu and others put the archive's area in front: universe/libs.
            section = entry.get("Section", "").rpartition("/")[2]
            text = without_names(entry.get("Description", "").partition("\n")[0], [name, source])
            if section and text:
                found[name] = Package(name, source, section, text)
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise OnebitError(f"debian_sections: the index of packages is damaged: {error}") from error
    return sorted(found.values(), key=lambda package: _hash(package.name))


def without_names(text: str, names: Sequence[str]) -> str:
    """A description without these names where they stand as words, in any case."""
    for name in sorted(set(names), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", " ", text, flags=re.IGNORECASE)
    return " ".join(text.split())


def split_packages(packages: Sequence[Package]) -> dict[str, list[Package]]:
    """The packages by split: a tenth of the sources for validation, a tenth for the test.

    Of equal descriptions in one section one is kept; those in validation and test that the training
    split has too are dropped.
    """
    splits: dict[str, list[Package]] = {"train": [], "validation": [], "test": []}
    seen: set[tuple[str, str]] = set()
    for package in packages:
        if (package.text, package.section) not in seen:
            seen.add((package.text, package.section))
            splits[split_of(package.source)].append(package)
    taught = {package.text for package in splits["train"]}
    for name in ("validation", "test"):
        splits[name] = [package for package in splits[name] if package.text not in taught]
    return splits


def split_of(source: str) -> str:
    """Which split the packages of a source belong to."""
    tenth = int(_hash(source)[:8], 16) % 10
    return {8: "validation", 9: "test"}.get(tenth, "train")


def largest_sections(packages: Sequence[Package]) -> tuple[str, ...]:
    """The names of the largest sections, the largest first."""
    counted = Counter(package.section for package in packages)
    ordered = sorted(counted, key=lambda section: (-counted[section], section))
    return tuple(ordered[:CLASSES])


def _encoded(packages: Sequence[Package], sections: Sequence[str], tokenizer: Tokenizer) -> Split:
    labels = [sections.index(package.section) for package in packages]
    ids = tokenizer.encode([package.text for package in packages], LENGTH)
    return Split(ids, np.array(labels, np.int64))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
