"""`convert export --to qcdq`: ONNX's own operators only, for any runtime."""

from convert.targets.qonnx.quantizers import Qcdq
from convert.targets.qonnx.target import plain_onnx, require_own_onnx
from convert.targets.target import Export, Target


def qcdq(content: bytes, name: str) -> bytes:
    """The ONNX file of a converted file.

    Raises:
        ConversionError: An operator has no counterpart.
    """
    return plain_onnx(content, Qcdq(), name, {"dialect": "qcdq"})


def _write(export: Export) -> str:
    content = qcdq(export.content, export.path.stem)
    export.path.write_bytes(content)
    return f"{len(content):,} bytes of ONNX"


TARGET = Target(_write, require_own_onnx, ".onnx")
"""Written like the QONNX file, with other operators."""
