"""The modules of a folded design's stages: a layer, a pooling."""

import math

from convert.targets.thresholds.network import InputGrid, Layer, MaxPool
from convert.targets.verilog import text
from convert.targets.verilog.walking import Walk


def _flow(walk: Walk) -> tuple[list[str], list[str], list[str]]:
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


def _ports(module: str, walk: Walk, written: str) -> list[str]:
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


def pool_module(module: str, stage: MaxPool, walk: Walk) -> str:
    """The module of a max-pooling of bits: their disjunction."""
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


def _channels(name: str, layer: Layer, walk: Walk, total: int, *, compares: bool) -> list[str]:
    """PE accumulators of `total` bits, and what each gives at a window's end.

    That is whether its sum reaches its limit, or the sum where the layer has none.
    """
    part, pe, bits = walk.part, walk.pe, walk.source.bits
    is_integer = layer.reads == "integers"
    width = 1 if compares else total
    lines = [
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
        if compares
        else f"assign compared[o*{total} +: {total}] = next;"
    )
    lines += [
        f"    wire [{total - 1}:0] next = count + (is_first ? {total}'d0 : sum);",
        "    always @(posedge clk) if (is_read) sum <= next;",
        f"    {verdict}",
        "  end endgenerate",
    ]
    return lines


def layer_module(name: str, module: str, layer: Layer, walk: Walk, grid: InputGrid) -> str:
    """The module of a layer: its weights in a memory, PE accumulators, its limits.

    Args:
        name: Of the design, whose popcount and adder tree the module uses.
        module: The module's name.
        layer: What it computes.
        walk: How it reads its input.
        grid: Of the input's integers.
    """
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
    ]
    lines += _channels(name, layer, walk, total, compares=limits is not None)
    kept = f"{{compared, result[{outputs * width - 1}:{pe * width}]}}"
    lines += [
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


def _rom_rows(layer: Layer, walk: Walk) -> list[str]:
    """The weights of each step: group after group, tap after tap, part after part."""
    steps = walk.taps * walk.parts
    signs = layer.weights.reshape(walk.groups, walk.pe, steps, walk.part) > 0
    rows = signs.transpose(0, 2, 1, 3).reshape(walk.groups * steps, -1)
    return [text.hexadecimal(row) for row in rows]
