"""Outputs of a file on the host, and how a device's outputs compare with them."""

import dataclasses
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edge.bench.backends import BACKENDS, Backend
from edge.bench.measurement import Plan, why_wrong
from edge.bench.samples import EvalSamples, feed
from edge.bench.signature import read_signature
from edge.devices import Offer, PythonDevice, RunnerError
from edge.devices.local import LocalDevice
from edge.results.row import Evaluation, Model, Parity
from onebit.console import say
from onebit.errors import OnebitError
from onebit.files import read_arrays

DATA_FILE, OUTPUTS_FILE = "data.npz", "outputs.npz"
REFERENCE_SECONDS = 600.0

Outputs = list[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Reference:
    """Outputs of a file and their source: an array `[inputs, ...]` for each output of the model."""

    label: str
    outputs: Outputs


@dataclasses.dataclass(frozen=True)
class References:
    """By the SHA-256 of a file: its outputs on the host, for random inputs and for the data.

    A file that the host cannot run is absent.
    """

    random: dict[str, Reference] = dataclasses.field(default_factory=dict)
    data: dict[str, Reference] = dataclasses.field(default_factory=dict)


def host_references(
    models: Iterable[Model], plan: Plan, samples: EvalSamples | None, random: bool
) -> References:
    """Runs each file once on this machine, before anything is measured.

    It runs on Larq Compute Engine's interpreter where that is installed: those kernels are not
    ours.

    Args:
        models: The files.
        plan: Its seed and number of random inputs.
        samples: The samples to run, if any.
        random: Whether to run the random inputs too.
    """
    references = References()
    plan = dataclasses.replace(plan, affinity=None)  # that is about the device's cores
    wanted: list[tuple[dict[str, Reference], EvalSamples | None]] = []
    if random:
        wanted.append((references.random, None))
    if samples is not None:
        wanted.append((references.data, samples))
    if not wanted:
        return references
    with LocalDevice() as device:
        for model in {model.sha256: model for model in models}.values():
            backend = _reference_backend(model, device.offers())
            if backend is None:
                say(
                    f"note: this machine has no runtime for {model.file}, so that answers on a "
                    "device are not compared with it"
                )
                continue
            label = f"{backend.name} on the host"
            for known, given in wanted:
                try:
                    outputs = run_inputs(device, model, backend, 1, plan, given, REFERENCE_SECONDS)
                    known[model.sha256] = Reference(label, outputs)
                except OnebitError as error:
                    say(f"warning: {label} fails on {model.file}: {error}")
    return references


def _reference_backend(model: Model, offer: Offer) -> Backend | None:
    name = "litert:delegate" if model.lce_ops else "litert"
    if "lce" in offer.runtimes:
        name = "lce:indirect_bgemm"
    backend = BACKENDS[name]
    usable = backend.runtime in offer.runtimes and (offer.delegate or not backend.with_delegate)
    return backend if usable else None


def backend_request(
    backend: Backend, threads: int, plan: Plan, device: PythonDevice
) -> dict[str, Any]:
    """The fields of a runner's request that name the backend.

    Raises:
        OnebitError: The delegate is asked for and there is none for the device.
    """
    request: dict[str, Any] = {
        "runtime": backend.runtime,
        "options": dict(backend.options),
        "threads": threads,
        "affinity": plan.affinity,
    }
    if backend.with_delegate:
        request["delegate"] = {"library": device.put(device.delegate().library), "options": {}}
    return request


def run_inputs(
    device: PythonDevice,
    model: Model,
    backend: Backend,
    threads: int,
    plan: Plan,
    samples: EvalSamples | None,
    timeout_seconds: float,
) -> Outputs:
    """A file's outputs for the samples, or for the plan's random inputs without any.

    Raises:
        OnebitError: The samples do not fit the file, the runner failed, its outputs cannot be read,
            or there is no delegate.
    """
    request = {
        "action": "evaluate",
        "model_path": device.put(model.file),
        **backend_request(backend, threads, plan, device),
        "seed": plan.seed,
        "parity_inputs": plan.parity_inputs,
        "outputs_path": OUTPUTS_FILE,
    }
    if samples is not None:
        arrays = feed(samples, model.file, read_signature(Path(model.file)))
        with tempfile.TemporaryDirectory(prefix="onebit-edge-") as folder:
            file = Path(folder) / DATA_FILE
            np.savez(file, **{f"input_{index}": array for index, array in enumerate(arrays)})
            request["data_path"] = device.put(file)
            return _answered(device, request, timeout_seconds)
    return _answered(device, request, timeout_seconds)


def _answered(device: PythonDevice, request: dict[str, Any], timeout_seconds: float) -> Outputs:
    answer = device.run(request, timeout_seconds)
    if answer["status"] != "ok":
        raise RunnerError(str(answer.get("reason") or "no reason given"))
    return read_outputs(device.get(OUTPUTS_FILE))


def read_outputs(path: Path) -> Outputs:
    """The outputs that the runner wrote.

    Raises:
        RunnerError: The file is absent or damaged.
    """
    try:
        return list(read_arrays(path).values())
    except ValueError as error:
        raise RunnerError(f"the outputs cannot be read: {error}") from error


def compare_outputs(outputs: Outputs, reference: Outputs) -> tuple[float | None, float | None]:
    """The difference between outputs for the same inputs.

    Returns:
        The largest absolute difference over all elements, None if shapes differ or a value is not
        finite; and the fraction of the inputs with the same largest class, None unless the model
        has one output `[inputs, 1, classes]` of at least two classes.
    """
    same_shapes = [o.shape for o in outputs] == [r.shape for r in reference]
    if not same_shapes:
        return None, None
    differences = [
        np.max(np.abs(o.astype(np.float64) - r.astype(np.float64)), initial=0.0)
        for o, r in zip(outputs, reference, strict=True)
    ]
    difference = float(np.max(differences, initial=0.0))  # unlike `max` it keeps any NaN
    chosen, expected = chosen_classes(outputs), chosen_classes(reference)
    agreement = None
    if chosen is not None and expected is not None:
        agreement = float(np.mean(chosen == expected))
    return (difference if np.isfinite(difference) else None), agreement


def chosen_classes(outputs: Outputs) -> np.ndarray | None:
    """The largest class for each input; None unless outputs are one `[inputs, 1, classes]`."""
    if len(outputs) != 1 or outputs[0].ndim != 3 or outputs[0].shape[1] != 1:
        return None
    return outputs[0].argmax(axis=-1)[:, 0] if outputs[0].shape[-1] >= 2 else None


def compared_parity(parity: Parity, outputs: Outputs, reference: Reference) -> Parity:
    """`parity` with the differences of the outputs from the reference's."""
    difference, agreement = compare_outputs(outputs, reference.outputs)
    return dataclasses.replace(
        parity,
        reference=reference.label,
        max_abs_difference=difference,
        argmax_agreement=agreement,
    )


def evaluate_outputs(
    samples: EvalSamples, outputs: Outputs, reference: Reference | None
) -> tuple[Evaluation, str | None]:
    """The results of a device on the samples; and why they are wrong, None if they are not."""
    evaluation = Evaluation(samples.name, samples.sha256, len(samples), samples.split)
    right = _right(samples, outputs)
    if right is not None:
        evaluation = dataclasses.replace(evaluation, accuracy=float(right.mean()))
    if reference is None:
        return evaluation, None
    difference, agreement = compare_outputs(outputs, reference.outputs)
    expected = _right(samples, reference.outputs)
    evaluation = dataclasses.replace(
        evaluation,
        reference=reference.label,
        reference_accuracy=None if expected is None else float(expected.mean()),
        argmax_agreement=agreement,
        max_abs_difference=difference,
    )
    if right is None or expected is None or len(right) != len(expected):
        return evaluation, None
    wrong = why_wrong(evaluation, int(np.sum(right & ~expected)), int(np.sum(expected & ~right)))
    return evaluation, wrong


def _right(samples: EvalSamples, outputs: Outputs) -> np.ndarray | None:
    """Whether each sample's largest class is its label; None without labels or classes."""
    chosen = chosen_classes(outputs)
    if samples.labels is None or chosen is None or len(chosen) != len(samples.labels):
        return None
    return chosen == samples.labels
