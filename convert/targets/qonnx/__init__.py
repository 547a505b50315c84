"""ONNX files: QONNX for FINN, for hls4ml and in general, and QCDQ for plain ONNX runtimes."""
