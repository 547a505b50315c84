"""The inputs of layers with quantized inputs, recorded in Keras and found in the file.

Keras runs eagerly, and while it does, each quantizer records its inputs: that works for nested,
shared and subclassed layers too, which have no tensor in the model's graph. In the
file, the tensors that hold the quantized inputs become further outputs: bits, packed or unpacked,
whatever operator the layer has become, or the steps of a multi-bit quantizer.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.layer_graph import POOLS, LayerGraph, nested_models
from convert.keras_model.quantizer_steps import step_range, steps_of
from convert.keras_model.two_levels import levels_of
from convert.tflite.filters import binary_filter_shape
from convert.tflite.graph import Graph
from convert.tflite.moves import PADS
from convert.verification.comparison import largest_finite
from convert.verification.layer_matching import fingerprint, layers_by_filter, signs_of
from onebit import bits
from onebit.keras import keras, tf

_MOVES = (
    *("RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "PAD", "PADV2", "MUL"),
    *("SPACE_TO_BATCH_ND", "LceDequantize"),
)
"""Operators that may stand between a quantizer and its layer in the file."""

_BEHIND_ROUND = (*_MOVES, "ADD", "MAXIMUM", "MINIMUM", "RELU")
"""Those that may stand behind the rounding of several bits: they cut numbers off and move zero."""


@dataclass
class Probe:
    """A layer whose quantized inputs are known on both sides.

    Attributes:
        layer: The Keras layer.
        tensors: The file's tensors of packed bits, one for each use of the layer.
        channels: How many bits they hold along the last dimension.
        sign: The function that quantizes the layer's inputs; takes pre-activations `[n, …]`.
        between: Layers that move or pick numbers between the sign and the layer.
        recorded: The pre-activations of the last run, one `[n, …]` per use, moved as `between`
            does.
        compared: Whether the last run could be compared with the file.
        lowest: The least level that Keras gave in all runs; None before the first.
        highest: The largest level.
    """

    layer: keras.layers.Layer
    tensors: list[int]
    channels: int
    sign: Callable[[tf.Tensor], tf.Tensor]
    between: list[keras.layers.Layer] = field(default_factory=list)
    recorded: list[NDArray[np.float32]] = field(default_factory=list)
    compared: bool = False
    lowest: float | None = None
    highest: float | None = None

    def quantize(self, values: tf.Tensor) -> tf.Tensor:
        """The layer's quantized inputs for pre-activations as `recorded` has them.

        Behind a reshape the sign's own thresholds no longer fit the channels, but a separate sign
        has none (`is_sign`).
        """
        return self.sign(tf.constant(values))

    def expected_levels(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """The quantizer's output for pre-activations, in the form of `file_levels`."""
        levels = levels_of(self.sign)
        return np.asarray(self.quantize(values)) < (0.0 if levels is None else levels.middle)

    def file_levels(self, stored: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The same in the file: whether an input is negative."""
        return (bits.unpack(stored, self.channels) < 0).reshape(shape)

    def fits(self, stored: NDArray[Any]) -> bool:
        """Whether a tensor of the file may be what Keras recorded once.

        Packed words hold as many bits, in as many channels, as the sign gave. Reshapes may stand on
        either side, but words are packed along the same channels.
        """
        (values,) = self.recorded
        return (
            stored.dtype == np.int32
            and stored.shape[-1] == bits.packed_length(values.shape[-1])
            and stored[..., 0].size == values[..., 0].size
        )

    def count(self, levels: NDArray[Any]) -> None:
        """Keeps the extremes of what Keras gave."""
        low, high = float(levels.min()), float(levels.max())
        self.lowest = low if self.lowest is None else min(low, self.lowest)
        self.highest = high if self.highest is None else max(high, self.highest)

    @property
    def is_constant(self) -> bool:
        """Whether Keras gave one level only, in all runs."""
        return self.lowest is not None and self.lowest == self.highest

    @property
    def name(self) -> str:
        """The layer's name."""
        return self.layer.name

    def distance(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far each pre-activation is from where its level changes."""
        return distance_to_threshold(self.quantize, values)

    def record(self, values: tf.Tensor) -> None:
        """Keeps the sign's inputs."""
        for step in self.between:
            values = step(values)
        self.recorded.append(np.asarray(values))


class StepProbe(Probe):
    """A layer whose inputs have several evenly spaced levels, as `quantizer_steps` has them.

    The file rounds the pre-activation in units of a step, and folds what scales the step's number
    into what follows; it cuts the number off to the range before it rounds, or after.
    """

    def expected_levels(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """The number of the step."""
        return steps_of(self.sign, values).numbers

    def file_levels(self, stored: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The same in the file."""
        return np.clip(stored.reshape(shape), *self._range)

    def distance(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """How far each pre-activation is from where its step changes."""
        return steps_of(self.sign, values).distance

    def fits(self, stored: NDArray[Any]) -> bool:
        """Whether a tensor of the file has as many numbers as the quantizer gave."""
        (values,) = self.recorded
        return stored.dtype == np.float32 and stored.size == values.size

    @property
    def _range(self) -> tuple[int, int]:
        limits = step_range(self.sign)
        assert limits is not None  # noqa: S101 - else there is no such probe
        return limits


class LevelProbe(Probe):
    """A layer whose inputs are a few float levels in both: -1, 0 and 1 of tf.sign, 0 and 1."""

    def expected_levels(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """The levels themselves."""
        return np.asarray(self.quantize(values))

    def file_levels(self, stored: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The same in the file."""
        return stored.reshape(shape)


def find_probes(model: keras.Model, graph: Graph) -> list[Probe]:
    """The layers of a file whose quantized inputs are known on both sides by their filters."""
    known = layers_by_filter(model)
    binary = _binary_probes(graph, model, known)
    return in_file_order(graph, [*binary, *_other_probes(graph, model, known)])


def in_file_order(graph: Graph, probes: list[Probe]) -> list[Probe]:
    """The probes in the order in which the file computes their tensors."""
    order = {tensor: i for i, op in enumerate(graph.operators) for tensor in graph.outputs(op)}
    # An input of the model has no operator.
    return sorted(probes, key=lambda probe: order.get(probe.tensors[0], -1))


def _binary_probes(
    graph: Graph, model: keras.Model, known: dict[str, keras.layers.Layer]
) -> list[Probe]:
    """Probes of the layers that became LceBconv2d, whose inputs are packed bits."""
    layers = {
        key: (layer, *found)
        for key, layer in known.items()
        if (found := _sign_of(model, layer)) is not None
    }
    binary: dict[str, list[Any]] = defaultdict(list)
    others = set()
    for op in graph.operators:
        signs = signs_of(graph, op)
        if signs is not None and graph.op_name(op) == "LceBconv2d":
            binary[fingerprint(signs)].append(op)
        elif signs is not None:
            others.add(fingerprint(signs))
    # A damaged filter matches none in Keras; the layers that are left over are paired in order.
    strays = [key for key in binary if key not in layers]
    unmatched = [key for key in layers if key not in binary and key not in others]
    if len(strays) == len(unmatched):
        layers.update({stray: layers[key] for stray, key in zip(strays, unmatched, strict=True)})
    result = []
    for key, ops in binary.items():
        if key in layers:
            layer, sign, between = layers[key]
            tensors = [_bits_before_padding(graph, graph.inputs(op)[0]) for op in ops]
            last = binary_filter_shape(graph, ops[0])[-1]
            channels = int(graph.custom_options(ops[0]).get("channels_in", last))
            result.append(Probe(layer, tensors, channels, sign, between))
    return result


def _bits_before_padding(graph: Graph, words: int) -> int:
    """A sign's bits, where they are unpacked, padded, and packed again for their layer."""
    index, padded = words, False
    while (op := graph.producer(index)) is not None:
        name = graph.op_name(op)
        if name == "LceDequantize":
            return graph.inputs(op)[0] if padded else words
        if name not in ("LceQuantize", "RESHAPE", "EXPAND_DIMS", *PADS):
            break
        padded |= name in PADS
        index = graph.data_input(op)
    return words


def _other_probes(
    graph: Graph, model: keras.Model, known: dict[str, keras.layers.Layer]
) -> list[Probe]:
    """Probes of the layers with quantized inputs that became any other operator."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for op in graph.operators:
        signs = None if graph.op_name(op) == "LceBconv2d" else signs_of(graph, op)
        key = None if signs is None else fingerprint(signs)
        if key in known:
            kind, tensor = _quantized_input(graph, graph.data_input(op))
            if tensor is not None:
                found[key, kind].append(tensor)
    probes: list[Probe] = []
    for (key, kind), tensors in found.items():
        layer = known[key]
        sign = _quantizer_of(model, layer)
        if sign is None:
            continue
        function, between = sign[0], _until_pooled(sign[1])
        if kind == "steps" and step_range(function) is not None:
            probes.append(StepProbe(layer, tensors, 0, function, between))
        elif kind == "levels":
            probes.append(LevelProbe(layer, tensors, 0, function, between))
        elif kind == "bits" and _sign_of(model, layer) is not None:
            probes.append(Probe(layer, tensors, _channels(graph, tensors[0]), function, between))
    return probes


def _quantized_input(graph: Graph, index: int) -> tuple[str, int | None]:
    """The tensor from which a layer's quantized inputs come, and its form.

    `bits` packed, `steps` rounded, or `levels` of a sign; no tensor where the inputs are real.
    """
    moved, op = True, graph.producer(index)
    while op is not None:
        name = graph.op_name(op)
        if name == "LceDequantize" and moved:
            return "bits", graph.inputs(op)[0]
        if name == "ROUND":
            return "steps", graph.outputs(op)[0]
        if name == "SIGN" and moved:
            return "levels", graph.outputs(op)[0]
        if name not in _BEHIND_ROUND:
            break
        moved &= name in _MOVES
        op = graph.producer(graph.data_input(op))
    return "", None


def _until_pooled(between: list[keras.layers.Layer]) -> list[keras.layers.Layer]:
    """The layers between a sign and its layer that come before the file unpacks the bits.

    LCE pools bits, but unpacks them for anything that only moves them.
    """
    pools = [i for i, layer in enumerate(between) if isinstance(layer, POOLS)]
    return between[: pools[-1] + 1] if pools else []


def _channels(graph: Graph, words: int) -> int:
    """How many bits packed words hold along their last dimension."""
    for reader in graph.consumers(words):
        if graph.op_name(reader) == "LceDequantize":
            return graph.shape(graph.outputs(reader)[0])[-1]
    return graph.shape(words)[-1] * bits.WORD_BITS


def _quantizer_of(
    model: keras.Model, layer: keras.layers.Layer
) -> tuple[Callable[[tf.Tensor], tf.Tensor], list[keras.layers.Layer]] | None:
    """The function that quantizes a layer's inputs, and the layers between; None without one."""
    if getattr(layer, "input_quantizer", None) is not None:
        return layer.input_quantizer, []
    for inner in nested_models(model):
        found = LayerGraph(inner).sign_behind(layer)
        if found is not None:
            return found
    return None


def _sign_of(
    model: keras.Model, layer: keras.layers.Layer
) -> tuple[Callable[[tf.Tensor], tf.Tensor], list[keras.layers.Layer]] | None:
    """The same for quantizers with two levels, which become bits."""
    found = _quantizer_of(model, layer)
    return None if found is None or step_range(found[0]) is not None else found


@contextlib.contextmanager
def recording(probes: Sequence[Probe]) -> Iterator[None]:
    """While the block runs Keras eagerly, the probes record their signs' inputs."""
    with contextlib.ExitStack() as stack:
        for probe in probes:
            probe.recorded = []
            stack.enter_context(_recording(probe))
        yield


@contextlib.contextmanager
def _recording(probe: Probe) -> Iterator[None]:
    if getattr(probe.layer, "input_quantizer", None) is probe.sign:
        owner, attribute = probe.layer, "input_quantizer"
    else:
        owner = probe.sign
        attribute = "activation" if isinstance(owner, keras.layers.Activation) else "call"
    original = getattr(owner, attribute)

    def recorded(inputs: tf.Tensor, *arguments: Any, **options: Any) -> tf.Tensor:
        probe.record(inputs)
        return original(inputs, *arguments, **options)

    # Past Keras' own __setattr__, which would add the function to the layer's list of sublayers.
    kept = vars(owner).get(attribute)
    vars(owner)[attribute] = recorded
    try:
        yield
    finally:
        if kept is None:
            del vars(owner)[attribute]
        else:
            vars(owner)[attribute] = kept


def distance_to_threshold(
    sign: Callable[[tf.Tensor], tf.Tensor], values: NDArray[np.float32]
) -> NDArray[np.float64]:
    """How far each number is from where a sign turns: `[n, …]` → `[n, …]`, inf where it never does.

    Thresholds may be any, one per channel, and several: d is the least distance at which values − d
    and values + d are quantized differently, found by bisection to 2^-40 of the largest magnitude.
    """
    largest = 4 * largest_finite(values) + 1

    def turns(distance: NDArray[np.float64]) -> NDArray[np.bool_]:
        below, above = (
            np.asarray(sign(tf.constant((values + step).astype(np.float32))))
            for step in (-distance, distance)
        )
        return below != above

    near, far = np.zeros(values.shape), np.full(values.shape, largest)
    never = ~turns(far)
    for _ in range(40):
        middle = (near + far) / 2
        turned = turns(middle)
        near, far = np.where(turned, near, middle), np.where(turned, middle, far)
    return np.where(never, np.inf, far)
