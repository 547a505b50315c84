"""The sentences of a report that follow from its rows: findings, caveats and advice."""

import dataclasses

import pytest

from edge.report.advice import advice
from edge.report.caveats import caveats
from edge.report.findings import findings
from edge.report.page import render_report
from edge.results.row import (
    Disturbance,
    Evaluation,
    Memory,
    Parity,
)

from .report_rows import BASELINE, BOARD, words


def test_findings_compare_fastest_backends_with_the_float_baseline(make_row):
    rows = [
        make_row(median_ns=400_000),
        make_row(setup="lce:indirect_bgemm", median_ns=200_000),
        make_row(setup="lce:xnnpack", median_ns=1000, status="invalid", reason="disturbed"),
        make_row(setup="litert", accuracy=0.947, median_ns=600_000, **BASELINE),
    ]
    (finding,) = findings(rows)
    assert (finding.model, finding.float_baseline) == ("binary_net_mlp", "float_mlp")
    assert finding.smaller == 11_660_000 / 400_000
    assert finding.faster == rows[3].summary.p50_ns / rows[1].summary.p50_ns
    assert finding.accuracy_points == pytest.approx(-0.2)
    assert finding.backends == "lce:indirect_bgemm against litert"


def test_findings_compare_no_speeds_across_threads_or_hosts(make_row):
    baseline = make_row(setup="litert", threads=2, **BASELINE)
    (finding,) = findings([make_row(), baseline])
    assert finding.faster is None
    elsewhere = make_row(setup="litert", cpu="Cortex-A76", **BASELINE)
    assert findings([make_row(), elsewhere]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu": "Xeon", "architecture": "x86_64"}, "x86_64 is not ARM"),
        ({"status": "invalid", "reason": "loud"}, "Disturbed: 1 of 1"),
        ({"accuracy": None}, "The accuracy of binary_net_mlp is unknown"),
        ({"memory": None}, "memory is unknown"),
        ({"memory": Memory(refused="no such file")}, "memory is unknown"),
        ({"disturbance": Disturbance(other_cores=0.8)}, "up to 0.8 cores busy"),
        ({"disturbance": Disturbance(left_out=0.6)}, "Up to 60% of a row's time was left out"),
        ({"parity": Parity("0", 8, "lce", 0.5, 0.75)}, "75% of the random inputs"),
    ],
)
def test_caveats_follow_from_the_rows(make_row, change, words):
    assert not any(words in caveat for caveat in caveats([make_row()]))
    assert any(words in caveat for caveat in caveats([make_row(**change)]))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("emulated", True, "emulated"),
        ("user_space_bits", 32, "32-bit"),
        ("virtual_machine", True, "virtual machine"),
        ("governor", None, "does not report its frequency governor"),
        ("governor", "ondemand", "'ondemand'"),
    ],
)
def test_caveats_follow_from_the_host(make_row, field, value, words):
    row = make_row()
    host = dataclasses.replace(row.host, **{field: value})
    assert not any(words in caveat for caveat in caveats([row]))
    assert any(words in caveat for caveat in caveats([dataclasses.replace(row, host=host)]))


def test_caveats_name_files_that_disagreed_with_keras(make_row):
    row = make_row()
    verification = dataclasses.replace(row.model.verification, verdict="mismatch")
    model = dataclasses.replace(row.model, verification=verification)
    notes = caveats([dataclasses.replace(row, model=model)])
    assert any("disagreed with Keras" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"disturbance": Disturbance(other_cores=0.5)}, "End the programs"),
        ({"disturbance": Disturbance(stolen_cores=0.5)}, "Other virtual machines"),
        ({"disturbance": Disturbance(throttled=True)}, "Cool the device"),
        ({}, "Measure again with `--retry-invalid 3`"),
        ({}, "count `--instructions`"),
        ({"evaluation": Evaluation("d", "s", 9, None, 0.5, "lce", 0.9)}, "convert verify"),
        ({"host": BOARD}, "on a real device"),
        ({"status": "failed", "summary": None}, "`--resume`"),
        ({"status": "skipped", "summary": None}, "need nothing"),
    ],
)
def test_advice_follows_from_the_rows(make_row, change, sentence):
    row = make_row(**{"status": "invalid", "reason": "loud"} | change)
    assert any(sentence in line for line in advice([row]))
    assert advice([make_row()]) == []
    assert words(sentence).replace("`", "") in words(render_report([row]))


def test_right_answers_need_no_advice(make_row):
    evaluation = Evaluation("d", "s", 9, None, 0.9, "lce", 0.9)
    row = make_row(status="invalid", reason="loud", evaluation=evaluation)
    assert not any("convert verify" in line for line in advice([row]))
