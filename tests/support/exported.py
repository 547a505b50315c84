"""Networks that other frameworks exported: converted by the command, and run beside their answers.

A folder holds `data.npz` with `inputs`, and the framework's own answers to them, `outputs.npy`.
"""

import json

import numpy as np
from click.testing import CliRunner

from convert.__main__ import main
from convert.runtimes.lce_interpreter import LceInterpreter


def convert_exported(folder, source):
    """The layers of what the command makes of `source`, its outputs, and the framework's."""
    output, data = folder / "binary.tflite", folder / "data.npz"
    command = ["model", folder / source, "-o", output, "--no-delegate", "--verify-data", data]
    result = CliRunner().invoke(main, [str(part) for part in command])
    assert result.exit_code == 0, result.output
    layers = json.loads((folder / "binary.report.json").read_text())["layers"]
    (outputs,) = LceInterpreter(output.read_bytes()).run([np.load(data)["inputs"]])
    return layers, outputs, np.load(folder / "outputs.npy")
