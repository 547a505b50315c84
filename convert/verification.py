"""Keras against the file: tells rounding flips from errors.

A binary network has a threshold at every activation. Where a pre-activation is within rounding of
its threshold, Keras and the file may take different signs, and everything behind differs visibly:
that is rounding, not an error. So the binary inputs of every layer are compared bit by bit, and for
each sample with a difference the *first* layer that differs is looked at: all before it is equal,
so its pre-activation differs by rounding alone, and must be that close to the threshold.

**How much rounding explains.** A sum of K float32 products, in whatever order, is off by at most
λ·√K·u·Σ|x·w|, u = 2^-24, but for a probability of about 2K·exp(−λ²/2) if rounding errors are
independent (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J.
Sci. Comput. 41, 2019), and Σ|x·w| ≤ √K·‖x·w‖ (Cauchy–Schwarz). Over many samples the largest |sum|
is at least their root mean square, which is ‖x·w‖ for uncorrelated signs. Both sides round, so with
λ = 6:

    tolerance = 2·6·K·2^-24·(largest magnitude), added up over the layers of the network.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConversionError
from convert.filters import binary_filter_shape, filter_signs
from convert.flatbuffer import Graph
from convert.lce import LceInterpreter
from convert.matching import fingerprint, layers_by_filter
from convert.report import Flip, Verdict, Verification
from onebit import bits
from onebit.keras import keras, tf

MAX_FLIPS = 20
_BATCH = 64


def verify(
    model: keras.Model,
    content: bytes,
    inputs: Sequence[NDArray[np.float32]],
    labels: NDArray[np.integer] | None = None,
    split: str = "given",
    tick: Callable[[], None] | None = None,
) -> Verification:
    """Compares a file with the Keras model that it was made from.

    Args:
        model: The original Keras model, before any rewrite.
        content: The `.tflite` file.
        inputs: One array per input, `[N, …]`, as the model takes them.
        labels: Class indices `[N]`, for the accuracies.
        split: What the samples are called in the report.
        tick: Called after every sample that the file has run.

    Raises:
        ConversionError: LCE's interpreter refuses the file, or shapes or numbers of outputs differ.
    """
    taps = _taps(model, content)
    kernel = "indirect_bgemm"
    file_outputs = LceInterpreter(content, kernel).run(inputs, tick)
    tapped = LceInterpreter(_with_outputs(content, [tap.tensor for tap in taps]), kernel)
    file_bits = tapped.run(inputs)[-len(taps) :] if taps else []
    keras_outputs, pre_activations = _run_keras(model, [tap.layer for tap in taps], inputs)
    if [o.shape for o in keras_outputs] != [o.shape for o in file_outputs]:
        raise ConversionError(
            f"the file's outputs have the shapes {[o.shape for o in file_outputs]}, "
            f"Keras' {[o.shape for o in keras_outputs]}"
        )

    samples = len(inputs[0])
    steps = _rounding_steps(model)
    flips = _first_differences(taps, file_bits, pre_activations, steps)
    flipped = np.zeros(samples, bool)
    flipped[[flip.sample for flip in flips]] = True
    unexplained = np.zeros(samples, bool)
    unexplained[[flip.sample for flip in flips if flip.margin > flip.tolerance]] = True

    difference = np.max(
        [
            _per_sample(np.abs(k - f.astype(np.float32)))
            for k, f in zip(keras_outputs, file_outputs, strict=True)
        ],
        0,
    )
    tolerance = steps * max(float(np.abs(o).max()) for o in keras_outputs)
    # NaN is no smaller than the tolerance, hence the negation.
    unexplained |= ~flipped & ~(difference <= tolerance)
    verdict: Verdict = "exact"
    if unexplained.any():
        verdict = "mismatch"
    elif flipped.any():
        verdict = "rounding flips"
    return Verification(
        samples=samples,
        split=split,
        verdict=verdict,
        flipped_samples=int(flipped.sum()),
        unexplained_samples=int(unexplained.sum()),
        agreement=_agreement(keras_outputs[0], file_outputs[0]),
        accuracy_keras=_accuracy(keras_outputs[0], labels),
        accuracy_file=_accuracy(file_outputs[0], labels),
        max_abs_difference=_finite(difference[~flipped].max()) if not flipped.all() else None,
        tolerance=tolerance,
        compared_layers=[tap.layer.name for tap in taps],
        flips=sorted(flips, key=lambda flip: flip.tolerance - flip.margin)[:MAX_FLIPS],
        kernel=kernel,
    )


class _Tap:
    """A binary layer whose input bits are seen on both sides.

    Attributes:
        layer: The Keras layer, which binarises its own input.
        tensor: The file's tensor of the packed bits.
        channels: How many bits it holds along its last dimension.
    """

    def __init__(self, layer: keras.layers.Layer, tensor: int, channels: int) -> None:
        self.layer = layer
        self.tensor = tensor
        self.channels = channels


def _taps(model: keras.Model, content: bytes) -> list[_Tap]:
    """The binary layers of the file whose Keras layer is known and has one reachable input."""
    graph = Graph.from_bytes(content)
    reachable = {id(layer) for layer in model.layers} if model.inputs else set()
    layers = {
        key: layer
        for key, layer in layers_by_filter(model).items()
        if id(layer) in reachable
        and len(layer.inbound_nodes) == 1
        and getattr(layer, "input_quantizer", None) is not None
    }
    binary = [op for op in graph.operators if graph.op_name(op) == "LceBconv2d"]
    taps, left = [], []
    for op in binary:
        shape = binary_filter_shape(graph, op)
        signs = filter_signs(graph, op, graph.inputs(op)[1], shape)
        layer = layers.pop(fingerprint(signs), None) if signs is not None else None
        channels = int(graph.custom_options(op).get("channels_in", shape[-1]))
        if layer is None:
            left.append((op, shape, channels))
        else:
            taps.append(_Tap(layer, graph.inputs(op)[0], channels))
    # A damaged filter has no twin in Keras; among the layers left over, the order tells.
    if len(left) == len(layers):
        for (op, _, channels), layer in zip(left, layers.values(), strict=True):
            taps.append(_Tap(layer, graph.inputs(op)[0], channels))
    order = {id(layer): index for index, layer in enumerate(model.layers)}
    return sorted(taps, key=lambda tap: order[id(tap.layer)])


def _with_outputs(content: bytes, tensors: list[int]) -> bytes:
    """The same file with further tensors as outputs."""
    graph = Graph.from_bytes(content)
    graph.subgraph.outputs = np.array([*graph.subgraph.outputs, *tensors], np.int32)
    graph.model.signatureDefs = None  # they name the outputs one by one
    return graph.to_bytes()


def _run_keras(
    model: keras.Model,
    layers: list[keras.layers.Layer],
    inputs: Sequence[NDArray[np.float32]],
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """The model's outputs, and what flows into each of the layers, `[N, …]` each."""
    tapped = (
        keras.Model(model.inputs, [*model.outputs, *(layer.input for layer in layers)])
        if (layers)
        else model
    )
    rows = []
    for start in range(0, len(inputs[0]), _BATCH):
        batch = [tf.constant(array[start : start + _BATCH]) for array in inputs]
        rows.append(tf.nest.flatten(tapped(batch if len(batch) > 1 else batch[0], training=False)))
    arrays = [np.concatenate([t.numpy() for t in column]) for column in zip(*rows, strict=True)]
    split = len(arrays) - len(layers)
    return arrays[:split], arrays[split:]


