"""TensorFlow Lite Micro, from its wheel: `MODEL.tflite INPUTS.npy OUTPUT.npz`."""

import json
import sys

import numpy as np
from tflite_micro import runtime

model_path, inputs_path, output_path = sys.argv[1:]
with open(model_path, "rb") as file:
    interpreter = runtime.Interpreter.from_bytes(file.read(), arena_size=64 << 20)
outputs = []
for sample in np.load(inputs_path):
    interpreter.set_input(sample[np.newaxis], 0)
    interpreter.invoke()
    outputs.append(interpreter.get_output(0).copy())
np.savez(output_path, facts=json.dumps({}), outputs=np.concatenate(outputs))
