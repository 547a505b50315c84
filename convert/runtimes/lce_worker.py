"""Runs Larq Compute Engine's converter in a separate process.

    python -m convert.runtimes.lce_worker FUNCTION ARGUMENTS.json OUTPUT.tflite

The converter is native code that crashes on some models: with constants over 2^25 weights, for
one.
"""

import json
import sys
from pathlib import Path

from convert.runtimes.lce_extension import load_extension

EXTENSION = "_tf_tfl_flatbuffer"


def main(function: str, arguments_file: str, output: str) -> int:
    """Writes what a function of the converter gives; prints the cause and returns 1 if it fails.

    The arguments are JSON; `{"file": PATH}` stands for the bytes of a file.
    """
    arguments = [
        Path(argument["file"]).read_bytes() if isinstance(argument, dict) else argument
        for argument in json.loads(Path(arguments_file).read_text())
    ]
    try:
        content = getattr(load_extension("mlir", EXTENSION), function)(*arguments)
    except Exception as error:  # MLIR raises whatever comes up; the caller reports it
        print(error)
        return 1
    Path(output).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
