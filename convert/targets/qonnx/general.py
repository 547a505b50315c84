"""Any network of a converted file as ONNX, operator by operator.

Images are `[N, C, H, W]`, as ONNX has them: every tensor of rank 4 is held in that order, and
transposed where a Reshape or a dense layer reads its numbers in the file's order. Bits are float32
±1. Constants keep the file's rounding: LCE's sums are scaled as LCE scales them.

int8 numbers `scale·(q − zero_point)` are held as the real numbers that they stand for, rounded to
such ones behind every operator that computes others. Weights are 8-bit constants, or ±1 and one
scale; sums are float32, so that one which is halfway between two integers may be rounded to the
other.
"""

import numpy as np

from convert.targets.network import (
    Activation,
    BinaryConv,
    BinaryMaxPool,
    Concat,
    Conv,
    Dense,
    DepthwiseConv,
    Elementwise,
    Mean,
    Network,
    Operator,
    Pad,
    Pool,
    Prelu,
    Quantization,
    Rescale,
    Reshape,
    SignBits,
    SignValues,
    Softmax,
    Unary,
)
from convert.targets.qonnx.layer_writing import LayerWriting
from convert.targets.qonnx.onnx_writer import OnnxWriter
from convert.targets.qonnx.quantizers import Quantizers
from convert.targets.qonnx.writing import TO_FIRST, first, window_attributes
from convert.targets.reading import real_values, sign_values
from convert.targets.refusals import refusal, require_images

_ELEMENTWISE = {
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "MAXIMUM": "Max",
    "MINIMUM": "Min",
}
_UNARY = {
    "LOGISTIC": "Sigmoid",
    "TANH": "Tanh",
    "ABS": "Abs",
    "NEG": "Neg",
    "SQRT": "Sqrt",
    "EXP": "Exp",
}
_CLAMPS: dict[str, Activation] = {
    "RELU": "relu",
    "RELU6": "relu6",
    "RELU_N1_TO_1": "relu_n1_to_1",
}


def write_network(
    network: Network, quantizers: Quantizers, writer: OnnxWriter
) -> tuple[list[str], list[str]]:
    """Writes the network and returns the names of its inputs and outputs.

    Raises:
        ConversionError: An operator has no counterpart.
    """
    require_images(network)
    for operator in network.operators:
        for index in (*operator.inputs, operator.output):
            value = network.values[index]
            if value.dtype not in ("float32", "int8", "bits"):
                raise refusal(
                    operator,
                    f"{value.name} is {value.dtype}, and only float32, int8 and bits are exported",
                    "leave the operator out of the model",
                )
    return _NetworkWriting(network, quantizers, writer).write()


