"""Quantizers that no filter identifies in the file, such as those of attention's operands.

A layer's quantizer is known in the file by the layer's filter. One between two activations has
none, nor has one in front of a layer whose filters the file does not hold as Keras does, and the
converter keeps neither names nor, where it folds them away, thresholds. So both sides run a few
samples: a quantizer in Keras and bits, or rounded steps, in the file belong together if they agree
best. The pairing only decides what is compared: a wrong pair differs far from the threshold and
ends in a mismatch, never in a pass.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from convert.keras_model.layer_graph import flat_layers, is_sign
from convert.keras_model.quantizer_steps import step_range
from convert.keras_model.signature import Signature, run_keras
from convert.keras_model.two_levels import levels_of
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import filled
from convert.tflite.extra_outputs import with_extra_outputs
from convert.tflite.graph import Graph
from convert.verification.probes import Probe, StepProbe, recording
from onebit.keras import keras, lq

PAIRING_SAMPLES = 4
_WEIGHT_QUANTIZERS = (
    "depthwise_quantizer",
    "embeddings_quantizer",
    "kernel_quantizer",
    "pointwise_quantizer",
)
_MIN_AGREEMENT = 0.9
"""A tensor that agrees on less is another's: of random bits, half agree."""


def find_pairs(
    model: keras.Model,
    graph: Graph,
    inputs: Sequence[NDArray[Any]],
    file_inputs: Sequence[NDArray[Any]],
    signature: Signature,
    size: int | None,
    probes: Sequence[Probe],
    kernel: str,
) -> list[Probe]:
    """Probes of the quantizers that are not known by their layers' filters.

    Args:
        model: The Keras model.
        graph: The file.
        inputs: Samples in Keras' order, `[N, …]` each, of which the first few are run.
        file_inputs: The same in the file's order.
        signature: The model's signature.
        size: How many samples Keras has to be given at a time; None for any.
        probes: The probes that are known by filters.
        kernel: LCE's kernels to run the file with.

    Returns:
        One probe for each quantizer that Keras runs once, as far as the file has bits or steps for
        them.
    """
    taken = {tensor for probe in probes for tensor in probe.tensors}
    tensors = [tensor for tensor in _quantized(graph) if tensor not in taken]
    candidates = list(_other_quantizers(model, probes))
    if not candidates or not tensors:
        return []
    few, file_few = (
        [filled(a[: size or PAIRING_SAMPLES], size or 0) for a in arrays]
        for arrays in (inputs, file_inputs)
    )
    with recording(candidates):
        run_keras(model, signature, few)
    reader = LceInterpreter(with_extra_outputs(graph, tensors), kernel)
    outputs = reader.run(file_few)
    stored = dict(zip(tensors, outputs[-len(tensors) :], strict=True))
    return _paired([probe for probe in candidates if len(probe.recorded) == 1], stored)


_TYPES = dict.fromkeys(["LceQuantize", "LceBconv2d", "LceBMaxPool2d"], "INT32")
_TYPES["ROUND"] = "FLOAT32"
"""Operators whose outputs, if of this type, are packed bits or steps."""


def _quantized(graph: Graph) -> list[int]:
    """The tensors of a file with packed or rounded activations; packed weights are constants."""
    return sorted(
        tensor
        for op in graph.operators
        for tensor in graph.outputs(op)
        if graph.type_name(tensor) == _TYPES.get(graph.op_name(op))
    )


def _other_quantizers(model: keras.Model, probes: Sequence[Probe]) -> Iterator[Probe]:
    """A probe for each quantizer of activations that none of the given probes records."""
    seen = {id(probe.sign) for probe in probes}
    for layer in flat_layers(model):
        own = getattr(layer, "input_quantizer", None)
        seen |= {id(vars(layer).get(name)) for name in _WEIGHT_QUANTIZERS}
        parts = [part for part in layer.submodules if isinstance(part, keras.layers.Layer)]
        for part in [layer, *parts]:
            kind = None if id(part) in seen else _kind_of_probe(part)
            if kind is None:
                continue
            seen.add(id(part))
            yield kind(layer if part is own else part, [], 0, part)


def _kind_of_probe(layer: keras.layers.Layer) -> type[Probe] | None:
    """The probe for a layer that is a quantizer of two levels, or of several with steps."""
    if step_range(layer) is not None:
        return StepProbe
    return Probe if _has_two_levels(layer) else None


def _has_two_levels(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a sign, or a quantizer with two other levels."""
    if getattr(layer, "two_levels", None) is not None:
        return levels_of(layer) is not None
    return isinstance(layer, keras.layers.Activation | lq.quantizers.Quantizer) and is_sign(layer)


def _paired(probes: list[Probe], stored: dict[int, NDArray[Any]]) -> list[Probe]:
    """The probes with the tensors that agree best with them, the clearest pair first.

    A quantizer and a tensor that are the last of their shape belong together even if they disagree:
    the tensor is wrong then.
    """
    agreements = []
    for probe in probes:
        probe.channels = probe.recorded[0].shape[-1]
        for tensor, found in stored.items():
            if probe.fits(found):
                agreements.append((_agreement(probe, found), probe, tensor))
    paired: dict[int, Probe] = {}
    for share, probe, tensor in sorted(agreements, key=lambda entry: -entry[0]):
        if share >= _MIN_AGREEMENT and tensor in stored and id(probe) not in paired:
            paired[id(probe)] = _with_tensor(probe, tensor)
            del stored[tensor]
    left = [probe for probe in probes if id(probe) not in paired]
    for probe in left:
        tensors = [tensor for tensor, found in stored.items() if probe.fits(found)]
        rivals = [other for other in left if any(other.fits(stored[t]) for t in tensors)]
        if len(tensors) == len(rivals) == 1:
            paired[id(probe)] = _with_tensor(probe, tensors[0])
    return list(paired.values())


def _with_tensor(probe: Probe, tensor: int) -> Probe:
    probe.tensors = [tensor]
    return probe


def _agreement(probe: Probe, stored: NDArray[Any]) -> float:
    """The share of equal levels in the best sample; one flip may change all behind it in others."""
    (values,) = probe.recorded
    same = probe.expected_levels(values) == probe.file_levels(stored, values.shape)
    return float(same.reshape(len(same), -1).mean(1).max())
