"""Signs that no filter identifies in the file, such as those of attention's operands.

A layer's sign is known in the file by the layer's filter. One between two activations has none, nor
has one in front of a layer whose filters the file does not hold as Keras does, and the converter
keeps neither names nor, where it folds them away, thresholds. So both sides run a few samples: a
quantizer in Keras and bits in the file belong together if they agree best. The pairing only decides
which bits are compared: those of a wrong pair differ far from the threshold and end in a mismatch,
never in a pass.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from convert.keras_model.layer_graph import flat_layers, is_sign
from convert.keras_model.signature import Signature, run_keras
from convert.keras_model.two_levels import levels_of
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import filled
from convert.tflite.extra_outputs import with_extra_outputs
from convert.tflite.graph import Graph
from convert.verification.probes import Probe, recording
from onebit import bits
from onebit.keras import keras, lq

PAIRING_SAMPLES = 4
_WEIGHT_QUANTIZERS = (
    "depthwise_quantizer",
    "embeddings_quantizer",
    "kernel_quantizer",
    "pointwise_quantizer",
)
_MIN_AGREEMENT = 0.9
"""Bits that agree on less do not belong together: of random ones, half agree."""


def find_sign_pairs(
    model: keras.Model,
    graph: Graph,
    inputs: Sequence[NDArray[Any]],
    file_inputs: Sequence[NDArray[Any]],
    signature: Signature,
    size: int | None,
    probes: Sequence[Probe],
    kernel: str,
) -> list[Probe]:
    """Probes of the signs that are not known by their layers' filters.

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
        One probe for each sign that Keras runs once, as far as the file has bits for them.
    """
    taken = {tensor for probe in probes for tensor in probe.tensors}
    tensors = [tensor for tensor in _packed_bits(graph) if tensor not in taken]
    candidates = list(_other_signs(model, probes))
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


def _packed_bits(graph: Graph) -> Iterator[int]:
    """The tensors of packed activations in a file; packed weights and tables are constants."""
    words = {
        tensor
        for op in graph.operators
        if graph.op_name(op) in ("LceQuantize", "LceBconv2d", "LceBMaxPool2d")
        for tensor in graph.outputs(op)
        if graph.type_name(tensor) == "INT32"
    }
    yield from sorted(words)


def _other_signs(model: keras.Model, probes: Sequence[Probe]) -> Iterator[Probe]:
    """A probe for each quantizer with two levels that none of the given probes records."""
    seen = {id(probe.sign) for probe in probes}
    for layer in flat_layers(model):
        own = getattr(layer, "input_quantizer", None)
        seen |= {id(vars(layer).get(name)) for name in _WEIGHT_QUANTIZERS}
        parts = [part for part in layer.submodules if isinstance(part, keras.layers.Layer)]
        for part in [layer, *parts]:
            if id(part) in seen or not _has_two_levels(part):
                continue
            seen.add(id(part))
            yield Probe(layer if part is own else part, [], 0, part)


def _has_two_levels(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a sign, or a quantizer with two other levels."""
    if getattr(layer, "two_levels", None) is not None:
        return levels_of(layer) is not None
    return isinstance(layer, keras.layers.Activation | lq.quantizers.Quantizer) and is_sign(layer)


def _paired(probes: list[Probe], stored: dict[int, NDArray[Any]]) -> list[Probe]:
    """The probes with the tensors whose bits agree best, the clearest pair first.

    A sign and bits that are the last of their shape belong together even if they disagree: the
    bits are wrong then.
    """
    agreements = []
    for probe in probes:
        probe.channels = probe.recorded[0].shape[-1]
        for tensor, words in stored.items():
            if _fits(probe, words):
                agreements.append((_agreement(probe, words), probe, tensor))
    paired: dict[int, Probe] = {}
    for share, probe, tensor in sorted(agreements, key=lambda entry: -entry[0]):
        if share >= _MIN_AGREEMENT and tensor in stored and id(probe) not in paired:
            paired[id(probe)] = _with_tensor(probe, tensor)
            del stored[tensor]
    left = [probe for probe in probes if id(probe) not in paired]
    for probe in left:
        tensors = [tensor for tensor, words in stored.items() if _fits(probe, words)]
        rivals = [other for other in left if any(_fits(other, stored[t]) for t in tensors)]
        if len(tensors) == len(rivals) == 1:
            paired[id(probe)] = _with_tensor(probe, tensors[0])
    return list(paired.values())


def _with_tensor(probe: Probe, tensor: int) -> Probe:
    probe.tensors = [tensor]
    return probe


def _fits(probe: Probe, words: NDArray[Any]) -> bool:
    """Whether packed words hold as many bits, in as many channels, as a sign gave.

    Reshapes may stand on either side, but words are packed along the same channels.
    """
    (values,) = probe.recorded
    return (
        words.shape[-1] == bits.packed_length(values.shape[-1])
        and words[..., 0].size == values[..., 0].size
    )


def _agreement(probe: Probe, words: NDArray[Any]) -> float:
    """The share of equal bits in the best sample; in others, one flip may change all behind it."""
    (values,) = probe.recorded
    same = probe.expected_levels(values) == probe.file_levels(words, values.shape)
    return float(same.reshape(len(same), -1).mean(1).max())
