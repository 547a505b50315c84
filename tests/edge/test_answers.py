"""The runner's answers as rows."""

import pytest

from edge.bench.runner_answers import marked_invalid, measured_row
from edge.results.row import Host, Row

MOMENT = {"wall_seconds": 0.0, "process_cpu_seconds": 0.0, "governor": "performance"}


@pytest.fixture
def answer():
    return {
        "runtime_version": "1.2",
        "cpus": [2, 3],
        "import_ns": 1,
        "load_ns": 2,
        "prepare_ns": 3,
        "first_inference_ns": 4,
        "warmup_runs": 5,
        "warmup_steady": True,
        "samples_ns": [1000, 1010, 1020] * 20,
        "every": 4,
        "inferences": 240,
        "elapsed_ns": 480_000_000,
        "left_out": 0.25,
        "baseline_bytes": 100,
        "peak_bytes": 150,
        "memory_refused": None,
        "delegate_memory": {"arena_bytes": 7, "constant_bytes": 8},
        "output_sha256": "0" * 64,
        "parity_inputs": 8,
        "profile": None,
        "energy": None,
        "before": MOMENT,
        "after": MOMENT,
    }


@pytest.fixture
def row(make_row):
    made = make_row()
    return Row(made.run, Host("pi", cores=4), made.model, made.setup, "ok")


def test_answer_becomes_a_row(answer, row):
    measured = measured_row(answer, row)
    assert measured.status == "ok"
    assert measured.setup.cpus == (2, 3)
    cold = measured.cold_start
    assert (cold.import_ns, cold.load_ns, cold.prepare_ns, cold.first_inference_ns) == (1, 2, 3, 4)
    summary = measured.summary
    assert (summary.runs, summary.every, summary.inferences) == (60, 4, 240)
    assert summary.throughput_per_s == 500
    assert measured.memory.above_baseline_bytes == 50
    assert measured.memory.delegate_arena_bytes == 7
    assert measured.memory.delegate_constant_bytes == 8
    assert measured.disturbance.left_out == 0.25
    assert measured.disturbance.before.governor == "performance"


def test_refused_reset_leaves_memory_unknown_with_the_reason(answer, row):
    answer |= {"baseline_bytes": None, "peak_bytes": None, "memory_refused": "no such file"}
    memory = measured_row(answer, row).memory
    assert memory.refused == "no such file"
    assert memory.above_baseline_bytes is None
    # The delegate's own figures need no reset.
    assert memory.delegate_constant_bytes == 8


def test_energy_is_divided_among_the_inferences(answer, row):
    answer["energy"] = {
        "source": "rapl", "joules": 3.0, "seconds": 2.0, "inferences": 600, "idle_watts": 1.0
    }  # fmt: skip
    energy = measured_row(answer, row).energy
    assert energy.joules_per_inference == pytest.approx(0.005)
    assert energy.source == "rapl"


@pytest.mark.parametrize("key", ["samples_ns", "every", "energy", "prepare_ns", "before"])
def test_incomplete_answer_is_none(answer, row, key):
    del answer[key]
    with pytest.raises(KeyError):
        measured_row(answer, row)


def test_further_reason_stands_beside_the_first(answer, row):
    measured = measured_row(answer, row)
    hot = marked_invalid(measured, "hot")
    assert (hot.status, hot.reason) == ("invalid", "hot")
    assert marked_invalid(hot, "wrong answers").reason == "hot; wrong answers"
