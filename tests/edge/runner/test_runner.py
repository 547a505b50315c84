"""The runner as a device sees it: a file of its own, run by a bare Python."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edge
from edge import runner
from edge.devices.runner_archive import runner_archive, write_runner
from edge.runner import inputs as runner_inputs
from edge.runner import timing
from edge.runner.errors import RequestError

SOURCES = sorted(Path(runner.__file__).parent.glob("*.py"))
OLDEST_PYTHON = (3, 8)


@pytest.fixture
def run_runner(tmp_path):
    """Returns a function that runs the runner's archive in an empty folder."""
    copy = write_runner(tmp_path)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(request, *arguments):
        return subprocess.run(
            [sys.executable, str(copy), *arguments],
            input=request if isinstance(request, str) else json.dumps(request),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=environment,
        )

    return run


def bench_request(path, **changes):
    return {
        "action": "bench",
        "model_path": str(path),
        "runtime": "lce",
        "options": {},
        "threads": 1,
        "seed": 7,
        "min_runs": 30,
        "min_seconds": 0.05,
        "max_samples": 20_000,
        "warmup_seconds": 0.3,
        "parity_inputs": 4,
        "outputs_path": "outputs.npz",
    } | changes


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_runner_needs_only_numpy_and_an_old_python(path):
    tree = ast.parse(path.read_text(), feature_version=OLDEST_PYTHON)
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add(node.module.split(".")[0])
    assert imported <= set(sys.stdlib_module_names) | {"numpy"}


def test_archive_has_the_same_bytes_whenever_it_is_made(tmp_path):
    first = runner_archive()
    for path in SOURCES:
        os.utime(path)
    assert runner_archive() == first
    assert write_runner(tmp_path).read_bytes() == first


def test_probe_describes_this_machine(run_runner):
    answer = json.loads(run_runner({"action": "probe"}).stdout)
    assert answer["status"] == "ok"
    assert answer["cores"] == os.cpu_count()
    assert answer["architecture"] == os.uname().machine
    assert answer["user_space_bits"] == (64 if sys.maxsize > 2**32 else 32)
    assert answer["emulated"] is False


def keras_outputs(model_file, shape, seed, count):
    """Keras' outputs for the inputs that the runner makes: the same draws, in the same order."""
    rng = np.random.default_rng(seed)
    inputs = [rng.uniform(-1.0, 1.0, shape).astype(np.float32) for _ in range(count)]
    return np.stack([model_file.keras_model(array).numpy() for array in inputs])


@pytest.mark.parametrize("runtime", ["lce", "litert"])
def test_bench_runs_the_model(run_runner, float_file, tmp_path, runtime):
    result = run_runner(bench_request(float_file.path, runtime=runtime))
    answer = json.loads(result.stdout)
    assert answer["status"] == "ok", answer
    assert result.returncode == 0
    assert len(answer["samples_ns"]) >= 30
    assert min(answer["samples_ns"]) > 0
    assert sum(answer["samples_ns"]) <= 1e9 * (
        answer["after"]["wall_seconds"] - answer["before"]["wall_seconds"]
    )
    assert answer["first_inference_ns"] > 0
    assert answer["load_ns"] > 0
    with np.load(tmp_path / "outputs.npz") as archive:
        (outputs,) = (archive[name] for name in archive.files)
    expected = keras_outputs(float_file, (1, 784), 7, 4)
    # Sums of up to 1024 float32 products of magnitude below 1: 1024 * 2^-24 = 6e-5.
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=6e-5)


def test_bench_of_binary_layers_agrees_with_keras(run_runner, binary_file, tmp_path):
    for options in ({}, {"use_indirect_bgemm": True}, {"use_reference_bconv": True}):
        result = run_runner(bench_request(binary_file.path, options=options, warmup_seconds=0.1))
        assert json.loads(result.stdout)["status"] == "ok", result.stdout
        with np.load(tmp_path / "outputs.npz") as archive:
            outputs = archive["output_0"]
        # Integers up to 288 into float layers of width 32: a few ulp of 288 are below 1e-3.
        expected = keras_outputs(binary_file, (1, 8, 8, 32), 7, 4)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-3)


