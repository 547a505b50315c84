"""`convert export --to verilog`: a folder with a design, its test bench and a page about both."""

from functools import partial

from convert.targets.qonnx.onnx_writer import identifier
from convert.targets.qonnx.target import grid_of
from convert.targets.reading import read_network
from convert.targets.refusals import refusal
from convert.targets.target import Export, Target
from convert.targets.thresholds.network import InputGrid, MaxPool, ThresholdNetwork
from convert.targets.thresholds.reading import threshold_network
from convert.targets.verilog.combinational import combinational_module
from convert.targets.verilog.folded import cycles, folded_module
from convert.targets.verilog.testbench import files_of
from convert.targets.verilog.walking import PE, SIMD, Folding
from onebit.errors import UsageError
from onebit.own_folders import require_own_folder, write_folder


def verilog_files(
    content: bytes,
    name: str,
    style: str = "folded",
    grid: InputGrid | None = None,
    folding: Folding | None = None,
) -> dict[str, str]:
    """The files of a design by their names.

    Args:
        content: The `.tflite` file.
        name: Of the top module and its file.
        style: "folded", layer after layer with a clock, or "combinational".
        grid: The integers that it reads; 8 bits in steps of 1/128 when absent.
        folding: How much of a layer a folded design computes at once.

    Raises:
        ConversionError: The network has no such design.
    """
    network = threshold_network(read_network(content, name), grid)
    _check(network)
    is_folded = style == "folded"
    return {
        f"{name}.v": folded_module(name, network, folding)
        if is_folded
        else combinational_module(name, network),
        **files_of(name, network, style),
        "README.md": _page(name, network, cycles(network, folding) if is_folded else None),
    }


def _check(network: ThresholdNetwork) -> None:
    for stage in network.stages:
        if isinstance(stage, MaxPool) and stage.window.is_padded:
            raise refusal(stage.name, "it pools over the border", "pool without padding")
    last = network.stages[-1]
    if last is not network.layers[-1] or network.layers[-1].thresholds is not None:
        raise refusal(last.name, "the network ends in bits", "end it with a layer without a sign")
    if last.output_shape[:2] != (1, 1):
        raise refusal(
            last.name,
            f"the output is an image of {last.output_shape[0]}×{last.output_shape[1]} pixels",
            "end the network with a dense layer",
        )


def _page(name: str, network: ThresholdNetwork, count: int | None) -> str:
    layers = "".join(
        f"| {stage.name} | {'×'.join(map(str, stage.input_shape))} | "
        f"{'×'.join(map(str, stage.output_shape))} |\n"
        for stage in network.stages
    )
    time = (
        "Outputs follow the inputs without a clock."
        if count is None
        else f"An image takes {count:,} cycles."
    )
    steps = ", then ".join(
        {"mul": "times", "add": "plus", "sub": "minus"}.get(step.op, step.op)
        + " "
        + (f"{step.operand[0]:.9g}" if (step.operand == step.operand[0]).all() else "a row each")
        for step in network.float_steps
    )
    return f"""# {name}

A binary network in plain Verilog-2005, written by `onebit convert export --to verilog`.
{time}

| layer | reads | gives |
|---|---|---|
{layers}
Inputs are {network.grid.bits}-bit integers in steps of {network.grid.scale:g}, in the order rows,
columns, channels.
The network's outputs are the sums{f", {steps}" if steps else ""}.

    iverilog -g2005 -o {name}.vvp {name}.v {name}_tb.v && vvp {name}.vvp   # prints PASS
    verilator --binary --timing -Wno-WIDTH -Wno-UNSIGNED --top-module {name}_tb {name}.v {name}_tb.v
    obj_dir/V{name}_tb   # the same, faster; Verilator 5
    yosys -p "read_verilog {name}.v; synth_ice40 -top {name}; stat"
"""


def _write(export: Export) -> str:
    style = export.options.style or "folded"
    name = identifier(export.options.name or export.path.name)
    options = export.options
    for option, value in (("--pe", options.pe), ("--simd", options.simd)):
        if value is not None and style != "folded":
            raise UsageError(f"{option} has no effect with --style combinational")
    folding = Folding(options.pe or PE, options.simd or SIMD)
    files = verilog_files(export.content, name, style, grid_of(export), folding)
    write_folder(export.path, files, target="verilog")
    return f"{len(files)} files; try: cd {export.shown} && iverilog -g2005 -o {name}.vvp " + (
        f"{name}.v {name}_tb.v && vvp {name}.vvp"
    )


TARGET = Target(
    _write,
    partial(require_own_folder, target="verilog"),
    None,
    ("name", "input_bits", "input_scale", "style", "pe", "simd"),
)
