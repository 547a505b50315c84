"""Why a file disagrees with Keras, where the cause is known and is not in the file's numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.keras_model.layer_graph import flat_layers, gives_signs, input_channels
from convert.keras_model.quantizer_steps import step_range
from convert.keras_model.signature import Signature, run_keras
from convert.keras_model.two_levels import levels_of
from convert.tflite.graph import Graph
from convert.verification.probes import Probe
from onebit.keras import keras

_REPEATED = 4
"""The number of samples that Keras is given again."""

_RELATIVE = 1e-3
"""Of the largest output; batches of other sizes round otherwise."""


def explanations(
    model: keras.Model,
    graph: Graph,
    signature: Signature,
    inputs: Sequence[NDArray[Any]],
    size: int | None,
    probes: Sequence[Probe],
) -> list[str]:
    """Causes of a mismatch, each with the fix; none where nothing is known.

    Args:
        model: The Keras model.
        graph: The file.
        signature: The model's signature.
        inputs: Samples in Keras' order, `[N, …]` each.
        size: How many samples Keras has to be given at a time; None for any.
        probes: The layers whose inputs were compared.
    """
    found = []
    if any(tensor.isVariable for tensor in graph.subgraph.tensors):
        found.append(
            "the file keeps a recurrent layer's states from one inference to the next, where Keras "
            "begins at zero: convert the model with Onebit, or reset them (reset_all_variables)"
        )
    few = [array[:_REPEATED] for array in inputs]
    first, second = (run_keras(model, signature, few, size)[1] for _ in range(2))
    if not all(np.array_equal(*pair, equal_nan=True) for pair in zip(first, second, strict=True)):
        found.append(
            "Keras itself gives other outputs for the same inputs: a layer is random at inference, "
            "and the file cannot be compared; make it depend on the argument training"
        )
    elif size is None and not _same_alone(model, signature, few, first):
        found.append(
            "Keras' answer to a sample depends on the other samples of its batch, which the file "
            "does not see: compute means over the batch per sample, and call normalisations "
            "without training=True"
        )
    binary = {id(probe.layer) for probe in probes if type(probe) is Probe}
    taken = [
        layer.name for layer in flat_layers(model) if id(layer) in binary and _is_ternary(layer)
    ]
    if taken:
        found.append(
            f"LCE takes the inputs of {', '.join(taken)} for -1 and +1, but their quantizer gives "
            'other numbers too: use input_quantizer="ste_sign"'
        )
    return found


def _same_alone(
    model: keras.Model,
    signature: Signature,
    inputs: Sequence[NDArray[Any]],
    outputs: Sequence[NDArray[Any]],
) -> bool:
    """Whether Keras gives each sample for itself the outputs that it gave all together."""
    alone = run_keras(model, signature, inputs, 1)[1]
    for one, together in zip(alone, outputs, strict=True):
        tolerance = _RELATIVE * float(np.abs(np.nan_to_num(together)).max(initial=0))
        if not np.allclose(one, together, rtol=_RELATIVE, atol=tolerance, equal_nan=True):
            return False
    return True


def _is_ternary(layer: keras.layers.Layer) -> bool:
    """Whether a layer's own quantizer gives anything else than two levels."""
    quantizer = getattr(layer, "input_quantizer", None)
    if quantizer is None or step_range(quantizer) is not None:
        return False
    return levels_of(quantizer) is None and not gives_signs(quantizer, input_channels(layer))