def test_outputs_and_digest_depend_on_the_seed_alone(run_runner, binary_file):
    digests = [
        json.loads(run_runner(bench_request(binary_file.path, seed=seed)).stdout)["output_sha256"]
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc here")
def test_memory_holds_at_least_the_file(run_runner, float_file):
    answer = json.loads(run_runner(bench_request(float_file.path)).stdout)
    above = answer["peak_bytes"] - answer["baseline_bytes"]
    size = float_file.path.stat().st_size
    # The file is read into memory whole; 0.9 leaves room for pages that the heap had already.
    assert above > 0.9 * size
    # TensorFlow would be 300 MB: neither it nor several copies of the file may be in there.
    assert answer["baseline_bytes"] < 120e6
    assert above < 10 * size


def test_warm_up_ends_when_steady():
    calls = []
    runs, steady = timing.warm_up(calls.append, ["input"], limit_seconds=20)
    assert steady
    assert runs == len(calls) >= 2 * timing.WARMUP_WINDOW_RUNS


def test_warm_up_is_bounded_for_a_model_that_never_settles(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: int(now[0] * 1e9))
    step = [0.001]

    def slower_each_time(inputs):
        step[0] *= 1.05
        now[0] += step[0]

    runs, steady = timing.warm_up(slower_each_time, [], limit_seconds=3.0)
    assert not steady
    assert runs > 2 * timing.WARMUP_WINDOW_RUNS
    assert 3.0 <= now[0] < 3.0 + step[0]


def test_no_warm_up_when_there_is_no_time_for_it():
    assert timing.warm_up(pytest.fail, [], limit_seconds=0) == (0, False)


@pytest.mark.parametrize(
    ("medians", "steady"),
    [([], False), ([100.0], False), ([200.0, 100.0], False), ([200.0, 100.0, 104.0], True)],
)
def test_steady_means_two_equal_windows(medians, steady):
    assert timing.is_steady(medians) is steady


@pytest.mark.parametrize(
    ("min_runs", "min_seconds", "inferences", "every", "kept"),
    [
        (3, 0.0, 3, 1, 3),
        (2, 0.05, 5, 1, 5),
        # The buffer of 8 is full after 8, 16 and 32 inferences.
        (8, 0.0, 8, 1, 8),
        (9, 0.0, 9, 2, 5),
        (1, 0.5, 50, 8, 7),
    ],
)
def test_samples_reach_both_runs_and_seconds_and_stay_evenly_spread(
    monkeypatch, min_runs, min_seconds, inferences, every, kept
):
    now, ran = [0], [0]
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: now[0])

    def ten_milliseconds(inputs):
        now[0] += 10_000_000 + ran[0]  # so that a sample shows which inference it is
        ran[0] += 1

    buffer = np.zeros((2, 8), np.int64)
    taken = timing.take_samples(ten_milliseconds, [], buffer, min_runs, min_seconds)
    assert taken == {
        "kept": kept,
        "every": every,
        "inferences": inferences,
        "elapsed_ns": now[0],
        "left_out": 0.0,
    }
    assert (buffer[0, :kept] - 10_000_000).tolist() == list(range(0, inferences, every))


def _sampled(monkeypatch, latency_at, size=1000, min_runs=20, min_seconds=1.0, patience=4.0):
    """The result and samples of `take_samples`; the model takes `latency_at(now in ms)` ms."""
    now = [0]
    monkeypatch.setattr(timing.time, "perf_counter_ns", lambda: now[0])

    def run(inputs):
        now[0] += int(latency_at(now[0] / 1e6) * 1e6)

    buffer = np.zeros((2, size), np.int64)
    taken = timing.take_samples(run, [], buffer, min_runs, min_seconds, patience)
    return taken, buffer[0, : taken["kept"]] / 1e6, now[0] / 1e6


