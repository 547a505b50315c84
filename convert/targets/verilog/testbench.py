"""A test bench with recorded inputs and the sums and classes that must come out."""

import numpy as np
from numpy.typing import NDArray

from convert.targets.thresholds.execution import last_sums, run
from convert.targets.thresholds.network import ThresholdNetwork
from convert.targets.verilog import text

SAMPLES = 8
SEED = 1


def recorded_inputs(network: ThresholdNetwork) -> NDArray[np.int64]:
    """Images of integers `[N, D]`: the least, the largest, zeros, and random ones."""
    grid = network.grid
    size = int(np.prod(network.stages[0].input_shape))
    values = np.random.default_rng(SEED).integers(grid.least, grid.largest + 1, (SAMPLES, size))
    values[0], values[1], values[2] = grid.least, grid.largest, 0
    return values


class Expected:
    """The outputs for recorded inputs: sums `[N, O]`, and classes `[N]` where there are any."""

    def __init__(self, network: ThresholdNetwork, inputs: NDArray[np.int64]) -> None:
        self.sums = last_sums(network, inputs).reshape(len(inputs), -1)
        outputs = run(network, inputs).reshape(len(inputs), -1)
        self.labels = outputs.argmax(1) if network.has_one_scale else None


def hex_file(values: NDArray[np.int64], width: int) -> str:
    """Lines that `$readmemh` reads, in two's complement."""
    digits = -(-width // 4)
    lines = (f"{int(v) % (1 << width):0{digits}x}" for v in values.reshape(-1))
    return "\n".join(lines) + "\n"


def files_of(name: str, network: ThresholdNetwork, style: str) -> dict[str, str]:
    """The test bench and its recorded samples by their names."""
    inputs = recorded_inputs(network)
    expected = Expected(network, inputs)
    width = text.sum_width(network.layers[-1], network.grid)
    found = {
        f"{name}_tb.v": _bench(name, network, inputs, expected, style),
        "inputs.hex": hex_file(inputs, network.grid.bits),
        "sums.hex": hex_file(expected.sums, width),
    }
    if expected.labels is not None:
        found["labels.hex"] = hex_file(expected.labels, _label_width(expected))
    return found


def _label_width(expected: Expected) -> int:
    return text.width_of(expected.sums.shape[1] - 1)


def _bench(
    name: str,
    network: ThresholdNetwork,
    inputs: NDArray[np.int64],
    expected: Expected,
    style: str,
) -> str:
    count, size = inputs.shape
    outputs = expected.sums.shape[1]
    bits, width = network.grid.bits, text.sum_width(network.layers[-1], network.grid)
    labels = _label_width(expected)
    has_labels = expected.labels is not None
    declared = [
        f"  reg [{bits - 1}:0] inputs [0:{count * size - 1}];",
        f"  reg [{width - 1}:0] sums [0:{count * outputs - 1}];",
        *([f"  reg [{labels - 1}:0] labels [0:{count - 1}];"] if has_labels else []),
        "  integer sample, i, errors;",
    ]
    read = [
        '    $readmemh("inputs.hex", inputs);',
        '    $readmemh("sums.hex", sums);',
        *(['    $readmemh("labels.hex", labels);'] if has_labels else []),
        "    errors = 0;",
    ]
    check_label = [
        "      if (label !== labels[sample]) begin",
        "        errors = errors + 1;",
        '        $display("sample %0d: label %0d, not %0d", sample, label, labels[sample]);',
        "      end",
    ]
    write = _combinational if style == "combinational" else _folded
    body = write(name, size, outputs, bits, width, labels if has_labels else None)
    check = check_label if has_labels else []
    return text.HEADER + "\n".join(
        [
            f"module {name}_tb;",
            *declared,
            *body.declared,
            "  initial begin",
            *read,
            *body.before,
            f"    for (sample = 0; sample < {count}; sample = sample + 1) begin",
            *body.sample,
            *check,
            "    end",
            *body.after,
            f'    if (errors == 0) $display("PASS: {count} samples");',
            '    else $display("FAIL: %0d errors", errors);',
            "    $finish;",
            "  end",
            "endmodule",
            "",
        ]
    )


class _Body:
    """The parts of a test bench that depend on the design's ports."""

    def __init__(
        self, declared: list[str], before: list[str], sample: list[str], after: list[str]
    ) -> None:
        self.declared, self.before, self.sample, self.after = declared, before, sample, after


def _compared(found: str, outputs: int) -> list[str]:
    return [
        f"        if ({found} !== sums[sample*{outputs} + i]) begin",
        "          errors = errors + 1;",
        f'          $display("sample %0d, output %0d: %0h, not %0h", sample, i, {found},',
        f"            sums[sample*{outputs} + i]);",
        "        end",
    ]


def _combinational(
    name: str, size: int, outputs: int, bits: int, width: int, labels: int | None
) -> _Body:
    ports = [".image(image)", ".sums(found)", *([".label(label)"] if labels else [])]
    return _Body(
        [
            f"  reg [{size * bits - 1}:0] image, next;",
            f"  wire [{outputs * width - 1}:0] found;",
            *([f"  wire [{labels - 1}:0] label;"] if labels else []),
            f"  {name} dut ({', '.join(ports)});",
        ],
        [],
        [
            f"      for (i = 0; i < {size}; i = i + 1)",
            f"        next[i*{bits} +: {bits}] = inputs[sample*{size} + i];",
            # At once: Verilator 5.006 does not see that a part of it changes.
            "      image = next;",
            "      #1;",
            f"      for (i = 0; i < {outputs}; i = i + 1)",
            *_compared(f"found[i*{width} +: {width}]", outputs),
        ],
        [],
    )


def _folded(name: str, size: int, outputs: int, bits: int, width: int, labels: int | None) -> _Body:
    index = text.width_of(outputs - 1)
    ports = [
        *(".clk(clk)", ".rst(rst)", ".valid(valid)", ".data(data)", ".ready(ready)"),
        *(".done(done)", ".index(index)", ".sum(sum)"),
        *([".label(label)"] if labels else []),
    ]
    return _Body(
        [
            "  reg clk, rst, valid;",
            f"  reg [{bits - 1}:0] data;",
            "  wire ready, done;",
            f"  reg [{index - 1}:0] index;",
            f"  wire signed [{width - 1}:0] sum;",
            *([f"  wire [{labels - 1}:0] label;"] if labels else []),
            "  integer cycles;",
            f"  {name} dut ({', '.join(ports)});",
            "  initial clk = 1'b0;",
            "  always #5 clk = ~clk;",
        ],
        [
            "    rst = 1'b1; valid = 1'b0; index = 0; data = 0; cycles = 0;",
            "    repeat (2) @(negedge clk);",
            "    rst = 1'b0;",
        ],
        [
            "      cycles = 0;",
            f"      for (i = 0; i < {size}; i = i + 1) begin",
            "        valid = 1'b1;",
            f"        data = inputs[sample*{size} + i];",
            "        @(negedge clk) cycles = cycles + 1;",
            "      end",
            "      valid = 1'b0;",
            "      while (!done) @(negedge clk) cycles = cycles + 1;",
            f"      for (i = 0; i < {outputs}; i = i + 1) begin",
            "        index = i;",
            "        #1;",
            *_compared("sum", outputs),
            "      end",
            "      @(negedge clk);",
        ],
        ['    $display("%0d cycles a sample", cycles);'],
    )