class _NetworkWriting(LayerWriting):
    """Writes operator by operator."""

    def write(self) -> tuple[list[str], list[str]]:
        network = self.network
        names = dict(zip(network.inputs, network.input_names, strict=True))
        inputs = []
        for index, name in names.items():
            shape = first(network.values[index].shape)
            inputs.append(self.writer.input(name, shape))
            self.tensors[index] = self._rounded(index, inputs[-1], name)
        for operator in network.operators:
            tensor = self._operator(operator)
            if not _keeps_integers(network, operator):
                # The file's own names of roundings are the converter's, not a layer's.
                is_input = isinstance(operator, Rescale) and operator.inputs[0] in names
                name = names[operator.inputs[0]] if is_input else operator.name
                tensor = self._rounded(operator.output, tensor, name)
            self.tensors[operator.output] = tensor
        outputs = []
        for index, name in zip(network.outputs, network.output_names, strict=True):
            shape = first(network.values[index].shape)
            outputs.append(self.writer.node("Identity", [self._tensor(index)], name, shape))
        return inputs, outputs

    def _operator(self, operator: Operator) -> str:
        match operator:
            case SignBits():
                shape = self._shape(operator)
                return self.quantizers.sign(
                    self.writer, self._input(operator), f"{operator.name}_sign", shape
                )
            case SignValues():
                return self._sign_values(operator)
            case Rescale():
                return self._input(operator)
            case BinaryConv():
                return self._binary_conv(operator)
            case Conv() | DepthwiseConv():
                return self._conv(operator)
            case Dense():
                return self._dense(operator)
            case BinaryMaxPool() | Pool():
                return self._pool(operator)
            case Elementwise():
                kind = _ELEMENTWISE[operator.op]
                operands = [self._operand(operator, index) for index in operator.inputs]
                tensor = self._node(operator, kind, operands)
                return self._clamp(operator, tensor, operator.activation)
            case Unary():
                return self._unary(operator)
            case Prelu():
                alpha = real_values(operator.alpha, operator.alpha_quantization)
                slopes = self._aligned(operator, alpha)
                slope = self.writer.constant(f"{operator.name}_slopes", slopes)
                return self._node(operator, "PRelu", [self._input(operator), slope])
            case Concat():
                return self._concat(operator)
            case Pad():
                return self._pad(operator)
            case Reshape():
                return self._reshape(operator)
            case Softmax():
                return self._softmax(operator)
            case Mean():
                return self._mean(operator)
        raise refusal(operator, "it has no counterpart among the exported operators")

    def _sign_values(self, operator: SignValues) -> str:
        """±1; of int8, `zero_point ± round(1/scale)`."""
        value, tensor = self.network.output_of(operator), self._input(operator)
        if value.quantization is None:
            return tensor
        signs = sign_values(np.array([1, -1], np.float32), value)
        high, low = (float(v) for v in real_values(signs, value.quantization))
        if high != -low:
            raise refusal(
                operator,
                f"its ±1 are {high:g} and {low:g}, saturated integers",
                "convert the model without --int8",
            )
        factor = self.writer.constant(f"{operator.name}_one", high)
        return self._node(operator, "Mul", [tensor, factor])

    def _pool(self, operator: BinaryMaxPool | Pool) -> str:
        average = isinstance(operator, Pool) and operator.kind == "average"
        attributes = window_attributes(operator.window)
        dilations = attributes.pop("dilations")
        if dilations != [1, 1]:
            raise refusal(operator, "it pools with dilation")
        if average:
            attributes["count_include_pad"] = 0
        kind = "AveragePool" if average else "MaxPool"
        tensor = self._node(operator, kind, [self._input(operator)], **attributes)
        activation = operator.activation if isinstance(operator, Pool) else "none"
        return self._clamp(operator, tensor, activation)

    def _pad(self, operator: Pad) -> str:
        pads = operator.pads
        if len(pads) == 4:
            pads = tuple(pads[axis] for axis in TO_FIRST)
        amounts = [before for before, _ in pads] + [after for _, after in pads]
        source, outside = self.network.input_of(operator), np.array(operator.value)
        value = float(real_values(outside, source.quantization))
        return self._padded(operator, self._input(operator), amounts, value, self._shape(operator))

    def _unary(self, operator: Unary) -> str:
        tensor = self._input(operator)
        if operator.op in _CLAMPS:
            return self._clamp(operator, tensor, _CLAMPS[operator.op])
        if operator.op == "LEAKY_RELU":
            return self._node(operator, "LeakyRelu", [tensor], alpha=operator.alpha)
        if operator.op == "HARD_SWISH":
            # ONNX has it from opset 14 on: x·max(0, min(1, x/6 + 1/2)).
            gate = self._node(operator, "HardSigmoid", [tensor], alpha=1 / 6, beta=0.5)
            return self._node(operator, "Mul", [tensor, gate])
        if operator.op not in _UNARY:
            raise refusal(operator, "it has no counterpart among the exported operators")
        return self._node(operator, _UNARY[operator.op], [tensor])

    def _softmax(self, operator: Softmax) -> str:
        tensor = self._input(operator)
        if operator.beta != 1:
            beta = self.writer.constant(f"{operator.name}_beta", operator.beta)
            tensor = self._node(operator, "Mul", [tensor, beta])
        axis = 1 if len(self._shape(operator)) == 4 else -1
        return self._node(operator, "Softmax", [tensor], axis=axis)

    def _mean(self, operator: Mean) -> str:
        source = self.network.input_of(operator).shape
        axes, tensor = operator.axes, self._input(operator)
        if len(source) == 4 and (operator.keep_dims or axes == (1, 2)):
            axes = tuple(TO_FIRST.index(axis) for axis in axes)
        elif len(source) == 4:
            tensor = self._file_order(operator, tensor, source)
        return self._node(
            operator, "ReduceMean", [tensor], axes=sorted(axes), keepdims=int(operator.keep_dims)
        )

    def _concat(self, operator: Concat) -> str:
        axis = operator.axis
        if len(self._shape(operator)) == 4:
            axis = TO_FIRST.index(axis)
        parts = [self._operand(operator, index) for index in operator.inputs]
        tensor = self._node(operator, "Concat", parts, axis=axis)
        return self._clamp(operator, tensor, operator.activation)

    def _reshape(self, operator: Reshape) -> str:
        source = self.network.input_of(operator).shape
        target = self.network.output_of(operator).shape
        tensor = self._file_order(operator, self._input(operator), source)
        tensor = self._reshaped(operator, tensor, target)
        return self._onnx_order(operator, tensor, target)


def _keeps_integers(network: Network, operator: Operator) -> bool:
    """Whether its results are int8 numbers of the file already."""
    written = network.output_of(operator).quantization
    if isinstance(operator, SignValues):
        return True
    is_move = isinstance(operator, BinaryMaxPool | Concat | Pad | Reshape)
    if isinstance(operator, Pool) and operator.kind == "max":
        is_move = operator.activation == "none"
    if isinstance(operator, Concat) and operator.activation != "none":
        return False
    read = [network.values[index].quantization for index in operator.inputs]
    return is_move and all(_are_equal(steps, written) for steps in read)


def _are_equal(one: Quantization | None, other: Quantization | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(
        np.array_equal(one.scale, other.scale) and np.array_equal(one.zero_point, other.zero_point)
    )