@pytest.mark.parametrize("size", [1000, 256])
def test_spells_in_which_everything_is_slow_are_left_out(monkeypatch, size):
    def in_turn(milliseconds):
        return 7.5 if milliseconds % 1000 < 900 else 5.0

    taken, samples, total = _sampled(monkeypatch, in_turn, size)
    # A spell may begin before the slow time ends.
    assert np.percentile(samples, [0, 75]).tolist() == [5.0, 5.0]
    # A tenth of the time is undisturbed: an eighth of a second of it is there before 2 s are over.
    assert 1900 <= total <= 2050
    assert 0.125e9 <= taken["elapsed_ns"] <= 0.25e9
    assert taken["inferences"] == pytest.approx(taken["elapsed_ns"] / 5e6, rel=0.1)
    assert taken["left_out"] == pytest.approx(1 - taken["elapsed_ns"] / (total * 1e6))


@pytest.mark.parametrize("patience", [None, 4.0])
def test_steady_latencies_are_all_kept_and_take_no_longer(monkeypatch, patience):
    taken, samples, total = _sampled(monkeypatch, lambda _: 5.0, patience=patience)
    assert taken["inferences"] == len(samples)
    assert taken["left_out"] == 0.0
    assert 1000 <= total <= 1050


@pytest.mark.parametrize(("min_runs", "kept"), [(20, 20), (21, None)])
def test_when_patience_ends_enough_runs_must_have_been_undisturbed(monkeypatch, min_runs, kept):
    def fast_once(milliseconds):
        return 5.0 if milliseconds < 100 else 7.5

    taken, samples, total = _sampled(monkeypatch, fast_once, min_runs=min_runs)
    assert 4000 <= total <= 4100
    assert taken["inferences"] == len(samples)
    if kept:
        assert samples.tolist() == [5.0] * kept
        assert taken["left_out"] == pytest.approx(1 - 100 / total)
    else:
        assert set(samples) == {5.0, 7.5}
        assert taken["left_out"] == 0.0


def test_bursts_within_every_spell_leave_none_out(monkeypatch):
    """One in four short inferences is slow, so that a spell's third quartile falls on either."""
    times = np.random.default_rng(1).choice([0.01, 0.02], 400_000, p=[0.75, 0.25]).tolist()
    taken, samples, total = _sampled(monkeypatch, lambda _: times.pop(), min_seconds=0.5)
    assert taken["left_out"] == 0.0
    assert np.mean(samples) == pytest.approx(0.0125, rel=0.05)
    assert 500 <= total <= 525


def test_without_patience_a_slow_spell_is_part_of_the_figures(monkeypatch):
    _, samples, _ = _sampled(monkeypatch, lambda at: 7.5 if at < 500 else 5.0, patience=None)
    assert set(samples) == {7.5, 5.0}


def test_cool_down_ends_when_it_gets_no_cooler(monkeypatch):
    now, degrees = [0.0], iter([70.0, 64.0, 61.0, 60.6, 50.0])
    monkeypatch.setattr(timing, "temperature", lambda: next(degrees))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    assert timing.cool_down(60.0) == 3 * timing.COOLING_STEP_SECONDS


def test_cool_down_takes_its_whole_time_where_no_temperature_is_told(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing, "temperature", lambda: None)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    assert timing.cool_down(12.0) == 12.0
    assert timing.cool_down(0.0) == 0.0


def test_random_inputs_suit_their_types():
    kinds = [np.float32, np.int8, np.uint8, np.int32, np.bool_]
    inputs = [((1, 500), np.dtype(kind)) for kind in kinds]
    floats, int8, uint8, int32, booleans = runner_inputs.random_inputs(
        np.random.default_rng(0), inputs
    )
    assert [a.dtype for a in (floats, int8, uint8, int32, booleans)] == kinds
    assert -1 <= floats.min() < -0.9
    assert 0.9 < floats.max() < 1
    assert int8.min() < -100
    assert int8.max() > 100
    assert uint8.max() > 230
    assert set(int32.flat) == {0, 1}
    assert set(booleans.flat) == {False, True}


