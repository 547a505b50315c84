"""ONNX Runtime: `MODEL.onnx INPUTS.npy OUTPUT.npz`."""

import json
import sys

import numpy as np
import onnxruntime

model_path, inputs_path, output_path = sys.argv[1:]
session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
outputs = [session.run(None, {name: x[np.newaxis]})[0] for x in np.load(inputs_path)]
np.savez(output_path, facts=json.dumps({}), outputs=np.concatenate(outputs))
