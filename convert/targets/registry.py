"""The targets by name."""

import importlib

from convert.targets.target import Target

TARGETS = {
    "c": ("convert.targets.c.target", "C99 sources for microcontrollers (a folder)"),
    "tflm": ("convert.targets.tflm.target", "a model for TensorFlow Lite Micro (a folder)"),
    "c-array": ("convert.targets.c_array", "the file as a C header (.h)"),
    "qonnx": ("convert.targets.qonnx.target", "a QONNX file for FINN, hls4ml or others (.onnx)"),
    "qcdq": ("convert.targets.qonnx.qcdq_target", "an ONNX file for any ONNX runtime (.onnx)"),
    "verilog": (
        "convert.targets.verilog.target",
        "Verilog for any FPGA, with a test bench (a folder)",
    ),
    "npz": ("convert.targets.npz", "its packed weights as arrays (.npz)"),
}
"""Name → (the module that has it as `TARGET`, what `--help` says of it)."""


def load_target(name: str) -> Target:
    """A target; its module is imported now."""
    return importlib.import_module(TARGETS[name][0]).TARGET