def test_float_data_are_quantized_as_the_model_says():
    samples = np.array([[-9.0, -1.0, 0.0, 0.26, 9.0]], np.float32)
    inputs = [((1, 5), np.dtype(np.int8))]
    ((array,),) = runner_inputs.data_inputs([samples], inputs, [(0.1, 3)])
    assert array.dtype == np.int8
    # x / 0.1 + 3, rounded, within [-128, 127].
    assert array.tolist() == [[-87, -7, 3, 6, 93]]
    ((array,),) = runner_inputs.data_inputs([samples * 5], inputs, [(0.1, 3)])
    assert (array.min(), array.max()) == (-128, 127)


def test_tokens_stay_as_they_are():
    samples = np.array([[1, 500], [7, 9]])
    fed = runner_inputs.data_inputs([samples], [((1, 2), np.dtype(np.int32))], [(0.0, 0)])
    assert [array.tolist() for (array,) in fed] == [[[1, 500]], [[7, 9]]]


def test_several_inputs_are_fed_together_in_their_order(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, input_1=np.ones((2, 3), np.float32), input_0=np.zeros((2, 2), np.int32))
    inputs = [((1, 2), np.dtype(np.int32)), ((1, 3), np.dtype(np.float32))]
    fed = list(runner_inputs.data_inputs(runner_inputs.load_samples(path), inputs, [(0.0, 0)] * 2))
    assert [[array.tolist() for array in arrays] for arrays in fed] == [[[[0, 0]], [[1, 1, 1]]]] * 2


@pytest.mark.parametrize(
    ("samples", "inputs", "reason"),
    [
        (np.zeros((2, 4), np.float32), [((1, 4), np.dtype(np.int8))], "without a scale"),
        (np.zeros((2, 3), np.float32), [((1, 4), np.dtype(np.float32))], r"takes \[1, 4\]"),
        (np.zeros((2, 4), np.float32), [((2, 4), np.dtype(np.float32))], r"takes \[2, 4\]"),
        (np.zeros((2, 4), np.float32), [((1, 4), np.dtype(np.float32))] * 2, "2 inputs"),
    ],
)
def test_data_that_do_not_fit_the_model_are_refused(samples, inputs, reason):
    with pytest.raises(RequestError, match=reason):
        list(runner_inputs.data_inputs([samples], inputs, [(0.0, 0)] * len(inputs)))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ("not JSON", "the request is not JSON"),
        ({"action": "dance"}, "names none of the actions probe, inspect, bench, evaluate"),
        (bench_request("absent.tflite"), "No such file or directory"),
        (bench_request("runner.pyz"), ""),
        (bench_request("runner.pyz", runtime="abacus"), "unknown runtime 'abacus'"),
    ],
)
def test_failure_is_an_answer_with_a_reason(run_runner, request_, reason):
    result = run_runner(request_)
    answer = json.loads(result.stdout)
    assert answer["status"] == "failed"
    assert reason in answer["reason"]
    assert "\n" not in answer["reason"]
    assert "Error" not in answer["reason"]
    assert result.returncode == 1


def test_request_may_be_a_file(run_runner, tmp_path):
    (tmp_path / "request.json").write_text('{"action": "probe"}')
    assert json.loads(run_runner("", "request.json").stdout)["status"] == "ok"


def test_answer_is_alone_on_standard_output():
    # What a native library would do: write to file descriptor 1, past Python.
    script = (
        "import os, sys; from edge.runner import main as runner;"
        "runner.ACTIONS['noise'] = lambda request: os.write(1, b'INFO: chatter\\n') and {};"
        "print('before'); sys.exit(runner.main([]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        input='{"action": "noise"}',
        capture_output=True,
        text=True,
        cwd=Path(edge.__file__).parent.parent,
        timeout=60,
    )
    assert result.stdout == 'before\n{"status": "ok"}\n'
    assert "INFO: chatter" in result.stderr
