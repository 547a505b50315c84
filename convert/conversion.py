"""Keras model → bitpacked `.tflite`: rewrites, Larq Compute Engine, passes, audit, verification."""

import dataclasses
from typing import Any

from convert.auditing.diagnosis import Remedies
from convert.auditing.layers import audit_of, audited_layers
from convert.binariser import binarise
from convert.completion import complete
from convert.errors import ConversionError
from convert.int8.quantize import left_float
from convert.int8.settings import Int8
from convert.int8.values import is_quantized
from convert.keras_model.checked_model import checked_model
from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.samples import checked_samples, random_samples
from convert.metadata import with_metadata
from convert.report import Layer, Report, Verification
from convert.result import Conversion, Stage
from convert.rewrites import Rewritten, rewrite
from convert.rewrites.fix_large_kernels import MAX_FOLDED_WEIGHTS
from convert.runtimes.lce import VERSION, convert_with_lce
from convert.runtimes.lce_interpreter import LceInterpreter
from convert.samples import Arrays, Samples
from convert.tflite.graph import Graph
from convert.verification import verify
from convert.verification.int8 import verify_int8
from convert.verification.layer_matching import name_tensors
from onebit.keras import keras
from onebit.metadata import Metadata

RANDOM_SAMPLES = 16
"""The number of random inputs on which a model without data is verified."""


def convert_model(
    model: keras.Model,
    *,
    samples: Samples | Arrays | None = None,
    verification: bool = True,
    name: str | None = None,
    source: str | None = None,
    card: dict[str, Any] | None = None,
    metadata: Metadata | None = None,
    rewrites: bool = True,
    passes: bool = True,
    with_delegate: bool = True,
    int8: Int8 | None = None,
    on_stage: Stage = lambda stage: None,
) -> Conversion:
    """Converts a Keras model to a bitpacked `.tflite` file that LCE's interpreter runs.

    The given model is not changed.

    Args:
        model: A built Keras model; Larq layers become binary.
        samples: Inputs on which the file is compared with Keras, or `Samples` with labels. When
            absent, those of `int8` are taken, else a few random ones.
        verification: Whether to compare the file with Keras at all.
        name: The model's name in the report; its own when absent.
        source: The model as the user named it, for the report.
        card: The model card, copied to the report.
        metadata: What the file shall say about itself: labels, normalisation of pixels, author.
        rewrites: Whether to rewrite the model before LCE; off shows what LCE does by itself.
        passes: Whether to change the file after LCE.
        with_delegate: Whether samples are run with Onebit's delegate too, where it is installed.
        int8: How to make the float layers int8; they stay float when absent.
        on_stage: Called with the name of each stage.

    Returns:
        The file and its report. A `mismatch` in the verification is reported, not raised, and then
        `Conversion.save` refuses to write the file. That LCE's interpreter refuses the file is a
        note, and then nothing is compared.

    Raises:
        ConversionError: This is not a built Keras 2 model, LCE cannot convert it, or no ranges can
            be learnt from the samples of `int8`.
        SourceError: The samples or the metadata don't fit the model.
    """
    model, notes = checked_model(model)
    if samples is not None:
        samples = checked_samples(samples, model, "samples")
    if int8 is not None:
        calibration = checked_samples(Samples(int8.inputs), model, "int8.inputs")
        int8 = dataclasses.replace(int8, inputs=calibration.arrays)
    rewritten, graph = convert_plainly(model, rewrites, on_stage)
    if rewritten.skipped is not None:
        notes.append(f"{rewritten.skipped}: it was converted as it is; {rewritten.hint}")
    completed = complete(graph, int8, on_stage, passes=passes)
    graph = completed.graph
    notes += completed.warnings
    content = with_metadata(graph, metadata)
    refusal = _refusal(content)
    if refusal is not None:
        notes.append(refusal)

    on_stage("auditing")
    layers = _audited(graph, model, _remedies(rewritten, rewrites, passes))
    if int8 is not None:
        notes += left_float(graph, layers)
    parts = audit_of(content, layers)
    report = Report(
        file=parts.file,
        layers=parts.layers,
        totals=parts.totals,
        name=name or model.name,
        source=source,
        lce_version=VERSION,
        rewrites=rewritten.fired,
        passes=completed.fired,
        notes=notes,
        card=card,
    )
    if verification and refusal is None:
        samples = samples or default_samples(model, int8)
        on_stage(f"comparing with Keras on {len(samples)} samples")
        if int8 is not None and is_quantized(graph):
            result = verify_int8(model, completed.reference, graph, samples)
        else:
            result = verify(model, graph, samples, with_delegate=with_delegate)
        report = dataclasses.replace(report, verification=result)
    return Conversion(content, report)


