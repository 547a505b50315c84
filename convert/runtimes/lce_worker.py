"""Runs Larq Compute Engine's converter in a separate process.

    python -m convert.runtimes.lce_worker FUNCTION ARGUMENTS.json OUTPUT.tflite

The converter is native code that crashes on some models: with constants over 2^25 weights, for
one. Its extension module is loaded from its file, because importing the package also imports
TensorFlow, which takes seconds where this takes a tenth of one.
"""

import glob
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

EXTENSION = "_tf_tfl_flatbuffer"


def load_converter() -> Any:
    """LCE's extension module.

    Raises:
        ImportError: LCE is not installed, or not as version 0.16 is.
    """
    package = importlib.util.find_spec("larq_compute_engine")
    if package is None or not package.submodule_search_locations:
        raise ImportError("no module named larq_compute_engine")
    folder = os.path.join(next(iter(package.submodule_search_locations)), "mlir")
    for path in glob.glob(os.path.join(glob.escape(folder), f"{EXTENSION}*")):
        spec = importlib.util.spec_from_file_location(EXTENSION, path)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise ImportError(f"larq_compute_engine has no {EXTENSION} in {folder}")


def main(function: str, arguments_file: str, output: str) -> int:
    """Writes what a function of the converter gives; prints the cause and returns 1 if it fails.

    The arguments are JSON; `{"file": PATH}` stands for the bytes of a file.
    """
    arguments = [
        Path(argument["file"]).read_bytes() if isinstance(argument, dict) else argument
        for argument in json.loads(Path(arguments_file).read_text())
    ]
    try:
        content = getattr(load_converter(), function)(*arguments)
    except Exception as error:  # MLIR raises whatever comes up; the caller reports it
        print(error)
        return 1
    Path(output).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
