"""A network without a clock: every product is a wire, every sum a tree of adders."""

import numpy as np

from convert.targets.refusals import refusal
from convert.targets.thresholds.network import (
    InputGrid,
    InputSigns,
    Layer,
    MaxPool,
    Shape,
    Stage,
    ThresholdNetwork,
)
from convert.targets.verilog import text

MOST_PRODUCTS = 4_000_000
"""More than a million LUTs, and hours of synthesis."""


def combinational_module(name: str, network: ThresholdNetwork) -> str:
    """The Verilog of a network whose outputs follow its inputs.

    Ports: `image`, all integers side by side; `sums`, the last layer's; and where one scale stands
    behind them, `label`, the largest sum's index.

    Raises:
        ConversionError: The network has more products than any FPGA has LUTs.
    """
    products = sum(stage.fan_in * int(np.prod(stage.output_shape)) for stage in network.layers)
    if products > MOST_PRODUCTS:
        raise refusal(
            None,
            f"{products:,} products at once are more than the {MOST_PRODUCTS:,} that fit an FPGA",
            "use --style folded",
        )
    return _Top(name, network).text()


class _Top:
    """Writes the modules of layers, then the module that joins them."""

    def __init__(self, name: str, network: ThresholdNetwork) -> None:
        self.name, self.network, self.grid = name, network, network.grid
        self.modules: list[str] = []
        self.lines: list[str] = []

    def text(self) -> str:
        network, last = self.network, self.network.layers[-1]
        first = network.stages[0].input_shape
        width = text.sum_width(last, self.grid)
        outputs = int(np.prod(last.output_shape))
        ports = [
            f"input [{_size(first) * self.grid.bits - 1}:0] image",
            f"output [{outputs * width - 1}:0] sums",
        ]
        value = "image"
        for number, stage in enumerate(network.stages):
            value = self._stage(number, stage, value)
        self.lines.append(f"  assign sums = {value};")
        if network.has_one_scale:
            labels = text.width_of(outputs - 1)
            ports.append(f"output [{labels - 1}:0] label")
            self.modules.append(text.largest(self.name, outputs, width, labels))
            self.lines.append(f"  {self.name}_largest find (.sums(sums), .label(label));")
        joined = ",\n  ".join(ports)
        body = "\n".join(self.lines)
        top = f"\nmodule {self.name} (\n  {joined}\n);\n{body}\nendmodule\n"
        return text.HEADER + "".join([*self.modules, top])

    def _stage(self, number: int, stage: Stage, value: str) -> str:
        result = f"value_{number}"
        if isinstance(stage, InputSigns):
            size, bits = _size(stage.input_shape), self.grid.bits
            self.lines.append(f"  wire [{size - 1}:0] {result};")
            self.lines += [
                f"  assign {result}[{i}] = ~{value}[{(i + 1) * bits - 1}];" for i in range(size)
            ]
        elif isinstance(stage, MaxPool):
            self._pool(stage, value, result)
        elif isinstance(stage, Layer):
            self._layer(number, stage, value, result)
        return result

    def _layer(self, number: int, layer: Layer, value: str, result: str) -> None:
        module = text.module_name(self.name, number, layer)
        self.modules.append(_layer_module(module, layer, self.grid))
        outputs = len(layer.weights)
        width = text.sum_width(layer, self.grid) if layer.thresholds is None else 1
        height, columns, _ = layer.output_shape
        self.lines.append(f"  wire [{height * columns * outputs * width - 1}:0] {result};")
        unit = self.grid.bits if layer.reads == "integers" else 1
        for pixel, taps in enumerate(_windows(layer)):
            window = _joined(value, taps, layer.weights.shape[3] * unit, layer.pad_value)
            low = pixel * outputs * width
            target = f"{result}[{low + outputs * width - 1}:{low}]"
            self.lines.append(f"  {module} {result}_{pixel} (.x({window}), .y({target}));")

    def _pool(self, stage: MaxPool, value: str, result: str) -> None:
        channels = stage.output_shape[2]
        self.lines.append(f"  wire [{_size(stage.output_shape) - 1}:0] {result};")
        for pixel, taps in enumerate(_windows(stage)):
            parts = [_slice(value, tap, channels) for tap in taps if tap is not None]
            low = pixel * channels
            self.lines.append(
                f"  assign {result}[{low + channels - 1}:{low}] = {' | '.join(parts)};"
            )


