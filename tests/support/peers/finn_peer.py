"""FINN's own steps up to hardware nodes and estimates, and its Python execution of them.

    finn_peer.py MODEL.onnx INPUTS.npy OUTPUT.npz [TOP_K] [CYCLES …]

OUTPUT.npz holds what the hardware nodes compute; with TOP_K = 1 a LabelSelect ends the network.
For each number of cycles that a frame may take, FINN chooses a folding and estimates resources.
PyTorch and the simulator's library are stubs: none of these steps calls them.
"""

import copy
import json
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np


class _Stub(types.ModuleType):
    """A module that has every name."""

    __path__ = ()
    Tensor = type("Tensor", (), {})

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


for _name in ("torch", "torch.nn", "torch.nn.functional", "brevitas", "brevitas.export"):
    sys.modules[_name] = _Stub(_name)
sys.modules["finn.xsi"] = _Stub("finn.xsi")

from finn.util.settings import initialize_dummy_settings  # noqa: E402

initialize_dummy_settings()

from finn.builder import build_dataflow_steps as steps  # noqa: E402
from finn.builder.build_dataflow_config import (  # noqa: E402
    DataflowBuildConfig,
    DataflowOutputType,
)
from qonnx.core.modelwrapper import ModelWrapper  # noqa: E402
from qonnx.core.onnx_exec import execute_onnx  # noqa: E402
from qonnx.transformation.infer_data_layouts import InferDataLayouts  # noqa: E402
from qonnx.transformation.infer_shapes import InferShapes  # noqa: E402
from qonnx.transformation.insert_topk import InsertTopK  # noqa: E402
from qonnx.transformation.make_input_chanlast import MakeInputChannelsLast  # noqa: E402

PART = "xc7z020clg400-1"  # Pynq-Z1 and -Z2
CLOCK_NS = 10.0


def configuration(**settings):
    return DataflowBuildConfig(
        output_dir=str(Path.cwd()),
        synth_clk_period_ns=CLOCK_NS,
        fpga_part=PART,
        generate_outputs=[DataflowOutputType.ESTIMATE_REPORTS],
        **settings,
    )


def execute(model, inputs):
    name = model.graph.input[0].name
    return np.concatenate(
        [next(iter(execute_onnx(model, {name: x[np.newaxis]}).values())) for x in inputs]
    )


def nodes(model):
    return [[node.op_type, node.domain] for node in model.graph.node]


def estimate(model, cycles):
    """FINN's figures for a folding of at most that number of cycles a frame, at 100 MHz."""
    clock_hz = 1e9 / CLOCK_NS
    settings = configuration(target_fps=int(clock_hz / cycles))
    for step in (
        steps.step_specialize_layers,
        steps.step_target_fps_parallelization,
        steps.step_apply_folding_config,
        steps.step_minimize_bit_width,
        steps.step_generate_estimate_reports,
    ):
        model = step(model, settings)
    reports = Path.cwd() / "report"
    resources = json.loads((reports / "estimate_layer_resources.json").read_text())
    performance = json.loads((reports / "estimate_network_performance.json").read_text())
    return {"cycles_asked": cycles, "resources": resources["total"], "performance": performance}


model_path, inputs_path, output_path, *options = sys.argv[1:]
top_k, cycles = int(options[0]) if options else 0, [int(text) for text in options[1:]]
inputs = np.load(inputs_path)
model = ModelWrapper(model_path)
settings = configuration()
model = steps.step_qonnx_to_finn(model, settings)
if top_k:
    model = model.transform(InsertTopK()).transform(InferShapes())
model = steps.step_tidy_up(model, settings)
model = steps.step_streamline(model, settings)
if inputs.ndim == 4:
    model = model.transform(InferDataLayouts()).transform(MakeInputChannelsLast())
    model = model.transform(InferDataLayouts())
    inputs = inputs.transpose(0, 2, 3, 1)
results = {"streamlined": execute(model, inputs)}
model = steps.step_convert_to_hw(model, settings)
results["hardware"] = execute(model, inputs)
facts = {"nodes": nodes(model), "estimates": []}
for count in cycles:
    facts["estimates"].append(estimate(copy.deepcopy(model), count))
np.savez(output_path, facts=json.dumps(facts), **results)
