"""A network with a clock: layer after layer, PE outputs at once, SIMD inputs a cycle.

Each layer reads words of its input image from a memory, one word or part of a word a cycle, adds
the products to PE accumulators, and at the last word of a window compares them with their
thresholds. When all groups of outputs are through, it writes the pixel's bits to the next memory.
Reading takes a cycle, so weights and flags follow a cycle behind the address. Cycles of a layer:
pixels × outputs / PE × taps × channels / SIMD, and two more. PE and SIMD are FINN's terms.
"""

import math

from convert.targets.thresholds.network import InputSigns, Layer, MaxPool, ThresholdNetwork
from convert.targets.verilog import text
from convert.targets.verilog.stages import layer_module, pool_module
from convert.targets.verilog.walking import Folding, Walk, Words, divisor


def folded_module(name: str, network: ThresholdNetwork, folding: Folding | None = None) -> str:
    """The Verilog of a network that takes a number a cycle and reports when it is done.

    Ports: `clk`, `rst`; `valid` with `data`, the image's integers in the order rows, columns,
    channels, taken while `ready`; `done` until the next image begins; `label`, where one scale
    stands behind the sums; `sum`, that of the output `index`.
    """
    return _Design(name, network, folding or Folding()).text()


def cycles(network: ThresholdNetwork, folding: Folding | None = None) -> int:
    """Clock cycles from the first number of an image to `done`."""
    design = _Design("network", network, folding or Folding())
    return math.prod(network.stages[0].input_shape) + sum(design.cycles) + 1


