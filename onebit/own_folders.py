"""Folders that Onebit wrote; a manifest lists their files, so that what others changed is kept."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onebit.errors import OnebitError
from onebit.files import refuse_foreign

MANIFEST = "onebit-export.json"
"""The list of an exported folder's files with their SHA-256."""


def require_own_folder(path: Path, force: bool = False, *, target: str) -> None:
    """Refuses to replace a folder that holds anything else than an unchanged export.

    Args:
        path: The folder; it may be absent.
        force: Whether to let anything be replaced.
        target: The kind of export that is to be written.

    Raises:
        OnebitError: It has other or changed files, is an export of another kind or is a file, and
            `force` is not given.
    """
    if not path.is_dir():
        if path.exists():
            refuse_foreign(path, force)
        return
    written, listed = _manifest(path)
    if listed and written != target and not force:
        raise OnebitError(
            f"{path} holds an export of another kind, {written}",
            hint="give another path, or pass --force (force=True) to replace it",
            reason="not-ours",
        )
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        name = file.relative_to(path).as_posix()
        # What an export's own Makefile built may go with it.
        if name == MANIFEST or (listed and name.startswith("build/")):
            continue
        if listed.get(name) != hashlib.sha256(file.read_bytes()).hexdigest():
            refuse_foreign(file, force)


def write_folder(
    path: Path, files: Mapping[str, str | bytes], *, target: str, **about: Any
) -> None:
    """Writes a folder of files by their relative paths, and the manifest that makes it ours.

    Args:
        path: The folder.
        files: Their contents.
        target: The kind of export.
        about: What else the manifest says, for programs that read the folder.
    """
    digests = {}
    for name, content in sorted(files.items()):
        data = content.encode() if isinstance(content, str) else content
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        digests[name] = hashlib.sha256(data).hexdigest()
    text = json.dumps({"target": target, **about, "files": digests}, indent=2) + "\n"
    (path / MANIFEST).write_text(text, encoding="utf-8")


def _manifest(path: Path) -> tuple[str, dict[str, str]]:
    """A folder's kind of export, and its files with their SHA-256; none where it is not ours."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return manifest["target"], dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", {}
