"""Builds the wheels of `onebit-delegate`: `python edge/native/wheels.py [-o FOLDER] [TARGET ...]`.

A wheel is a zip file with the Python package, the library and three lists, so nothing but the
compiler is needed. The library depends on libc alone: one wheel serves every Python 3.
"""

import argparse
import base64
import hashlib
import re
import sys
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build_library

PACKAGE = build_library.HERE / "python" / "onebit_delegate"
PLATFORMS = {
    "x86_64": "manylinux_2_28_x86_64",
    "aarch64": "manylinux_2_28_aarch64",
    "armv7": "manylinux_2_28_armv7l",
}
METADATA = """\
Metadata-Version: 2.1
Name: onebit-delegate
Version: {version}
Summary: Runs files of the Larq Compute Engine on stock TFLite and LiteRT interpreters
License: Apache-2.0
Requires-Python: >=3.8
Description-Content-Type: text/markdown

A TFLite delegate for binary neural networks. Install it beside ai-edge-litert, tflite-runtime or
TensorFlow and pass `experimental_delegates=[onebit_delegate.load()]` to the Interpreter.
"""
WHEEL = """\
Wheel-Version: 1.0
Generator: onebit
Root-Is-Purelib: false
Tag: py3-none-{platform}
"""


def package_version() -> str:
    """The version that the Python package states."""
    text = (PACKAGE / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{PACKAGE} states no version")
    return found[1]


def write_wheel(target: str, library: Path, folder: Path) -> Path:
    """Writes one wheel; the same content gives the same bytes.

    Args:
        target: One of `PLATFORMS`.
        library: The library that was built for it.
        folder: Where the wheel goes.
    """
    version, platform = package_version(), PLATFORMS[target]
    info = f"onebit_delegate-{version}.dist-info"
    files = {f"onebit_delegate/{f.name}": f.read_bytes() for f in sorted(PACKAGE.glob("*.py*"))}
    files[f"onebit_delegate/{build_library.LIBRARY}"] = library.read_bytes()
    files[f"{info}/METADATA"] = METADATA.format(version=version).encode()
    files[f"{info}/WHEEL"] = WHEEL.format(platform=platform).encode()
    record = ""
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"onebit_delegate-{version}-py3-none-{platform}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, content)
    return path


def main() -> None:
    """Parses the command line and builds; prints the paths of the wheels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(PLATFORMS)}; all if none")
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"))
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(PLATFORMS)
    if unknown:
        parser.error(f"unknown target {', '.join(sorted(unknown))}: use {', '.join(PLATFORMS)}")
    for target in arguments.targets or PLATFORMS:
        try:
            print(write_wheel(target, build_library.build(target), arguments.output))
        except build_library.ToolsMissingError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
