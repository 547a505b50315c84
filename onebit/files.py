"""Files that are either whole or absent."""

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from onebit.errors import OnebitError, first_line, unreadable

ARCHIVE_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError),  # methods and encryption that an archive claims
)
"""Errors that Python raises on a damaged zip archive."""

DAMAGED = "damaged"
"""The reason of errors about a file that could be read, and holds something else than it should."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path` that takes its place when the block succeeds.

    The block may write a file or a folder there. When it raises, or the process dies, `path` stays
    as it was. A file never takes the place of a folder.

    Raises:
        OnebitError: The folder does not exist or cannot be written, or the disk is full.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _cannot_write(target, error) from error
    replaced = scratch / f"{target.name}.replaced"
    try:
        # Keras and others recognise formats by the suffix, so the temporary file keeps the name.
        temporary = scratch / target.name
        yield temporary
        if target.is_dir() and not temporary.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if target.is_dir() and not target.is_symlink():
            os.rename(target, replaced)
        os.replace(temporary, target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        if replaced.exists() and not target.exists():  # nothing has taken its place
            os.rename(replaced, target)
        shutil.rmtree(scratch, ignore_errors=True)


def require_writable(path: str | os.PathLike[str]) -> None:
    """Fails early where `path` could not be written; creates nothing.

    Raises:
        OnebitError: The nearest folder above `path` that exists is none, or is write-protected.
    """
    target = Path(path)
    for ancestor in [target, *target.absolute().parents]:
        if not ancestor.exists():
            continue
        if not ancestor.is_dir() and ancestor != target:
            raise _cannot_write(target, NotADirectoryError(f"{ancestor} is a file"))
        if not os.access(ancestor, os.W_OK | (os.X_OK if ancestor.is_dir() else 0)):
            raise _cannot_write(target, PermissionError(f"{ancestor} is write-protected"))
        return


def require_own(
    path: str | os.PathLike[str], is_own: Callable[[Path], bool], force: bool = False
) -> None:
    """Refuses to overwrite a file that Onebit did not write.

    Args:
        path: The file.
        is_own: Whether Onebit wrote an existing one; whatever it raises means that it did not.
        force: Whether any file may be overwritten.

    Raises:
        OnebitError: It is another one, and `force` is not given.
    """
    target = Path(path)
    if force or is_empty(target):
        return
    try:
        own = is_own(target)
    except Exception:  # readers of damaged files raise a dozen kinds
        own = False
    if not own:
        refuse_foreign(target)


def is_empty(path: Path) -> bool:
    """Whether there is nothing to lose at a place: no file, or an empty one."""
    return not path.is_file() or path.stat().st_size == 0


def refuse_foreign(path: Path, force: bool = False, cause: Exception | None = None) -> None:
    """Raises for a file that Onebit did not write, unless forced."""
    if not force:
        raise OnebitError(
            f"{path} exists, and is not an earlier output",
            hint="give another path, or pass --force (force=True) to overwrite it",
            reason="not-ours",
        ) from cause


def _cannot_write(target: Path, error: OSError) -> OnebitError:
    reason = error.strerror or str(error)
    if error.strerror and isinstance(error, FileExistsError | NotADirectoryError):
        reason = f"{target.parent} is not a folder"
    return OnebitError(f"cannot write {target}: {reason}; give another path or free the space")


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, Any], *, compressed: bool = False
) -> None:
    """Writes arrays to an `.npz` file, whole or not at all.

    The archive is made in memory: one that a full disk cut would complain again when it is freed.
    """
    import numpy as np

    archive = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(archive, **arrays)
    with replacing(path) as temporary:
        temporary.write_bytes(archive.getbuffer())


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arrays of an `.npz` file by name; pickled objects are refused.

    Raises:
        ValueError: The file is unreadable, damaged or something else, or is larger than the memory.
    """
    import numpy as np

    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.lib.npyio.NpzFile):
            with content:
                return dict(content)
    except Exception as error:  # a damaged header raises a dozen kinds, MemoryError among them
        raise ValueError(first_line(error)) from error
    raise ValueError("it is a single array without a name")


def write_text(path: str | os.PathLike[str], content: str) -> None:
    """Writes `content` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Writes `content` to `path` as indented JSON; NaN and infinity are refused.

    Raises:
        ValueError: A number in `content` is not finite.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def is_endless(path: Path) -> bool:
    """Whether reading a path may never end: a character device, such as /dev/zero."""
    return path.is_char_device() and not os.path.samefile(path, os.devnull)


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file.

    Raises:
        OnebitError: The file is missing, unreadable or, with the reason `DAMAGED`, not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise OnebitError(unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        raise _not_json(f"{path}", "it is not a text in UTF-8") from error
    except ValueError as error:
        raise _not_json(f"{path}", error) from error


def read_json_lines(path: str | os.PathLike[str]) -> list[Any]:
    """The values of a JSON Lines file, one a line; none when there is no such file.

    Raises:
        OnebitError: The file is unreadable or, with the reason `DAMAGED`, a line is not JSON.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise OnebitError(unreadable(path, error)) from error
    except UnicodeDecodeError as error:
        raise _not_json(f"{path}", "it is not a text in UTF-8") from error
    values = []
    for number, line in enumerate(lines, 1):
        try:
            values.append(json.loads(line))
        except ValueError as error:
            raise _not_json(f"{path}, line {number},", error) from error
    return values


def _not_json(place: str, problem: object) -> OnebitError:
    return OnebitError(f"{place} is not valid JSON: {problem}", reason=DAMAGED)


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's content, as 64 hexadecimal digits.

    Raises:
        OnebitError: The file is missing or unreadable.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except OSError as error:
        raise OnebitError(unreadable(path, error)) from error
    return digest.hexdigest()


TFLITE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every `.tflite` file."""


def read_tflite(path: Path) -> bytes | None:
    """The content of a `.tflite` file; None of any other file.

    Of others only the first bytes are read: they may be large, or devices without an end.

    Raises:
        OSError: It is missing or unreadable.
    """
    with path.open("rb") as file:
        head = file.read(8)
        return head + file.read() if head[4:] == TFLITE_IDENTIFIER else None
