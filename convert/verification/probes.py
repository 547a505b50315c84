"""What flows into the layers with quantized inputs, seen in Keras and in the file.

Keras runs eagerly, and while it does, each sign notes what it is given: that works for nested,
shared and subclassed layers too, which have no tensor of their own in the model's graph. In the
file, the packed inputs of the LceBconv2d operators become further outputs.
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.layer_graph import Wiring, nested_models
from convert.keras_model.two_levels import levels_of
from convert.tflite.filters import binary_filter_shape
from convert.tflite.graph import Graph
from convert.verification.layer_matching import fingerprint, layers_by_filter, signs_of
from onebit import bits
from onebit.keras import keras, lq, tf


@dataclass
class Tap:
    """A binary layer whose input bits are seen on both sides.

    Attributes:
        layer: The Keras layer.
        tensors: The file's tensors of packed bits, one for each use of the layer.
        channels: How many bits they hold along the last dimension.
        sign: What makes the layer's inputs ±1; takes pre-activations `[n, …]`.
        between: Layers that move or pick numbers between the sign and the layer.
        seen: The pre-activations of the last run, one `[n, …]` per use, moved as `between` does.
        compared: Whether the last run could be compared with the file.
    """

    layer: keras.layers.Layer
    tensors: list[int]
    channels: int
    sign: Callable[[tf.Tensor], tf.Tensor]
    between: list[keras.layers.Layer] = field(default_factory=list)
    seen: list[NDArray[np.float32]] = field(default_factory=list)
    compared: bool = False

    def quantize(self, values: tf.Tensor) -> tf.Tensor:
        """The layer's binary inputs for pre-activations as `seen` has them.

        Behind a reshape the sign's own thresholds no longer fit the channels, but a sign that
        stands apart has none (`is_sign`).
        """
        return self.sign(tf.constant(values))

    def keras_levels(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """What the quantizer makes of pre-activations, in the form of `file_levels`."""
        levels = levels_of(self.sign)
        return np.asarray(self.quantize(values)) < (0.0 if levels is None else levels.middle)

    def file_levels(self, stored: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The same in the file: whether an input is negative."""
        return (bits.unpack(stored, self.channels) < 0).reshape(shape)

    def note(self, values: tf.Tensor) -> None:
        """Keeps what the sign was given."""
        for step in self.between:
            values = step(values)
        self.seen.append(np.asarray(values))