def _size(shape: Shape) -> int:
    return int(np.prod(shape))


def _windows(stage: Layer | MaxPool) -> list[list[int | None]]:
    """For each output pixel the input pixel under each tap; None outside the image."""
    height, width, _ = stage.input_shape
    rows, columns, _ = stage.output_shape
    window = stage.window
    (top, _), (left, _) = window.pads
    found = []
    for row in range(rows):
        for column in range(columns):
            taps: list[int | None] = []
            for y in range(window.size[0]):
                for x in range(window.size[1]):
                    r = row * window.strides[0] + y * window.dilations[0] - top
                    c = column * window.strides[1] + x * window.dilations[1] - left
                    inside = 0 <= r < height and 0 <= c < width
                    taps.append(r * width + c if inside else None)
            found.append(taps)
    return found


def _slice(value: str, pixel: int, width: int) -> str:
    return f"{value}[{(pixel + 1) * width - 1}:{pixel * width}]"


def _joined(value: str, taps: list[int | None], width: int, outside: int) -> str:
    """The window's numbers in one vector, the first tap in the lowest bits."""
    padding = f"{{{width}{{1'b{int(outside > 0)}}}}}"
    parts = [padding if tap is None else _slice(value, tap, width) for tap in reversed(taps)]
    return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"


def _layer_module(module: str, layer: Layer, grid: InputGrid) -> str:
    """One pixel's outputs, from the numbers under its window.

    A function adds up, which simulators run fast and synthesis turns into a tree of adders. Weights
    are constants of each output: XNOR with them is a wire or an inverter.
    """
    outputs, fan_in = len(layer.weights), layer.fan_in
    is_integer = layer.reads == "integers"
    width = text.sum_width(layer, grid)
    unit = grid.bits if is_integer else 1
    limits = text.limits(layer)
    counts = width if is_integer else text.width_of(fan_in + 1)
    result = 1 if limits is not None else width
    signed = "signed " if is_integer else ""
    lines = [
        f"\nmodule {module} (",
        f"  input [{fan_in * unit - 1}:0] x,",
        f"  output [{outputs * result - 1}:0] y",
        ");",
        f"  function {signed}[{counts - 1}:0] total;",
        f"    input [{fan_in * unit - 1}:0] values;",
        *([f"    input [{fan_in - 1}:0] weights;"] if is_integer else []),
        "    integer i;",
        "    begin",
        "      total = 0;",
        f"      for (i = 0; i < {fan_in}; i = i + 1)",
    ]
    if is_integer:
        value = f"$signed(values[i*{unit} +: {unit}])"
        lines += [
            f"        if (weights[i]) total = total + {value};",
            f"        else total = total - {value};",
        ]
    else:
        lines.append("        total = total + values[i];")
    lines += ["    end", "  endfunction"]
    weights = layer.weights.reshape(outputs, -1) > 0
    for output, row in enumerate(weights):
        literal = text.hexadecimal(row)
        call = f"total(x, {literal})" if is_integer else f"total(x ~^ {literal})"
        if limits is not None:
            (limit,) = text.numbers(limits[output : output + 1], counts)
            limit = f"$signed({limit})" if is_integer else limit
            lines.append(f"  assign y[{output}] = {call} >= {limit};")
            continue
        low = output * width
        lines += [
            f"  wire {signed}[{counts - 1}:0] total_{output} = {call};",
            f"  assign y[{low + width - 1}:{low}] = "
            + (f"total_{output};" if is_integer else f"{{total_{output}, 1'b0}} - {fan_in};"),
        ]
    return "\n".join([*lines, "endmodule", ""])
