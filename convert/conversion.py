"""Keras model → bitpacked `.tflite`: rewrites, Larq Compute Engine, passes, audit, verification."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convert.auditing.layers import audit
from convert.errors import ConversionError
from convert.int8.quantize import is_quantized, left_float, quantize
from convert.int8.settings import Int8
from convert.keras_model.layer_graph import flat_layers
from convert.keras_model.samples import Samples
from convert.passes import run_passes
from convert.report import Report, Verification
from convert.rewrites import Rewritten, rewrite
from convert.rewrites.fix_large_kernels import MAX_FOLDED_WEIGHTS
from convert.runtimes.lce import VERSION, LceInterpreter, convert_with_lce
from convert.tflite.graph import Graph
from convert.verification import verify
from convert.verification.int8 import verify_int8
from convert.verification.layer_matching import name_tensors
from onebit.files import replacing, write_json
from onebit.keras import keras

Stage = Callable[[str], None]
"""Told the name of each stage as it begins."""


@dataclass(frozen=True)
class Conversion:
    """A converted model.

    Attributes:
        tflite: The `.tflite` file.
        report: What it is made of and how well it agrees with Keras.
    """

    tflite: bytes
    report: Report

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the file, and the report beside it; returns the report's path.

        Raises:
            OnebitError: The place cannot be written; nothing is left there.
        """
        target = Path(path)
        report_path = report_path_of(target)
        # The report goes first: a file without its report would pass for one of another converter.
        with replacing(target) as temporary:
            temporary.write_bytes(self.tflite)
            write_json(report_path, self.report.to_dict())
        return report_path


def report_path_of(path: Path) -> Path:
    """Where the report of a `.tflite` file lies: `model.tflite` → `model.report.json`."""
    return path.with_suffix(".report.json")


def convert_model(
    model: keras.Model,
    *,
    samples: Samples | None = None,
    name: str | None = None,
    source: str | None = None,
    card: dict[str, Any] | None = None,
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
        samples: Inputs on which the file is compared with Keras; None skips the comparison.
        name: What the report calls the model; the model's own name when absent.
        source: What the user converted, for the report.
        card: The model card, copied to the report.
        rewrites: Whether to rewrite the model before LCE; off shows LCE alone.
        passes: Whether to change the file after LCE.
        with_delegate: Whether samples are run with Onebit's delegate too, where it is there.
        int8: How to make the float layers int8; they stay float when absent.
        on_stage: Called with the name of each stage.

    Returns:
        The file and its report. A `mismatch` in the verification is reported, not raised; that
        LCE's interpreter refuses the file is a note, and then nothing is compared.

    Raises:
        ConversionError: This is no built Keras 2 model, LCE cannot convert it, or no ranges can be
            learnt from the samples of `int8`.
    """
    if not isinstance(model, keras.Model):
        raise ConversionError(
            f"convert_model takes a Keras 2 model (tf_keras), not {type(model).__module__}."
            f"{type(model).__name__}"
        )
    if not model.built:
        raise ConversionError(f"{model.name} is not built: call it on data once, or give its input")
    rewritten, reference = convert_alone(model, rewrites, on_stage)
    graph = Graph.from_bytes(reference)
    notes = [] if rewritten.skipped is None else [rewritten.skipped]
    fired: dict[str, list[str]] = {}
    if int8 is not None:
        on_stage(f"calibrating on {len(int8.inputs[0])} samples")
        quantized = quantize(graph, int8)
        graph, fired = quantized.graph, quantized.fired
        notes += quantized.warnings
    if passes:
        on_stage("packing")
        # int8 has packed some layers before.
        for step, changed in run_passes(graph).items():
            fired[step] = [*fired.get(step, []), *changed]
    content = graph.to_bytes()
    refusal = _refusal(content)
    if refusal is not None:
        notes.append(refusal)

    on_stage("auditing")
    parts = audit(content)
    if int8 is not None:
        notes += left_float(graph, parts.layers)
    report = Report(
        file=parts.file,
        layers=parts.layers,
        totals=parts.totals,
        name=name or model.name,
        source=source,
        lce_version=VERSION,
        rewrites=rewritten.fired,
        passes=fired,
        notes=notes,
        card=card,
    )
    if samples is not None and refusal is None:
        on_stage(f"comparing with Keras on {len(samples.inputs[0])} samples")
        compared = samples.inputs, samples.labels, samples.split
        if is_quantized(graph) and int8 is not None:
            verification = verify_int8(model, reference, content, *compared)
        else:
            verification = verify(model, content, *compared, with_delegate=with_delegate)
        report = dataclasses.replace(report, verification=verification)
    return Conversion(content, report)


def convert_alone(
    model: keras.Model, rewrites: bool = True, on_stage: Stage = lambda stage: None
) -> tuple[Rewritten, bytes]:
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
    return rewritten, graph.to_bytes()


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
    samples: Samples,
    on_stage: Stage = lambda stage: None,
    with_delegate: bool = True,
) -> Verification:
    """Compares a file that exists with the Keras model that it was made from.

    What an int8 file is compared with besides is the model's float file, which is made anew.

    Raises:
        ConversionError: LCE's interpreter refuses the file, or it is of another model.
    """
    compared = samples.inputs, samples.labels, samples.split
    if is_quantized(Graph.from_bytes(content)):
        reference = convert_alone(model, True, on_stage)[1]
        # A model that was trained with fake quantization has no float file.
        if not is_quantized(Graph.from_bytes(reference)):
            on_stage(f"comparing with Keras on {len(samples.inputs[0])} samples")
            return verify_int8(model, reference, content, *compared)
    on_stage(f"comparing with Keras on {len(samples.inputs[0])} samples")
    return verify(model, content, *compared, with_delegate=with_delegate)


def _refusal(content: bytes) -> str | None:
    """Why LCE's own interpreter does not run a file that LCE itself converted, or None."""
    try:
        LceInterpreter(content)
    except ConversionError as error:
        return f"not verified: {error}"
    return None
