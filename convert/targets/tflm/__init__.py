"""`--to tflm`: a file for TensorFlow Lite Micro, with what a firmware registers for it.

`decode.py` gives ±1 weights to TFLM's own operator DECODE; `project.py` writes the folder, with a
C++ shim of the kernels of `--to c` for the operators that are binary.
"""
