"""QONNX's own executor: `MODEL.onnx INPUTS.npy OUTPUT.npz`."""

import json
import sys

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

model_path, inputs_path, output_path = sys.argv[1:]
inputs = np.load(inputs_path)
results = {}
for label, model in (
    ("as_written", ModelWrapper(model_path)),
    ("cleaned_up", cleanup_model(ModelWrapper(model_path))),
):
    name = model.graph.input[0].name
    results[label] = np.concatenate(
        [next(iter(execute_onnx(model, {name: x[np.newaxis]}).values())) for x in inputs]
    )
np.savez(output_path, facts=json.dumps({}), **results)