class _Design:
    """Writes a module for each stage, then the module that joins them."""

    def __init__(self, name: str, network: ThresholdNetwork, folding: Folding) -> None:
        self.name, self.network, self.grid = name, network, network.grid
        self.folding = folding
        stages = list(network.stages)
        self.only_signs = isinstance(stages[0], InputSigns)
        self.stages = [s for s in stages if isinstance(s, Layer | MaxPool)]
        self.memories = [self._input_words()]
        self.cycles: list[int] = []
        self.modules = [text.popcount(name), text.adder_tree(name)]
        for number, stage in enumerate(self.stages):
            self._stage(number, stage)

    def _input_words(self) -> Words:
        first = self.stages[0]
        height, width, channels = first.input_shape
        bits = 1 if self.only_signs else self.grid.bits
        if height * width > 1:
            return Words(height * width, channels, bits)
        part = divisor(channels, self.folding.simd if bits == 1 else 1)
        return Words(channels // part, part, bits)

    def _stage(self, number: int, stage: Layer | MaxPool) -> None:
        source = self.memories[-1]
        module = text.module_name(self.name, number, stage)
        walk = Walk(stage, source, self.folding)
        height, width, channels = stage.output_shape
        self.memories.append(Words(height * width, channels, 1))
        if isinstance(stage, MaxPool):
            self.modules.append(pool_module(module, stage, walk))
        else:
            self.modules.append(layer_module(self.name, module, stage, walk, self.grid))
        self.cycles.append(walk.steps + 2)

    def text(self) -> str:
        last = self.stages[-1]
        top = _top_module(self, last) if isinstance(last, Layer) else ""
        return text.HEADER + "".join([*self.modules, top])


def _top_module(design: _Design, last: Layer) -> str:
    name, grid, source = design.name, design.grid, design.memories[0]
    outputs = len(last.weights)
    total = (
        text.sum_width(last, grid) if last.reads == "integers" else text.width_of(last.fan_in + 1)
    )
    width = text.sum_width(last, grid)
    index = text.width_of(outputs - 1)
    count = source.count * source.numbers
    has_label = design.network.has_one_scale
    taken = f"~data[{grid.bits - 1}]" if design.only_signs else "data"
    lines = [
        f"\nmodule {name} (",
        "  input clk, input rst,",
        f"  input valid, input [{grid.bits - 1}:0] data, output ready,",
        "  output reg done,",
        *([f"  output [{index - 1}:0] label,"] if has_label else []),
        f"  input [{index - 1}:0] index, output signed [{width - 1}:0] sum",
        ");",
        f"  reg [{text.width_of(count) - 1}:0] loaded;",
        f"  reg [{source.address_width - 1}:0] load_address;",
        "  reg start_0, running;",
        "  initial begin loaded = 0; load_address = 0; start_0 = 0; running = 0; done = 0; end",
        "  assign ready = !running;",
        "  wire take = valid && ready && !rst;",
        f"  wire [{source.bits - 1}:0] number = {taken};",
    ]
    lines += _loading(source, count)
    memory = "memory_0"
    for number, stage in enumerate(design.stages):
        start = f"done_{number - 1}" if number else "start_0"
        read, written = design.memories[number], design.memories[number + 1]
        is_last = number == len(design.stages) - 1
        result = outputs * total if is_last else written.width
        lines += [
            f"  wire done_{number}, write_{number};",
            f"  wire [{read.address_width - 1}:0] address_{number};",
            f"  wire [{written.address_width - 1}:0] pixel_{number};",
            f"  wire [{result - 1}:0] result_{number};",
            f"  reg [{read.width - 1}:0] word_{number};",
            f"  always @(posedge clk) word_{number} <= {memory}[address_{number}];",
            f"  {text.module_name(name, number, stage)} stage_{number} (",
            f"    .clk(clk), .rst(rst), .start({start}), .done(done_{number}),",
            f"    .address(address_{number}), .word(word_{number}),",
            f"    .write(write_{number}), .pixel(pixel_{number}), .result(result_{number})",
            "  );",
        ]
        if not is_last:
            memory = f"memory_{number + 1}"
            lines += [
                f"  reg [{written.width - 1}:0] {memory} [0:{written.count - 1}];",
                "  always @(posedge clk)",
                f"    if (write_{number}) {memory}[pixel_{number}] <= result_{number};",
            ]
    end = len(design.stages) - 1
    lines += [
        f"  reg [{outputs * total - 1}:0] counts;",
        f"  always @(posedge clk) if (write_{end}) counts <= result_{end};",
        "  always @(posedge clk)",
        "    if (rst || take) done <= 1'b0;",
        f"    else if (done_{end}) done <= 1'b1;",
        "  always @(posedge clk)",
        "    if (rst) running <= 1'b0;",
        f"    else if (take && loaded == {count - 1}) running <= 1'b1;",
        f"    else if (done_{end}) running <= 1'b0;",
        f"  wire [{total - 1}:0] count = counts[index*{total} +: {total}];",
    ]
    if last.reads == "integers":
        lines.append("  assign sum = count;")
    else:
        lines += [
            f"  wire signed [{width - 1}:0] twice = {{count, 1'b0}};",
            f"  assign sum = twice - {last.fan_in};",
        ]
    extra = ""
    if has_label:
        # Counts are unsigned: a zero in front makes them signed numbers.
        is_signed = last.reads == "integers"
        padded = total if is_signed else total + 1
        zero = "" if is_signed else "1'b0, "
        parts = [
            f"{{{zero}counts[{(o + 1) * total - 1}:{o * total}]}}" for o in reversed(range(outputs))
        ]
        lines += [
            f"  {name}_largest find (.sums({{{', '.join(parts)}}}), .label(label));",
        ]
        extra = text.largest(name, outputs, padded, index)
    return extra + "\n".join([*lines, "endmodule", ""])


def _loading(source: Words, count: int) -> list[str]:
    """Collects numbers to words and writes them to the first memory."""
    lines = [f"  reg [{source.width - 1}:0] memory_0 [0:{source.count - 1}];"]
    word, full = "number", "1'b1"
    if source.numbers > 1:
        rest, place = source.width - source.bits, text.width_of(source.numbers - 1)
        keep = f"waiting[{rest - 1}:{source.bits}]" if rest > source.bits else ""
        lines += [
            f"  reg [{rest - 1}:0] waiting;",
            f"  reg [{place - 1}:0] place;",
            "  initial place = 0;",
            f"  wire full = place == {source.numbers - 1};",
            "  always @(posedge clk)",
            "    if (rst) place <= 0;",
            "    else if (take) begin",
            f"      waiting <= {{number{', ' + keep if keep else ''}}};",
            "      place <= full ? 0 : place + 1'b1;",
            "    end",
        ]
        word, full = "{number, waiting}", "full"
    lines += [
        "  always @(posedge clk) begin",
        f"    start_0 <= take && loaded == {count - 1};",
        f"    if (take && {full}) memory_0[load_address] <= {word};",
        "    if (rst) begin loaded <= 0; load_address <= 0; end",
        "    else if (take) begin",
        f"      loaded <= loaded == {count - 1} ? 0 : loaded + 1'b1;",
        f"      if ({full}) load_address <= load_address == {source.count - 1} ? 0 : "
        "load_address + 1'b1;",
        "    end",
        "  end",
    ]
    return lines