class StepTap(Tap):
    """A layer with multi-bit inputs (DoReFa): k bits have 2^k − 1 steps, 0 to 1 in Keras.

    The file rounds x·(2^k − 1), and folds the division by it into what follows.
    """

    @property
    def steps(self) -> int:
        """How many steps there are between 0 and 1."""
        return 2**self.layer.input_quantizer.precision - 1

    def keras_levels(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """The number of the step, 0 to 2^k − 1."""
        return np.rint(np.asarray(self.quantize(values)) * self.steps)

    def file_levels(self, stored: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The same in the file."""
        return stored.reshape(shape)


def taps(model: keras.Model, content: bytes) -> list[Tap]:
    """The layers of a file whose quantized inputs are known on both sides, in the file's order."""
    graph = Graph.from_bytes(content)
    known = layers_by_filter(model)
    return in_file_order(graph, _sign_taps(graph, model, known) + _step_taps(graph, known))


def in_file_order(graph: Graph, tapped: list[Tap]) -> list[Tap]:
    """The taps in the order in which the file computes their bits."""
    order = {tensor: i for i, op in enumerate(graph.operators) for tensor in graph.outputs(op)}
    # An input of the model has no operator.
    return sorted(tapped, key=lambda tap: order.get(tap.tensors[0], -1))


def _sign_taps(graph: Graph, model: keras.Model, known: dict[str, keras.layers.Layer]) -> list[Tap]:
    layers = {
        key: (layer, *found)
        for key, layer in known.items()
        if (found := _sign_of(model, layer)) is not None
    }
    binary: dict[str, list[Any]] = defaultdict(list)
    for op in graph.operators:
        if graph.op_name(op) == "LceBconv2d":
            signs = signs_of(graph, op)
            if signs is not None:
                binary[fingerprint(signs)].append(op)
    # A damaged filter has no twin in Keras; among the layers left over, the order tells.
    strays = [key for key in binary if key not in layers]
    unmatched = [key for key in layers if key not in binary]
    if len(strays) == len(unmatched):
        layers.update({stray: layers[key] for stray, key in zip(strays, unmatched, strict=True)})
    result = []
    for key, ops in binary.items():
        if key in layers:
            layer, sign, between = layers[key]
            tensors = [graph.inputs(op)[0] for op in ops]
            last = binary_filter_shape(graph, ops[0])[-1]
            channels = int(graph.custom_options(ops[0]).get("channels_in", last))
            result.append(Tap(layer, tensors, channels, sign, between))
    return result


def _step_taps(graph: Graph, known: dict[str, keras.layers.Layer]) -> list[Tap]:
    rounded: dict[str, list[int]] = defaultdict(list)
    for op in graph.operators:
        signs = None if graph.op_name(op) == "LceBconv2d" else signs_of(graph, op)
        if signs is None:
            continue
        layer = known.get(fingerprint(signs))
        if not isinstance(getattr(layer, "input_quantizer", None), lq.quantizers.DoReFa):
            continue
        above = graph.producer(graph.inputs(op)[2 if graph.op_name(op) == "TRANSPOSE_CONV" else 0])
        while above is not None and graph.op_name(above) in ("MUL", "RESHAPE", "PAD", "PADV2"):
            above = graph.producer(graph.inputs(above)[0])
        if above is not None and graph.op_name(above) == "ROUND":
            rounded[fingerprint(signs)].append(graph.outputs(above)[0])
    return [
        StepTap(known[key], tensors, 0, known[key].input_quantizer)
        for key, tensors in rounded.items()
    ]


def _sign_of(
    model: keras.Model, layer: keras.layers.Layer
) -> tuple[Callable[[tf.Tensor], tf.Tensor], list[keras.layers.Layer]] | None:
    """What makes a layer's inputs ±1, and what stands between; None when that is not known."""
    if getattr(layer, "input_quantizer", None) is not None:
        steps = isinstance(layer.input_quantizer, lq.quantizers.DoReFa)
        return None if steps else (layer.input_quantizer, [])
    for inner in nested_models(model):
        found = Wiring(inner).sign_behind(layer)
        if found is not None:
            return found
    return None


def with_outputs(content: bytes, tapped: Sequence[Tap]) -> bytes:
    """The same file with the taps' tensors as further outputs."""
    graph = Graph.from_bytes(content)
    tensors = [tensor for tap in tapped for tensor in tap.tensors]
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, *tensors], np.int32)
    graph.model.signatureDefs = None  # they name the outputs one by one
    return graph.to_bytes()


@contextlib.contextmanager
def listening(tapped: Sequence[Tap]) -> Iterator[None]:
    """While the block runs Keras eagerly, the taps note what their signs are given."""
    with contextlib.ExitStack() as stack:
        for tap in tapped:
            tap.seen = []
            stack.enter_context(_listening(tap))
        yield


@contextlib.contextmanager
def _listening(tap: Tap) -> Iterator[None]:
    if getattr(tap.layer, "input_quantizer", None) is not None:
        owner, attribute = tap.layer, "input_quantizer"
    else:
        owner = tap.sign
        attribute = "activation" if isinstance(owner, keras.layers.Activation) else "call"
    original = getattr(owner, attribute)

    def noting(inputs: tf.Tensor, *arguments: Any, **options: Any) -> tf.Tensor:
        tap.note(inputs)
        return original(inputs, *arguments, **options)

    # Past Keras' own __setattr__, which would note the change in the layer's list of sublayers.
    kept = vars(owner).get(attribute)
    vars(owner)[attribute] = noting
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
    largest = 4 * float(np.abs(values).max()) + 1

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
