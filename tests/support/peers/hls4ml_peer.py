"""hls4ml's C simulation, compiled with g++: `MODEL.onnx INPUTS.npy OUTPUT.npz [PRECISION]`."""

import json
import sys

import hls4ml
import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

model_path, inputs_path, output_path, *precision = sys.argv[1:]
model = ModelWrapper(model_path)
config = hls4ml.utils.config.config_from_onnx_model(
    model,
    granularity="name",
    backend="Vitis",
    default_precision=precision[0] if precision else "fixed<32,16>",
)
is_image = len(model.get_tensor_shape(model.graph.input[0].name)) == 4
network = hls4ml.converters.convert_from_onnx_model(
    model,
    output_dir="project",
    backend="Vitis",
    io_type="io_stream" if is_image else "io_parallel",
    hls_config=config,
)
network.compile()
inputs = np.ascontiguousarray(np.load(inputs_path), np.float32)
facts = {"layers": [type(layer).__name__.removeprefix("Vitis") for layer in network.get_layers()]}
outputs = np.asarray(network.predict(inputs)).reshape(len(inputs), -1)
np.savez(output_path, facts=json.dumps(facts), outputs=outputs)
