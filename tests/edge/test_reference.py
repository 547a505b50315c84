"""Outputs on a device compared with those on the host."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge.bench.cells import benchmark, plan_cells, run_cells
from edge.bench.models import describe
from edge.bench.reference import (
    Reference,
    References,
    compare_outputs,
    evaluate_outputs,
    host_references,
)
from edge.bench.samples import EvalSamples, read_samples
from edge.devices.local import LocalDevice
from onebit.errors import OnebitError


@pytest.fixture
def labelled(tmp_path, float_file):
    """An `.npz` file of 40 random inputs of the float MLP, labelled as Keras classifies them."""
    inputs = np.random.default_rng(5).uniform(-1, 1, (40, 784)).astype(np.float32)
    labels = float_file.keras_model(inputs).numpy().argmax(-1)
    labels[:4] = (labels[:4] + 1) % 10
    path = tmp_path / "labelled.npz"
    np.savez(path, inputs=inputs, labels=labels)
    return path


def outputs(*classes, count=3):
    """One output `[inputs, 1, count]` with these largest classes."""
    return [np.eye(count, dtype=np.float32)[list(classes)][:, None]]


def samples_with(labels):
    inputs = {"inputs": np.zeros((len(labels), 2), np.float32)}
    return EvalSamples("some", "test", inputs, np.asarray(labels), "sha", Path("some.npz"))


def test_data_run_on_the_device_and_on_the_host(float_file, labelled, quick_plan):
    rows = benchmark([float_file.path], runtimes=["lce", "litert"], plan=quick_plan, data=labelled)
    for row in rows:
        evaluation = row.evaluation
        assert (evaluation.data, evaluation.samples) == ("labelled", 40)
        assert evaluation.accuracy == evaluation.reference_accuracy == 36 / 40
        assert evaluation.argmax_agreement == 1.0
        # Sums of up to 1024 float32 products of magnitude below 1: 1024 * 2^-24 = 6e-5.
        assert evaluation.max_abs_difference < 6e-5
        assert evaluation.reference == "lce:indirect_bgemm on the host"


def test_device_with_a_wrong_kernel_is_invalid(float_file, labelled, quick_plan):
    samples = read_samples(labelled)
    model = describe(float_file.path)
    true = host_references([model], quick_plan, samples, random=True)
    # What the device computes is right; that the host computed otherwise makes it look wrong.
    turned = [np.roll(true.data[model.sha256].outputs[0], 1, axis=-1)]
    shifted = dataclasses.replace(samples, labels=(samples.labels + 1) % 10)
    references = References(
        {model.sha256: Reference("host", [true.random[model.sha256].outputs[0] + 1])},
        {model.sha256: Reference("host", turned)},
    )
    cells = plan_cells([float_file.path], ["litert"])
    with LocalDevice() as device:
        (row,) = run_cells(cells, device, quick_plan, samples=shifted, references=references)
    assert row.status == "invalid"
    assert "wrong answers: 0.00% of 40 samples were right on the device, 90.00%" in row.reason
    assert row.evaluation.argmax_agreement == 0
    assert row.parity.reference == "host"
    assert row.parity.max_abs_difference == pytest.approx(1, abs=1e-3)


def test_samples_that_do_not_fit_the_model_are_refused_before_anything_runs(
    float_file, tmp_path, quick_plan
):
    np.savez(tmp_path / "other.npz", inputs=np.zeros((3, 7)))
    with pytest.raises(OnebitError, match=r"takes \[1, 784\] for .*, a sample in .* is \[1, 7\]"):
        benchmark([float_file.path], plan=quick_plan, data=tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("device", "host", "wrong"),
    [
        # 20 samples that only the host gets right: a coin gives 0 of 20 once in a million.
        ([0] * 100, [0] * 80 + [1] * 20, False),
        ([0] * 80 + [1] * 20, [0] * 100, True),
        # Rounding flips go both ways.
        ([0] * 90 + [1] * 10, [1] * 10 + [0] * 90, False),
        # 2^-9 is more than one in a thousand, 2^-10 less.
        ([0] * 91 + [1] * 9, [0] * 100, False),
        ([0] * 90 + [1] * 10, [0] * 100, True),
        # Both wrong in different ways says nothing.
        ([1] * 100, [2] * 100, False),
    ],
)
def test_wrong_answers_are_distinguished_from_rounding(device, host, wrong):
    reference = Reference("host", outputs(*host))
    evaluation, reason = evaluate_outputs(samples_with([0] * 100), outputs(*device), reference)
    assert evaluation.accuracy == np.mean(np.array(device) == 0)
    assert evaluation.reference_accuracy == np.mean(np.array(host) == 0)
    assert evaluation.argmax_agreement == np.mean(np.array(device) == np.array(host))
    assert (reason is not None) is wrong


def test_samples_without_labels_still_have_an_agreement():
    samples = dataclasses.replace(samples_with([0, 1]), labels=None)
    evaluation, reason = evaluate_outputs(samples, outputs(0, 2), Reference("host", outputs(0, 1)))
    assert (evaluation.accuracy, evaluation.reference_accuracy, reason) == (None, None, None)
    assert evaluation.argmax_agreement == 0.5
    assert evaluation.max_abs_difference == 1.0


def test_samples_without_a_reference_still_have_an_accuracy():
    evaluation, reason = evaluate_outputs(samples_with([0, 1]), outputs(0, 2), None)
    assert (evaluation.accuracy, evaluation.reference, reason) == (0.5, None, None)


def test_reference_is_run_once_for_each_file_whatever_its_name(
    float_file, tmp_path, quick_plan, monkeypatch
):
    other = tmp_path / "copy.tflite"
    other.write_bytes(float_file.path.read_bytes())
    runs = []
    run = LocalDevice.run
    monkeypatch.setattr(
        LocalDevice, "run", lambda *a, **k: runs.append(a[1]["action"]) or run(*a, **k)
    )
    models = [describe(float_file.path), describe(other)]
    plan = dataclasses.replace(quick_plan, affinity="big")  # the device's, not the host's
    references = host_references(models, plan, None, random=True)
    assert runs == ["evaluate"]
    (reference,) = references.random.values()
    assert reference.outputs[0].shape == (plan.parity_inputs, 1, 10)
    assert references.data == {}


@pytest.mark.parametrize("place", [0, 1])
def test_value_that_is_not_finite_leaves_no_difference(place):
    pair = [np.zeros((2, 1, 3)), np.zeros((2, 1, 3))]
    wrong = [array.copy() for array in pair]
    wrong[place][0, 0, 0] = np.nan
    assert compare_outputs(wrong, pair) == (None, None)
