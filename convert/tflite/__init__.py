"""The `.tflite` file as a graph: tensors, operators, filters."""
