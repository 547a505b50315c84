"""Keras model → bitpacked `.tflite`: rewrites, Larq Compute Engine, passes, audit, verification."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.audit import audit
from convert.errors import ConversionError
from convert.flatbuffer import Graph
from convert.lce import VERSION, LceInterpreter, convert_with_lce
from convert.matching import name_tensors
from convert.passes import run_passes
from convert.report import Report
from convert.rewrites import Rewritten, rewrite
from convert.verification import verify
from onebit.files import replacing, write_json
from onebit.keras import keras

Stage = Callable[[str], None]
"""Told the name of each stage as it begins."""


@dataclass(frozen=True)
class Samples:
    """Inputs to verify with.

    Attributes:
        inputs: One array per input of the model, `[N, …]`, preprocessed.
        labels: Class indices `[N]`, or None.
        split: What they are called in the report, such as `test`.
    """

    inputs: Sequence[NDArray[Any]]
    labels: NDArray[np.integer[Any]] | None = None
    split: str = "given"


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
        on_stage: Called with the name of each stage.

    Returns:
        The file and its report. A `mismatch` in the verification is reported, not raised; that
        LCE's interpreter refuses the file is a note, and then nothing is compared.

    Raises:
        ConversionError: This is no built Keras 2 model, or LCE cannot convert it.
    """
    if not isinstance(model, keras.Model):
        raise ConversionError(
            f"convert_model takes a Keras 2 model (tf_keras), not {type(model).__module__}."
            f"{type(model).__name__}"
        )
    if not model.built:
        raise ConversionError(f"{model.name} is not built: call it on data once, or give its input")
    rewritten = Rewritten(model)
    if rewrites:
        on_stage("rewriting layers")
        rewritten = rewrite(model)
    on_stage("converting with Larq Compute Engine")
    content = convert_with_lce(rewritten.model)
    graph = Graph.from_bytes(content)
    name_tensors(graph, model)
    fired: dict[str, list[str]] = {}
    if passes:
        on_stage("packing")
        fired = run_passes(graph)
    content = graph.to_bytes()
    notes = [] if rewritten.skipped is None else [rewritten.skipped]
    refusal = _refusal(content)
    if refusal is not None:
        notes.append(refusal)

    on_stage("auditing")
    parts = audit(content)
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
        verification = verify(model, content, samples.inputs, samples.labels, samples.split)
        report = dataclasses.replace(report, verification=verification)
    return Conversion(content, report)


def _refusal(content: bytes) -> str | None:
    """Why LCE's own interpreter does not run a file that LCE itself converted, or None."""
    try:
        LceInterpreter(content)
    except ConversionError as error:
        return f"not verified: {error}"
    return None
