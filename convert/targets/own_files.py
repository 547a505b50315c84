"""Outputs: those that Onebit wrote may be overwritten, any other only when asked to."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onebit.errors import OnebitError

HEADER_LINE = "// Written by `onebit convert`; do not edit."
"""The first line of C headers that Onebit writes."""

MANIFEST = "onebit-export.json"
"""The list of an exported folder's files with their SHA-256."""

_HINT = "give another path, or pass --force (force=True) to overwrite it"


def require_own_header(path: Path, force: bool = False) -> None:
    """Refuses to overwrite a file that is not a header written by Onebit.

    Raises:
        OnebitError: It is another one, and `force` is not given.
    """
    if not is_empty(path) and not path.read_bytes().startswith(HEADER_LINE.encode()):
        refuse(path, force)


def require_own_weights(path: Path, force: bool = False) -> None:
    """Refuses to overwrite a file that does not hold packed weights.

    Raises:
        OnebitError: It is another one, and `force` is not given.
    """
    if is_empty(path):
        return
    try:
        with np.load(path, allow_pickle=False) as content:
            known = "layout" in content
    except Exception:  # whatever NumPy's readers raise: it is not such a file
        known = False
    if not known:
        refuse(path, force)


def require_own_folder(path: Path, force: bool = False) -> None:
    """Refuses to replace a folder that holds anything else than an unchanged export.

    Raises:
        OnebitError: It has other or changed files, or is a file, and `force` is not given.
    """
    if not path.is_dir():
        if path.exists():
            refuse(path, force)
        return
    listed = _manifest(path)
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path).as_posix()
        # What an export's own Makefile built may go with it.
        if name == MANIFEST or (listed and name.startswith("build/")):
            continue
        if listed.get(name) != hashlib.sha256(file.read_bytes()).hexdigest():
            refuse(file, force)


def write_folder(path: Path, files: Mapping[str, str | bytes], **about: Any) -> None:
    """Writes a folder of files by their relative paths, and the manifest that makes it ours.

    Args:
        path: The folder.
        files: Their contents.
        about: What else the manifest says, for programs that read the folder.
    """
    digests = {}
    for name, content in sorted(files.items()):
        data = content.encode() if isinstance(content, str) else content
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        digests[name] = hashlib.sha256(data).hexdigest()
    text = json.dumps({**about, "files": digests}, indent=2) + "\n"
    (path / MANIFEST).write_text(text, encoding="utf-8")


def is_empty(path: Path) -> bool:
    """Whether there is nothing to lose at a place."""
    return not path.is_file() or path.stat().st_size == 0


def refuse(path: Path, force: bool, cause: Exception | None = None) -> None:
    """Raises for a file that Onebit did not write, unless forced."""
    if not force:
        raise OnebitError(
            f"{path} exists, and Onebit did not write it", hint=_HINT, reason="not-ours"
        ) from cause


def _manifest(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
