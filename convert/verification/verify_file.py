"""Keras against the file: distinguishes rounding flips from errors.

A binary network has a threshold at every activation. Where a pre-activation is within rounding of
its threshold, Keras and the file may take different signs, and everything behind differs visibly:
that is rounding, not an error. So the quantized inputs of every layer are compared bit by bit, and
for each sample with a difference the *first* layer that differs is looked at: all before it is
equal, so its pre-activation differs only by rounding, and must be that close to the threshold.

**How much rounding explains.** A sum of K float32 products, in whatever order, is off by at most
λ·√K·u·Σ|x·w|, u = 2^-24, but for a probability of about 2K·exp(−λ²/2) if rounding errors are
independent (Higham and Mary, "A New Approach to Probabilistic Rounding Error Analysis", SIAM J.
Sci. Comput. 41, 2019), and Σ|x·w| ≤ √K·‖x·w‖ (Cauchy–Schwarz). Over many samples the largest |sum|
is at least their root mean square, which is ‖x·w‖ for uncorrelated signs. Both sides round, so with
λ = 6:

    tolerance = 2·6·K·2^-24·(largest magnitude), added up over the layers of the network.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from convert.keras_model.checked_model import checked_model
from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.samples import checked_samples
from convert.keras_model.signature import keras_batch, run_keras, signature_of
from convert.report import Verification
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Arrays, Samples
from convert.tflite.extra_outputs import with_extra_outputs
from convert.tflite.graph import Graph
from convert.verification.comparison import Batch, DelegateComparison, RuntimeComparison
from convert.verification.discrimination import warnings_of
from convert.verification.explanations import explanations
from convert.verification.file_order import input_order, output_order
from convert.verification.probes import (
    find_probes,
    in_file_order,
    recording,
)
from convert.verification.quantizer_pairs import find_pairs
from onebit.keras import keras

_BATCH = 64
_KERNEL = "indirect_bgemm"


def verify(
    model: keras.Model,
    file: bytes | Graph,
    samples: Samples | Arrays,
    labels: Any = None,
    split: str = "given",
    tick: Callable[[], None] | None = None,
    with_delegate: bool = True,
) -> Verification:
    """Compares a file with the Keras model that it was made from.

    Args:
        model: The original Keras model, before any rewrite.
        file: The `.tflite` file, or its first subgraph.
        samples: `Samples`, or inputs as the model takes them.
        labels: The labels of inputs that are not `Samples`.
        split: The name of such inputs in the report.
        tick: Called after every sample that LCE's interpreter has run.
        with_delegate: Whether to run the file on stock LiteRT with the delegate too, if it is
            installed.

    Raises:
        ConversionError: LCE's interpreter refuses the file, or it has other inputs or outputs than
            the model. What the delegate refuses is not raised, but reported in the result.
        SourceError: The samples don't fit the model.
    """
    model, notes = checked_model(model)
    if not isinstance(samples, Samples):
        samples = Samples(samples, labels, split)
    samples = checked_samples(samples, model, "samples")
    graph = file if isinstance(file, Graph) else Graph.from_bytes(file)
    content = graph.to_bytes() if isinstance(file, Graph) else file
    signature = signature_of(model)
    order = input_order(graph, signature)
    arrays = samples.arrays
    file_arrays = [arrays[i] for i in order]
    size = keras_batch(model, signature, arrays)
    probes = find_probes(model, graph)
    probes += find_pairs(model, graph, arrays, file_arrays, signature, size, probes, _KERNEL)
    probes = in_file_order(graph, probes)
    roundings = _roundings(model)
    # The file itself gives the outputs; its bits come from a copy that also outputs those.
    tensors = [tensor for probe in probes for tensor in probe.tensors]
    bits_content = with_extra_outputs(graph, tensors) if probes else None
    lce = RuntimeComparison(
        LceInterpreter(content, _KERNEL),
        None if bits_content is None else LceInterpreter(bits_content, _KERNEL),
        tick,
    )
    with contextlib.ExitStack() as stack:
        delegate = DelegateComparison(content, bits_content, stack, with_delegate)
        for start in range(0, len(samples), size or _BATCH):
            window = slice(start, start + (size or _BATCH))
            with recording(probes):
                names, outputs = run_keras(model, signature, [a[window] for a in arrays], size)
            batch = Batch(
                start,
                [array[window] for array in file_arrays],
                outputs,
                names,
                output_order(graph, names, [output.shape[1:] for output in outputs]),
                size or len(arrays[0][window]),
            )
            lce.compare(batch, probes, roundings)
            delegate.compare(batch, probes, roundings)
    result = Verification(
        **lce.result(roundings, samples.labels, samples.split, probes),
        kernel=_KERNEL,
        delegate=delegate.result(roundings, samples, probes),
        delegate_label=delegate.label,
        delegate_skipped=delegate.skipped,
    )
    warnings = warnings_of(model, samples, lce.keras_outputs(), probes, result.accuracy_keras)
    if result.verdict == "mismatch":
        notes += explanations(model, graph, signature, arrays, size, probes)
    return dataclasses.replace(result, warnings=[*notes, *warnings])


def _roundings(model: keras.Model) -> float:
    """The difference that rounding explains, relative to the largest number: 2·6·2^-24·ΣK."""
    return 12 * 2.0**-24 * max(sum(map(_terms, flat_layers(model))), 1)


def _terms(layer: keras.layers.Layer) -> int:
    """How many products one output of a layer adds up, K; over all steps of a recurrent one."""
    terms = 0
    for variable in layer.weights:
        name, shape = variable.name, variable.shape.as_list()
        if len(shape) > 1 and "embeddings" not in name:
            terms += int(np.prod(shape[:-2] if "depthwise" in name else shape[:-1]))
    steps = 1
    if isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional):
        steps = getattr(layer, "input_shape", (None, None))[1] or 1
    return terms * steps
