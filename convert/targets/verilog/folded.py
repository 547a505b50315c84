"""A network with a clock: layer after layer, PE outputs at once, SIMD inputs a cycle.

Each layer reads words of its input image from a memory, one word or part of a word a cycle, adds
the products to PE accumulators, and at the last word of a window compares them with their
thresholds. When all groups of outputs are through, it writes the pixel's bits to the next memory.
Reading takes a cycle, so weights and flags follow a cycle behind the address. Cycles of a layer:
pixels × outputs / PE × taps × channels / SIMD, and two more. PE and SIMD are FINN's terms.
"""

import math
from dataclasses import dataclass

from convert.targets.network import Window
from convert.targets.thresholds.network import (
    InputGrid,
    InputSigns,
    Layer,
    MaxPool,
    ThresholdNetwork,
)
from convert.targets.verilog import text

PE, SIMD = 4, 32
"""Outputs that a layer computes at once, and bits that it takes in a cycle, at most.

Each is rounded down to a divisor of the layer's outputs and channels.
"""


@dataclass(frozen=True)
class Folding:
    """How much of a layer is computed at once.

    Attributes:
        pe: Outputs, at most.
        simd: Bits of the input, at most.
    """

    pe: int = PE
    simd: int = SIMD


@dataclass(frozen=True)
class Words:
    """An image in a memory.

    Attributes:
        count: Its words.
        numbers: Numbers in a word: the channels of a pixel, or a part of a vector.
        bits: Of a number.
    """

    count: int
    numbers: int
    bits: int

    @property
    def width(self) -> int:
        """Bits of a word."""
        return self.numbers * self.bits

    @property
    def address_width(self) -> int:
        """Bits of an address."""
        return text.width_of(self.count - 1)


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
        part = _divisor(channels, self.folding.simd if bits == 1 else 1)
        return Words(channels // part, part, bits)

    def _stage(self, number: int, stage: Layer | MaxPool) -> None:
        source = self.memories[-1]
        module = text.module_name(self.name, number, stage)
        walk = _Walk(stage, source, self.folding)
        height, width, channels = stage.output_shape
        self.memories.append(Words(height * width, channels, 1))
        if isinstance(stage, MaxPool):
            self.modules.append(_pool_module(module, stage, walk))
        else:
            self.modules.append(_layer_module(self.name, module, stage, walk, self.grid))
        self.cycles.append(walk.steps + 2)

    def text(self) -> str:
        last = self.stages[-1]
        top = _top_module(self, last) if isinstance(last, Layer) else ""
        return text.HEADER + "".join([*self.modules, top])


def _divisor(count: int, most: int) -> int:
    """The largest divisor of a count that is at most `most`."""
    return max(d for d in range(1, most + 1) if count % d == 0)


class _Walk:
    """The order in which a stage reads words: pixels, taps, and parts of a word.

    A dense layer reads every word for its one output: a window over an image of one column.
    """

    def __init__(self, stage: Layer | MaxPool, source: Words, folding: Folding) -> None:
        self.source = source
        if isinstance(stage, Layer) and stage.is_dense:
            self.image = (source.count, 1)
            self.window = Window((source.count, 1), (1, 1))
            self.outputs = (1, 1)
        else:
            self.image = (stage.input_shape[0], stage.input_shape[1])
            self.window = stage.window
            self.outputs = (stage.output_shape[0], stage.output_shape[1])
        whole = isinstance(stage, MaxPool) or source.bits > 1
        self.part = source.numbers if whole else _divisor(source.numbers, folding.simd)
        self.parts = source.numbers // self.part
        self.taps = math.prod(self.window.size)
        channels = stage.output_shape[2]
        self.pe = channels if isinstance(stage, MaxPool) else _divisor(channels, folding.pe)
        self.groups = channels // self.pe
        self.steps = math.prod(self.outputs) * self.groups * self.taps * self.parts

    def counters(self) -> list[tuple[str, int]]:
        """The nested counters, the fastest first, and how far each goes."""
        (rows, columns), (height, width) = self.outputs, self.window.size
        every = [
            ("part", self.parts),
            ("tap_x", width),
            ("tap_y", height),
            ("group", self.groups),
            ("column", columns),
            ("row", rows),
        ]
        return [(name, count) for name, count in every if count > 1]


def _flow(walk: _Walk) -> tuple[list[str], list[str], list[str]]:
    """Declarations, the clocked body and the wires of a stage's counters."""
    counters = walk.counters()
    declared, resets, steps = [], [], []
    for name, count in counters:
        declared.append(f"  reg [{text.width_of(count - 1) - 1}:0] {name};")
        resets.append(f"{name} <= 0;")
    carry = ""
    for name, count in counters:
        width = text.width_of(count - 1)
        condition = f"if ({carry}) " if carry else ""
        wrap = f"{name} == {width}'d{count - 1}"
        steps.append(f"      {condition}{name} <= ({wrap}) ? {width}'d0 : {name} + {width}'d1;")
        carry = f"{carry} && {wrap}" if carry else wrap
    known = {name for name, _ in counters}

    def value(name: str) -> str:
        return name if name in known else "0"

    def ends(names: tuple[str, ...], last: bool) -> str:
        parts = [
            f"{name} == {text.width_of(count - 1)}'d{count - 1 if last else 0}"
            for name, count in counters
            if name in names
        ]
        return " && ".join(parts) or "1'b1"

    inner = ("part", "tap_x", "tap_y")
    (top, _), (left, _) = walk.window.pads
    height, width = walk.image
    (down, right), (step_y, step_x) = walk.window.strides, walk.window.dilations
    wires = [
        f"  wire signed [31:0] y = {value('row')} * {down} + {value('tap_y')} * {step_y} - {top};",
        f"  wire signed [31:0] x = "
        f"{value('column')} * {right} + {value('tap_x')} * {step_x} - {left};",
        f"  wire is_near = y >= 0 && y < {height} && x >= 0 && x < {width};",
        f"  wire first = {ends(inner, False)};",
        f"  wire last = {ends(inner, True)};",
        f"  wire whole = {ends((*inner, 'group'), True)};",
        f"  wire finish = {ends((*inner, 'group', 'column', 'row'), True)};",
        f"  assign address = y * {width} + x;",
    ]
    body = [
        "    if (rst || start) begin",
        *(f"      {line}" for line in resets),
        "    end else if (busy) begin",
        *steps,
        "    end",
    ]
    return declared, body, wires


def _control() -> list[str]:
    """The flags of a stage: busy while it reads, `ended` when its last word was written."""
    return [
        "  always @(posedge clk) begin",
        "    is_read <= busy && !rst && !start;",
        "    is_first <= first;",
        "    is_last <= last;",
        "    is_whole <= whole;",
        "    is_inside <= is_near;",
        "    is_end <= finish;",
        "    done <= is_read && is_end && !rst;",
        "    if (rst) busy <= 1'b0;",
        "    else if (start) busy <= 1'b1;",
        "    else if (finish) busy <= 1'b0;",
    ]


_FLAGS = [
    "  reg busy, is_read, is_first, is_last, is_whole, is_inside, is_end;",
    "  initial begin busy = 1'b0; is_read = 1'b0; done = 1'b0; write = 1'b0; end",
]


def _ports(module: str, walk: _Walk, written: str) -> list[str]:
    outputs = text.width_of(math.prod(walk.outputs) - 1)
    return [
        f"\nmodule {module} (",
        "  input clk, input rst, input start,",
        "  output reg done,",
        f"  output [{walk.source.address_width - 1}:0] address,",
        f"  input [{walk.source.width - 1}:0] word,",
        "  output reg write,",
        f"  output reg [{outputs - 1}:0] pixel,",
        f"  output reg {written} result",
        ");",
    ]


def _pool_module(module: str, stage: MaxPool, walk: _Walk) -> str:
    channels = stage.output_shape[2]
    declared, body, wires = _flow(walk)
    return "\n".join(
        [
            *_ports(module, walk, f"[{channels - 1}:0]"),
            *_FLAGS,
            *declared,
            *wires,
            f"  reg [{channels - 1}:0] any;",
            f"  wire [{channels - 1}:0] next = word | (is_first ? {channels}'d0 : any);",
            *_control(),
            *body,
            "    if (is_read) any <= next;",
            "    write <= is_read && is_whole;",
            "    result <= next;",
            *_pixel_counter(),
            "  end",
            "endmodule",
            "",
        ]
    )


def _pixel_counter() -> list[str]:
    return [
        "    if (rst || start) pixel <= 0;",
        "    else if (write) pixel <= pixel + 1'b1;",
    ]


def _layer_module(name: str, module: str, layer: Layer, walk: _Walk, grid: InputGrid) -> str:
    outputs, part, pe = len(layer.weights), walk.part, walk.pe
    is_integer = layer.reads == "integers"
    total = text.sum_width(layer, grid) if is_integer else text.width_of(layer.fan_in + 1)
    limits = text.limits(layer)
    width = 1 if limits is not None else total
    bits = walk.source.bits
    declared, body, wires = _flow(walk)
    rows = _rom_rows(layer, walk)
    index = text.width_of(len(rows) - 1)
    lines = [
        *_ports(module, walk, f"[{outputs * width - 1}:0]"),
        *_FLAGS,
        *declared,
        *wires,
        *_rom("rom", rows),
        f"  reg [{index - 1}:0] place;",
        f"  reg [{pe * part - 1}:0] weights;",
    ]
    clocked = [
        "    weights <= rom[place];",
        "    if (rst || start || (busy && whole)) place <= 0;",
        "    else if (busy) place <= place + 1'b1;",
    ]
    if limits is not None:
        literals = text.numbers(limits, total)
        groups = [literals[i : i + pe] for i in range(0, outputs, pe)]
        lines += [
            *_rom("limit_rom", [f"{{{', '.join(reversed(group))}}}" for group in groups]),
            f"  reg [{pe * total - 1}:0] limits;",
        ]
        clocked.append(f"    limits <= limit_rom[{'group' if walk.groups > 1 else '0'}];")
    chosen = "word"
    if walk.parts > 1:
        select = text.width_of(walk.parts - 1)
        lines += [
            f"  reg [{select - 1}:0] is_part;",
            f"  wire [{part * bits - 1}:0] chosen = word[is_part*{part * bits} +: {part * bits}];",
        ]
        clocked.append("    is_part <= part;")
        chosen = "chosen"
    outside = f"{{{part * bits}{{1'b{int(layer.pad_value > 0)}}}}}"
    lines += [
        f"  wire [{part * bits - 1}:0] taken = is_inside ? {chosen} : {outside};",
        f"  wire [{pe * width - 1}:0] compared;",
        "  genvar o;",
        *(["  genvar i;"] if is_integer else []),
        f"  generate for (o = 0; o < {pe}; o = o + 1) begin : channel",
        f"    reg [{total - 1}:0] sum;",
        f"    wire [{total - 1}:0] count;",
    ]
    if is_integer:
        lines += [
            f"    wire [{part * total - 1}:0] terms;",
            f"    for (i = 0; i < {part}; i = i + 1) begin : term",
            f"      wire signed [{total - 1}:0] q = $signed(taken[i*{bits} +: {bits}]);",
            f"      assign terms[i*{total} +: {total}] = weights[o*{part} + i] ? q : -q;",
            "    end",
            f"    {name}_total #(.N({part}), .W({total})) tree (.terms(terms), .total(count));",
        ]
    else:
        lines += [
            f"    {name}_popcount #(.N({part}), .W({total})) tree (",
            f"      .x(taken ~^ weights[o*{part} +: {part}]), .count(count)",
            "    );",
        ]
    signed = "$signed" if is_integer else ""
    verdict = (
        f"assign compared[o] = {signed}(next) >= {signed}(limits[o*{total} +: {total}]);"
        if limits is not None
        else f"assign compared[o*{total} +: {total}] = next;"
    )
    kept = f"{{compared, result[{outputs * width - 1}:{pe * width}]}}"
    lines += [
        f"    wire [{total - 1}:0] next = count + (is_first ? {total}'d0 : sum);",
        "    always @(posedge clk) if (is_read) sum <= next;",
        f"    {verdict}",
        "  end endgenerate",
        *_control(),
        *body,
        *clocked,
        "    write <= is_read && is_whole;",
        f"    if (is_read && is_last) result <= {kept if walk.groups > 1 else 'compared'};",
        *_pixel_counter(),
        "  end",
        "endmodule",
        "",
    ]
    return "\n".join(lines)


def _rom(name: str, rows: list[str]) -> list[str]:
    """A memory of constants."""
    width = rows[0].partition("'")[0]
    if rows[0].startswith("{"):
        width = str(sum(int(part.partition("'")[0]) for part in rows[0][1:-1].split(", ")))
    return [
        f"  reg [{width}-1:0] {name} [0:{len(rows) - 1}];",
        "  initial begin",
        *(f"    {name}[{i}] = {row};" for i, row in enumerate(rows)),
        "  end",
    ]


def _rom_rows(layer: Layer, walk: _Walk) -> list[str]:
    """The weights of each step: group after group, tap after tap, part after part."""
    steps = walk.taps * walk.parts
    signs = layer.weights.reshape(walk.groups, walk.pe, steps, walk.part) > 0
    rows = signs.transpose(0, 2, 1, 3).reshape(walk.groups * steps, -1)
    return [text.hexadecimal(row) for row in rows]


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