def default_samples(model: keras.Model, int8: Int8 | None) -> Samples:
    """Samples for a model that came without: those that int8 ranges come from, or random ones."""
    if int8 is not None:
        return Samples(int8.inputs, None, "representative")
    return random_samples(model, RANDOM_SAMPLES)


def _remedies(rewritten: Rewritten, rewrites: bool, passes: bool) -> Remedies:
    """The fixes that are left when rewrites and passes have had their turn."""
    if not rewrites:
        rewrite_fix: str | None = "convert with Onebit's rewrites"
    else:
        rewrite_fix = rewritten.hint
    return Remedies(rewrite_fix, None if passes else "convert with Onebit's passes")


def _audited(graph: Graph, model: keras.Model, remedies: Remedies) -> list[Layer]:
    """The layers of a file, called after the Keras layers whose names their tensors' names hold."""
    known = {layer.name for layer in flat_layers(model)}
    found = []
    for *_, layer in audited_layers(graph, remedies):
        parts = layer.name.split("/")
        name = next((part for part in parts if part in known), layer.name)
        found.append(dataclasses.replace(layer, name=name) if len(parts) > 1 else layer)
    return found


def convert_plainly(
    model: keras.Model, rewrites: bool = True, on_stage: Stage = lambda stage: None
) -> tuple[Rewritten, Graph]:
    """The rewritten model, and the file that LCE makes of it, its tensors named."""
    rewritten = Rewritten(model)
    if rewrites:
        on_stage("rewriting layers")
        rewritten = rewrite(model)
    on_stage("converting with Larq Compute Engine")
    try:
        graph = Graph.from_bytes(convert_with_lce(rewritten.model))
    except ConversionError as error:
        error.hint = _about_large_kernels(rewritten.model) or error.hint
        raise
    name_tensors(graph, model)
    return rewritten, graph


def _about_large_kernels(model: keras.Model) -> str | None:
    """A hint for models whose kernels are too large for LCE; None for others."""
    large = [
        layer.name
        for layer in flat_layers(model)
        if any(w.shape.num_elements() > MAX_FOLDED_WEIGHTS for w in layer.weights)
    ]
    if not large:
        return None
    return (
        f"it cannot take kernels of over 2^25 weights, as {', '.join(large)} has: Onebit "
        "rewrites those of Larq layers in models of the functional API"
    )


def verify_file(
    model: keras.Model,
    content: bytes,
    samples: Samples | Arrays,
    on_stage: Stage = lambda stage: None,
    with_delegate: bool = True,
) -> Verification:
    """Compares an existing file with the Keras model that it was made from.

    An int8 file is also compared with the model's float file, which is converted again for this.

    Raises:
        ConversionError: LCE's interpreter refuses the file, or it was made from another model.
        SourceError: The samples don't fit the model.
    """
    model, _ = checked_model(model)
    samples = checked_samples(samples, model, "samples")
    graph = Graph.from_bytes(content)
    reference = None
    if is_quantized(graph):
        converted = convert_plainly(model, True, on_stage)[1]
        binarise(converted)
        # A model that was trained with fake quantization has no float file.
        reference = None if is_quantized(converted) else converted
    on_stage(f"comparing with Keras on {len(samples)} samples")
    if reference is not None:
        return verify_int8(model, reference, graph, samples)
    return verify(model, graph, samples, with_delegate=with_delegate)


def _refusal(content: bytes) -> str | None:
    """Why LCE's own interpreter does not run a file that LCE itself converted, or None."""
    try:
        LceInterpreter(content)
    except ConversionError as error:
        return f"not verified: {error}"
    return None
