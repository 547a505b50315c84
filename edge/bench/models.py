"""Facts about a `.tflite` file that need no run."""

import os
import re
import struct
from pathlib import Path
from typing import Any

from edge.results.row import Model, NotBinary, Verification
from onebit.console import say
from onebit.errors import OnebitError, UsageError, unreadable
from onebit.files import read_json, read_tflite, sha256
from onebit.metadata import read_metadata, require_whole


def describe(path: str | os.PathLike[str]) -> Model:
    """Reads a `.tflite` file and the conversion report beside it, where there is one.

    The report of `x.tflite` is `x.report.json`. It is used only if it names the file's own SHA-256;
    otherwise a warning is printed and the report's data stay unknown.

    Raises:
        UsageError: The file is missing, unreadable or not a TensorFlow Lite file.
        OnebitError: It is truncated or damaged.
    """
    path = Path(path)
    content = read_model(path)
    digest = sha256(path)
    report = conversion_report(path, digest)
    totals = report.get("totals") or {}
    return Model(
        name=_value(report, "name", str) or _name_inside(content, path) or path.stem,
        file=str(path),
        sha256=digest,
        size_bytes=len(content),
        lce_ops=find_lce_ops(content),
        weight_bytes=_value(totals, "weight_bytes", int),
        float32_bytes=_value(totals, "float32_bytes", int),
        binary_macs=_value(totals, "binary_macs", int),
        binary_weight_macs=_value(totals, "binary_weight_macs", int),
        int8_macs=_value(totals, "int8_macs", int),
        float_macs=_value(totals, "float_macs", int),
        verification=_verification(report.get("verification")),
        not_binary=_not_binary(report.get("layers")),
    )


def _name_inside(content: bytes, path: Path) -> str | None:
    """The model's name in the file's metadata; None where those are damaged, too."""
    try:
        metadata = read_metadata(content, str(path))
    except OnebitError:
        return None
    return metadata.name if metadata else None


def find_lce_ops(content: bytes) -> tuple[str, ...]:
    """The custom ops of Larq Compute Engine that the file names, sorted.

    A FlatBuffer stores a string as its length in 32 bits, its bytes and a zero. A scan for such
    strings that start with "Lce" needs no schema; weights look like one with a chance of 2⁻⁶⁴ a
    position.
    """
    names = set()
    for match in re.finditer(rb"Lce[A-Za-z0-9]+\x00", content):
        name = match.group()[:-1]
        if content[max(0, match.start() - 4) : match.start()] == struct.pack("<I", len(name)):
            names.add(name.decode())
    return tuple(sorted(names))


def read_model(path: Path) -> bytes:
    """The content of a `.tflite` file that is whole.

    Raises:
        UsageError: The file is missing, unreadable or not a TensorFlow Lite file.
        OnebitError: It is truncated or damaged.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="give the .tflite files in it")
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise UsageError(f"{path} is empty", hint="convert the model again")
        content = read_tflite(path)
    except OSError as error:
        raise UsageError(unreadable(path, error)) from error
    if content is None:
        raise UsageError(
            f"{path} is not a TensorFlow Lite file",
            hint="convert a Keras model with onebit convert model",
        )
    require_whole(content, str(path))
    return content


def conversion_report(path: Path, digest: str) -> dict[str, Any]:
    """The conversion report beside the file with this SHA-256, or an empty one with a warning."""
    report_path = path.with_suffix(".report.json")
    if not report_path.exists():
        return {}
    try:
        report = read_json(report_path)
    except OnebitError as error:
        say(f"warning: {error}; going on without it")
        return {}
    file = report.get("file") if isinstance(report, dict) else None
    if not isinstance(file, dict) or file.get("sha256") != digest:
        say(
            f"warning: {report_path} describes another file than {path.name} (SHA-256 differs); "
            "going on without it"
        )
        return {}
    return report


def _not_binary(layers: Any) -> tuple[NotBinary, ...]:
    """The report's layers that are not binary, together where kind, reason and fix agree.

    Those with the most multiply-accumulates come first.
    """
    groups: dict[tuple[str, str, str | None], list[Any]] = {}
    for layer in layers if isinstance(layers, list) else ():
        kind, reason = _value(layer, "kind", str), _value(layer, "reason", str)
        if kind in (None, "binary") or reason is None:
            continue
        fix = _value(layer, "fix", str)
        groups.setdefault((kind.replace("_", " "), reason, fix), []).append(layer)
    found = [
        NotBinary(
            kind,
            reason,
            tuple(_value(layer, "name", str) or "?" for layer in members),
            sum(_value(layer, "macs", int) or 0 for layer in members),
            fix,
        )
        for (kind, reason, fix), members in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: -each.macs))


def _verification(content: Any) -> Verification | None:
    if not isinstance(content, dict):
        return None
    return Verification(
        verdict=_value(content, "verdict", str),
        samples=_value(content, "samples", int),
        split=_value(content, "split", str),
        accuracy_keras=_value(content, "accuracy_keras", float),
        accuracy_file=_value(content, "accuracy_file", float),
        agreement=_value(content, "agreement", float),
    )


def _value(content: Any, key: str, kind: type) -> Any:
    """A field of the report if it is of the expected kind, else None."""
    value = content.get(key) if isinstance(content, dict) else None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, kind):
        return None
    return value
