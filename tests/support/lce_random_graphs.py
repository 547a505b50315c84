"""Random graphs of all operators that the delegate claims, and of some that lie beside them.

A graph is drawn from a number alone. Its floats are small multiples of powers of two, so that
float32 rounds nowhere and every runtime gives the same bits, whatever it merges and in whatever
order it adds.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable

import numpy as np

from onebit.bits import pack

from .lce_graphs import ABSENT, Graph, schema
from .lce_interpreter import InexactError, UnfitError, evaluate, read_options

MOST_ELEMENTS = 1 << 14  # of a tensor, to be fast


@dataclasses.dataclass
class Case:
    """A graph and inputs for it.

    Attributes:
        seed: The number that it was drawn from.
        graph: The graph.
        inputs: Its inputs.
        outputs: Its outputs.
        model: The file.
        runs: Arrays for the inputs and what the outputs are, for the shapes in the file, then for
            others.
    """

    seed: int
    graph: Graph
    inputs: list[int]
    outputs: list[int]
    model: bytes
    runs: list[tuple[list[np.ndarray], list[np.ndarray]]]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: inputs {self.inputs}, outputs {self.outputs}"]
        for op in self.graph.graph.operators:
            code = self.graph.model.operatorCodes[op.opcodeIndex]
            name = code.customCode or NAMES[code.builtinCode]
            shapes = ", ".join(f"{i} {self.graph.shape(i)}" for i in op.inputs if i != ABSENT)
            out = op.outputs[0]
            lines.append(f"  {name} {shapes} -> {out} {self.graph.shape(out)}")
        lines += [f"  run with {[x.shape for x in inputs]}" for inputs, _ in self.runs]
        return "\n".join(lines)


NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}


def draw(seed: int, neighbours: bool = False) -> Case:
    """The case of a number.

    Args:
        seed: The number.
        neighbours: Whether to also draw operators that no target but LiteRT takes.
    """
    for attempt in range(100):
        try:
            return Drawing(np.random.default_rng([seed, attempt]), neighbours).case(seed)
        except (InexactError, UnfitError):
            continue
    raise AssertionError(f"no graph can be drawn from {seed}")


class Drawing:
    """A graph while it is drawn."""

    def __init__(self, rng: np.random.Generator, neighbours: bool = False):
        self.rng, self.g, self.neighbours = rng, Graph(), neighbours
        self.floats: list[int] = []  # tensors that may be read
        self.bits: list[tuple[int, int]] = []  # words and their channels
        self.others: list[int] = []  # int8 and bool
        self.inputs: list[int] = []
        self.fixed_size = False  # a layer needs the height and width of the file

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *choices):
        return choices[int(self.rng.integers(len(choices)))]

    def channel_count(self) -> int:
        if self.chance(0.7):
            return self.pick(8, 31, 32, 33, 40, 64, 65, 96)
        return int(self.rng.integers(1, 131))

    # Constants.

    def scales(self, count: int) -> np.ndarray:
        signs = self.rng.choice([-1, 1], count)
        values = signs * 2.0 ** self.rng.integers(-3, 1, count)
        values[self.rng.random(count) < 0.05] = 0
        return values.astype(np.float32)

    def offsets(self, count: int) -> np.ndarray:
        return (self.rng.integers(-16, 17, count) / 4).astype(np.float32)

    def signs(self, *shape: int) -> np.ndarray:
        return self.rng.choice([-1, 1], shape)

    def channel_constant(self, values: np.ndarray, rank: int) -> int:
        """One value a channel, or one for all, of some rank."""
        if self.chance(0.2):
            values = values[:1]
        shape = self.pick([], [1], [1] * rank) if values.size == 1 else [values.size]
        if values.size > 1 and self.chance(0.3):
            shape = [1] * (rank - 1) + shape
        return self.g.constant(values.reshape(shape))

    # Inputs.

    def image(self) -> int:
        shape = [int(self.pick(1, 1, 1, 2, 3)), *map(int, self.rng.integers(1, 9, 2))]
        kind = self.rng.integers(0, 8)
        shape.append(self.channel_count())
        if kind == 0:
            x = self.g.tensor(shape, np.int8, scale=0.5, zero_point=int(self.pick(0, 5, -128, 127)))
            self.others.append(x)
        elif kind == 1:
            x = self.g.tensor(shape, np.bool_)
            self.others.append(x)
        else:
            x = self.g.tensor(shape)
            self.floats.append(x)
        self.inputs.append(x)
        return x

    # Steps: each adds operators and returns whether it could.

    def float_value(self) -> int | None:
        """A float tensor, mostly a recent one."""
        if not self.floats:
            return None
        back = min(int(self.rng.geometric(0.5)), len(self.floats))
        return self.floats[-back]

    def binary_value(self) -> tuple[int, int] | None:
        """Words and their channels, mostly of a recent float."""
        if self.bits and self.chance(0.4):
            return self.bits[-1 - int(self.rng.integers(len(self.bits)))]
        return self.quantized()

    def quantized(self) -> tuple[int, int] | None:
        sources = [x for x in [*self.others, *self.floats[-3:]] if self.g.shape(x)]
        if not sources:
            return None
        source = sources[int(self.rng.integers(len(sources)))]
        found = self.g.quantize(source), self.g.shape(source)[-1]
        self.bits.append(found)
        return found

    def keep(self, tensor: int) -> int:
        if int(np.prod(self.g.shape(tensor))) > MOST_ELEMENTS:
            raise UnfitError
        self.floats.append(tensor)
        return tensor

    def convolution(self, value, outputs=None, out_type=np.float32, plain=False) -> int:
        """LceBconv2d; `plain` keeps height and width."""
        bits, channels = value
        _, height, width, words = self.g.shape(bits)
        outputs = outputs or self.channel_count()
        kernel = self.pick((1, 1), (3, 3), (3, 3), (1, 3), (2, 1), (5, 5))
        options = {"pad_values": self.pick(0, 1, 1), "activation": self.pick(0, 0, 0, 1, 2, 3)}
        groups = 1
        if not plain:
            options["stride"] = self.pick((1, 1), (1, 1), (2, 2), (1, 2), (3, 1))
            options["dilation"] = self.pick((1, 1), (1, 1), (1, 1), (2, 2), (1, 2))
            reach = [(k - 1) * d + 1 for k, d in zip(kernel, options["dilation"], strict=True)]
            options["same"] = self.chance(0.7) or reach[0] > height or reach[1] > width
            if channels % 32 == 0 and words > 1 and self.chance(0.3):
                groups = self.pick(*[n for n in range(2, words + 1) if words % n == 0])
                outputs = -(-outputs // groups) * groups
        depth = channels // groups
        filters = self.signs(outputs, *kernel, depth)
        if out_type == np.int32:
            middle, spread = kernel[0] * kernel[1] * depth // 2, 8
            options["thresholds"] = self.rng.integers(middle - spread, middle + spread, outputs)
        else:
            options["scale"], options["bias"] = self.scales(outputs), self.offsets(outputs)
        if out_type == np.int8:
            options["quantization"] = {"scale": 0.5, "zero_point": int(self.pick(0, -7, 100))}
        return self.g.bconv(bits, filters, channels_in=channels, out_type=out_type, **options)

    def image_bits(self):
        value = self.binary_value()
        return value if value and len(self.g.shape(value[0])) == 4 else None

    def step_convolution(self) -> bool:
        value = self.image_bits()
        if value is None:
            return False
        kind = self.rng.integers(0, 6)
        if kind == 0:
            outputs = self.channel_count()
            groups_of_words = self.convolution(value, outputs, np.int32, plain=True)
            self.bits.append((groups_of_words, outputs))
        elif kind == 1:
            self.others.append(self.convolution(value, out_type=np.int8))
        else:
            self.keep(self.convolution(value))
        return True

    def step_sum(self) -> bool:
        """A sum of two to five tensors of one shape, in any nesting."""
        base = self.float_value()
        if base is None or len(self.g.shape(base)) != 4:
            return False
        shape = self.g.shape(base)
        operands = [base] + [x for x in self.floats if self.g.shape(x) == shape and x != base]
        bits = self.g.quantize(base)
        self.bits.append((bits, shape[-1]))
        for _ in range(int(self.rng.integers(1, 4))):
            operands.append(self.convolution((bits, shape[-1]), shape[-1], plain=True))
            if self.chance(0.3):
                self.floats.append(operands[-1])
        chosen = [operands[i] for i in self.rng.permutation(len(operands))]
        chosen = chosen[: int(self.rng.integers(2, 6))]
        if self.chance(0.15):
            chosen.append(chosen[0])
        while len(chosen) > 1:
            i = int(self.rng.integers(len(chosen)))
            a = chosen.pop(i)
            j = int(self.rng.integers(len(chosen)))
            pair = (a, chosen[j]) if self.chance(0.5) else (chosen[j], a)
            chosen[j] = self.g.add(*pair, self.pick(0, 0, 0, 1, 2, 3))
            if self.chance(0.2):
                self.keep(chosen[j])
        self.keep(chosen[0])
        return True

    def step_broadcast(self) -> bool:
        """A convolution and an ADD of another shape, whose rows or channels repeat."""
        value = self.image_bits()
        if value is None:
            return False
        conv = self.convolution(value)
        shape = self.g.shape(conv)
        small = [n if self.chance(0.5) else 1 for n in shape]
        small = small[int(self.rng.integers(0, 4)) :] if self.chance(0.3) else small
        if small[:3] == shape[:3] and len(small) == 4:
            small[int(self.rng.integers(0, 3))] = 1
        # Sizes of the image would not change with it.
        if any(n != 1 for n in small[-3:-1]):
            self.fixed_size = True
        other = self.g.tensor(small)
        self.inputs.append(other)
        pair = (conv, other) if self.chance(0.5) else (other, conv)
        self.keep(self.g.add(*pair, self.pick(0, 1)))
        return True

    def step_normalisation(self) -> bool:
        """One to four MULs and ADDs of constants, in any order."""
        value = self.float_value()
        if value is None:
            return False
        for _ in range(int(self.rng.integers(1, 5))):
            shape = self.g.shape(value)
            multiplies = self.chance(0.5)
            values = (self.scales if multiplies else self.offsets)(shape[-1])
            constant = self.channel_constant(values, len(shape))
            pair = (value, constant) if self.chance(0.7) else (constant, value)
            operation = self.g.multiply if multiplies else self.g.add
            value = operation(*pair, self.pick(0, 0, 0, 0, 1, 3))
            if self.chance(0.1):
                self.keep(value)
        self.keep(value)
        return True

    def step_concatenation(self) -> bool:
        """Two to seven tensors side by side, some of them twice, or concatenations themselves."""
        base = self.float_value()
        if base is None:
            return False
        shape = self.g.shape(base)
        parts = [x for x in self.floats if self.g.shape(x)[:-1] == shape[:-1]]
        if len(shape) == 4:
            bits = self.g.quantize(base)
            for _ in range(int(self.rng.integers(1, 3))):
                parts.append(self.convolution((bits, shape[-1]), plain=True))
                if self.chance(0.5):
                    self.floats.append(parts[-1])
        count = int(self.rng.integers(2, 5)) if self.chance(0.9) else 7
        chosen = [parts[int(i)] for i in self.rng.integers(0, len(parts), count)]
        self.keep(self.g.concatenate(chosen, self.pick(-1, len(shape) - 1)))
        return True

    def step_pool(self) -> bool:
        value = self.float_value()
        if value is None or len(self.g.shape(value)) != 4:
            return False
        _, height, width, _ = self.g.shape(value)
        window = tuple(int(n) for n in self.rng.integers(1, 4, 2))
        same = self.chance(0.6) or window[0] > height or window[1] > width
        stride = self.pick((1, 1), (2, 2), (1, 2))
        self.keep(self.g.max_pool(value, window, stride, same, self.pick(0, 0, 1, 3)))
        return True

    def step_binary_pool(self) -> bool:
        value = self.image_bits()
        if value is None:
            return False
        bits, channels = value
        _, height, width, _ = self.g.shape(bits)
        window = tuple(int(n) for n in self.rng.integers(1, 4, 2))
        same = self.chance(0.6) or window[0] > height or window[1] > width
        pooled = self.g.max_pool_bits(bits, window, self.pick((1, 1), (2, 2), (1, 2)), same)
        self.bits.append((pooled, channels))
        return True

    def step_dequantize(self) -> bool:
        value = self.binary_value()
        if value is None:
            return False
        kind = self.rng.integers(0, 4)
        if kind == 0:
            scale, zero = float(self.pick(1.0, 0.25, 0.02)), int(self.pick(0, 5, -100))
            tensor = self.g.dequantize(*value, np.int8, scale=scale, zero_point=zero)
            self.others.append(tensor)
        elif kind == 1:
            self.others.append(self.g.dequantize(*value, np.bool_))
        else:
            self.keep(self.g.dequantize(*value))
        return True

    def step_foreign(self) -> bool:
        """An operator of the interpreter's between those of the delegate."""
        value = self.float_value()
        if value is None:
            return False
        other = self.float_value()
        if self.g.shape(other) == self.g.shape(value) and self.chance(0.3):
            self.keep(self.g.multiply(value, other))
        else:
            self.keep(self.g.relu(value))
        return True

    def step_neighbour(self) -> bool:
        """Another operator of the interpreter's, which not every target takes."""
        int8 = [x for x in self.others if self.g.graph.tensors[x].type == schema.TensorType.INT8]
        if int8 and self.chance(0.5):
            self.keep(self.g.dequantize_int8(self.pick(*int8)))
            return True
        value = self.float_value()
        kinds = self.padded, self.parted, self.flattened, self.compared
        return value is not None and self.pick(*kinds)(value)

    def compared(self, value: int) -> bool:
        """A SUB or MAXIMUM of two values, or of one with itself."""
        shape = self.g.shape(value)
        other = self.pick(*(x for x in self.floats if self.g.shape(x) == shape))
        if self.chance(0.5):
            self.keep(self.g.maximum(value, other))
        else:
            self.keep(self.g.subtract(value, other, self.pick(0, 0, 1, 3)))
        return True

    def padded(self, value: int) -> bool:
        size = len(self.g.shape(value)) - 2
        pads = [tuple(map(int, self.rng.integers(0, 3, 2))) for _ in range(size)]
        self.keep(self.g.pad(value, [(0, 0), *pads, (0, 0)]))
        return True

    def parted(self, value: int) -> bool:
        """An operator of several outputs, some of which nobody may read."""
        channels = self.g.shape(value)[-1]
        parts = [n for n in (2, 3, 4) if channels % n == 0]
        if not parts:
            return False
        for part in self.g.split(value, self.pick(*parts)):
            self.keep(part)
        return True

    def flattened(self, value: int) -> bool:
        """A RESHAPE of an image to one row, or to another rank."""
        shape = self.g.shape(value)
        if len(shape) != 4:
            return False
        self.fixed_size = True
        pixels, channels = shape[1] * shape[2], shape[3]
        wanted = self.pick([1, pixels, channels], [pixels, channels])
        reshaped = self.g.reshape(value, [-1, *wanted])
        self.g.graph.tensors[reshaped].shape = [shape[0], *wanted]
        self.keep(reshaped)
        return True

    def weights(self, *shape: int) -> int:
        """The LceDequantize of a packed filter, perhaps packed flat."""
        signs = self.signs(*shape)
        if self.neighbours and self.chance(0.1):  # not packed: the layer is the interpreter's
            return self.g.constant(signs.astype(np.float32))
        if len(shape) == 4 and self.chance(0.4):
            flat = signs.reshape(shape[0], -1)
            unpacked = self.g.dequantize(self.g.constant(pack(flat)), flat.shape[1])
            return self.g.reshape(unpacked, shape)
        return self.g.dequantize(self.g.constant(pack(signs)), shape[-1])

    def bias(self, outputs: int) -> int:
        return self.g.constant(self.offsets(outputs) * self.pick(0, 0, 1))

    def step_weight_only(self) -> bool:
        """A layer with binary weights, and MULs and ADDs of constants after it."""
        value = self.float_value()
        if value is None:
            return False
        shape = self.g.shape(value)
        activation = self.pick(0, 0, 0, 1)
        if len(shape) != 4 or self.chance(0.3):
            value = self.dense(value, activation)
        else:
            value = self.float_convolution(value, activation)
        if self.chance(0.1):
            self.keep(value)
        for _ in range(int(self.rng.integers(0, 4))):
            multiplies, size = self.chance(0.5), self.g.shape(value)
            values = (self.scales if multiplies else self.offsets)(size[-1])
            constant = self.channel_constant(values, len(size))
            value = (self.g.multiply if multiplies else self.g.add)(
                value, constant, self.pick(0, 0, 0, 1)
            )
        self.keep(value)
        return True

    def dense(self, value: int, activation: int) -> int:
        shape, outputs = self.g.shape(value), int(self.pick(1, 10, 33, 70))
        keep_dims, image = self.chance(0.3), int(np.prod(shape[1:]))
        depth = shape[-1]
        if not keep_dims and self.chance(0.5):  # it flattens, whole images or parts of them
            depth = self.pick(*[d for d in range(1, min(image, 1200) + 1) if image % d == 0])
            self.fixed_size = True
        bias = self.bias(outputs) if self.chance(0.5) else ABSENT
        weights = self.weights(outputs, depth)
        return self.g.dense(value, weights, bias, activation=activation, keep_dims=keep_dims)

    def float_convolution(self, value: int, activation: int) -> int:
        _, height, width, channels = self.g.shape(value)
        kernel = self.pick((1, 1), (3, 3), (1, 3), (2, 2))
        dilation = self.pick((1, 1), (1, 1), (2, 1))
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        options = {
            "stride": self.pick((1, 1), (1, 1), (2, 2)),
            "dilation": dilation,
            "same": self.chance(0.7) or reach[0] > height or reach[1] > width,
            "activation": activation,
        }
        if options["dilation"] != (1, 1):  # some of TensorFlow's kernels refuse both
            options["stride"] = (1, 1)
        if self.chance(0.3):
            outputs = channels * self.pick(1, 1, 2, 3)
            weights = self.weights(1, *kernel, outputs)
            return self.g.conv(value, weights, self.bias(outputs), depthwise=True, **options)
        outputs, groups = self.channel_count(), 1
        if self.chance(0.4):
            groups = self.pick(*[n for n in range(1, channels + 1) if channels % n == 0][:6])
            outputs = -(-outputs // groups) * groups
        weights = self.weights(outputs, *kernel, channels // groups)
        return self.g.conv(value, weights, self.bias(outputs), **options)

    STEPS: tuple[tuple[int, Callable[["Drawing"], bool]], ...] = (
        (5, step_convolution),
        (6, step_sum),
        (1, step_broadcast),
        (4, step_normalisation),
        (4, step_concatenation),
        (3, step_pool),
        (1, step_binary_pool),
        (2, step_dequantize),
        (2, step_foreign),
        (3, step_weight_only),
    )
    NEIGHBOURS = ((6, step_neighbour),)

    # The case.

    def step(self) -> None:
        """Adds the operators of a random step."""
        steps = self.STEPS + (self.NEIGHBOURS if self.neighbours else ())
        weights = np.array([weight for weight, _ in steps], float)
        index = int(self.rng.choice(len(steps), p=weights / weights.sum()))
        steps[index][1](self)

    def case(self, seed: int) -> Case:
        self.image()
        for _ in range(int(self.rng.integers(1, 7))):
            self.step()
        outputs = self.choose_outputs()
        runs = [self.run(self.example([self.g.shape(x) for x in self.inputs]), outputs)]
        runs += self.other_runs(outputs)
        model = self.g.build(self.inputs, outputs)
        return Case(seed, self.g, self.inputs, outputs, model, runs)

    def choose_outputs(self) -> list[int]:
        """All tensors that are not read, and some of the rest."""
        read = {i for op in self.g.graph.operators for i in op.inputs}
        written = [i for op in self.g.graph.operators for i in op.outputs]
        if not written:
            raise UnfitError
        constant = {i for i in written if self.is_weights(i)}
        outputs = [i for i in written if i not in read and i not in constant]
        outputs += [i for i in written if i in read and i not in constant and self.chance(0.12)]
        return [outputs[int(i)] for i in self.rng.permutation(len(outputs))]

    def is_weights(self, tensor: int) -> bool:
        """Whether a tensor is computed from constants only."""
        for op in self.g.graph.operators:
            if tensor in op.outputs:
                return all(i == ABSENT or self.is_weights(i) for i in op.inputs)
        return bool(self.g.graph.tensors[tensor].buffer)

    def example(self, shapes) -> list[np.ndarray]:
        found = []
        for tensor, shape in zip(self.inputs, shapes, strict=True):
            kind = self.g.graph.tensors[tensor].type
            if kind == schema.TensorType.INT8:
                found.append(self.rng.integers(-128, 128, shape).astype(np.int8))
            elif kind == schema.TensorType.BOOL:
                found.append(self.rng.random(shape) < 0.5)
            else:
                found.append((self.rng.integers(-20, 21, shape) / 4).astype(np.float32))
        return found

    def run(self, arrays, outputs) -> tuple[list[np.ndarray], list[np.ndarray]]:
        values = evaluate(self.g, dict(zip(self.inputs, arrays, strict=True)))
        return arrays, [values[i] for i in outputs]

    def other_runs(self, outputs):
        """Another number of images, and perhaps another size of them."""
        first = self.inputs[0]
        batch, *size, channels = self.g.shape(first)
        wanted = [int(self.rng.integers(0, 6)), *size, channels]
        if not self.fixed_size and self.chance(0.5):
            wanted[1:3] = [n + int(self.rng.integers(0, 4)) for n in size]
        shapes = [wanted]
        for tensor in self.inputs[1:]:
            shape = self.g.shape(tensor)
            if len(shape) == 4 and shape[0] == batch and batch > 1:
                shape[0] = wanted[0]
            shapes.append(shape)
        try:
            return [self.run(self.example(shapes), outputs)]
        except UnfitError:
            return []


def _shares_memory(case: Case) -> bool:
    """Whether another operator reads what a RESHAPE does."""
    operators = case.graph.graph.operators
    readers = Counter(int(index) for op in operators for index in op.inputs)
    return any(
        case.graph.model.operatorCodes[op.opcodeIndex].builtinCode == schema.BuiltinOperator.RESHAPE
        and readers[int(op.inputs[0])] > 1
        for op in operators
    )


def lce_options(case: Case) -> dict[str, bool] | None:
    """With what LCE's own interpreter runs the graph in the shapes of the file, or None.

    It refuses zero padding with a fused activation or another output than floats, and its default
    kernel refuses groups. Its correction of the padding is wrong for windows as large as the image.
    Behind a RESHAPE it writes sums over products that others still read (`run_cases.run_options`).
    """
    if _shares_memory(case):
        return None
    grouped = padded = False
    for op in case.graph.graph.operators:
        if case.graph.model.operatorCodes[op.opcodeIndex].customCode != "LceBconv2d":
            continue
        options = read_options(op)
        words, filters = case.graph.shape(op.inputs[0]), case.graph.shape(op.inputs[1])
        grouped |= filters[3] != words[3]
        if options["padding"] != 0 or options["pad_values"] != 0:
            continue
        padded = True
        dilation = (options["dilation_height_factor"], options["dilation_width_factor"])
        reach = [(k - 1) * d + 1 for k, d in zip(filters[1:3], dilation, strict=True)]
        floats = case.graph.graph.tensors[op.outputs[0]].type == schema.TensorType.FLOAT32
        fits = all(r < n for r, n in zip(reach, words[1:3], strict=True))
        if not floats or options["fused_activation_function"] or not fits:
            return None
    if grouped and padded:
        return None
    return {"use_indirect_bgemm": True} if grouped else {}