def _rounding_steps(model: keras.Model) -> float:
    """What rounding explains, relative to the largest magnitude: 2·6·2^-24·ΣK over the layers."""
    fan_ins = [
        int(np.prod(layer.kernel.shape[:-1]))
        for layer in layers_by_filter(model).values()
        if hasattr(layer, "kernel")
    ]
    return 12 * 2.0**-24 * max(sum(fan_ins), 1)


def _first_differences(
    taps: list[_Tap],
    file_bits: Sequence[NDArray[np.generic]],
    pre_activations: Sequence[NDArray[np.float32]],
    steps: float,
) -> list[Flip]:
    """For each sample with a differing bit, the first layer that has one.

    The margin is the largest |pre-activation| among that layer's differing bits: every one of them
    has to be explained.
    """
    found: dict[int, Flip] = {}
    for tap, packed, values in zip(taps, file_bits, pre_activations, strict=True):
        signs = tap.layer.input_quantizer(tf.constant(values)).numpy()
        in_file = bits.unpack(packed, tap.channels).reshape(signs.shape)
        margins = np.where(signs != in_file, np.abs(values), -1)
        tolerance = steps * float(np.abs(values).max())
        for sample, margin in enumerate(_per_sample(margins)):
            if margin >= 0 and sample not in found:
                found[sample] = Flip(sample, tap.layer.name, float(margin), tolerance)
    return [found[sample] for sample in sorted(found)]


def _per_sample(array: NDArray[np.floating]) -> NDArray[np.floating]:
    return array.reshape(len(array), -1).max(axis=1)


def _agreement(left: NDArray[np.float32], right: NDArray[np.generic]) -> float | None:
    if left.shape[-1] == 1:
        return None
    return float(np.mean(left.argmax(-1) == right.argmax(-1)))


def _accuracy(outputs: NDArray[np.generic], labels: NDArray[np.integer] | None) -> float | None:
    if labels is None or outputs.ndim != 2 or outputs.shape[1] == 1:
        return None
    return float(np.mean(outputs.argmax(-1) == labels))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
