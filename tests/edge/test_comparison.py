"""Old rows against new ones: which are paired, and when a difference is believed."""

import dataclasses
import math

import numpy as np
import pytest
from click.testing import CliRunner

from edge.__main__ import main as cli
from edge.bench import measurement
from edge.results.comparison import (
    APART,
    BROKEN,
    FASTER,
    KEYS,
    SAME,
    SLOWER,
    STUDIES,
    compare,
    regressions,
)
from edge.results.row import Evaluation, Firmware, Instructions
from edge.results.row_json import to_json
from edge.results.statistics import paired_ratio_of_medians, ratio_of_medians
from onebit.errors import UsageError

QUIET_SPREAD = 0.02


def with_samples(row, median_ns, seed, spread=QUIET_SPREAD, count=200):
    """The row with other samples: lognormal ones around this median."""
    rng = np.random.default_rng(seed)
    samples = tuple(int(s) for s in median_ns * np.exp(spread * rng.standard_normal(count)))
    return dataclasses.replace(row, samples_ns=samples, summary=measurement.summarise(samples))


@pytest.fixture
def change(make_row):
    """Returns a function that makes a row with `part__field=value` changed."""

    def make(median_ns=500_000, seed=0, **changes):
        row = with_samples(make_row(), median_ns, seed)
        for name, value in changes.items():
            part, _, field = name.partition("__")
            if field:
                inner = dataclasses.replace(getattr(row, part), **{field: value})
                row = dataclasses.replace(row, **{part: inner})
        whole = {name: value for name, value in changes.items() if "__" not in name}
        return dataclasses.replace(row, **whole)

    return make


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, SAME), (1.001, SAME), (1.05, SLOWER), (0.95, FASTER)]
)
def test_difference_beyond_noise_is_reported(change, factor, verdict):
    # The standard error of a median of 200 samples that scatter by 2% is 1.25 * 2% / 14 = 0.18%.
    (found,) = compare([change(seed=1)], [change(500_000 * factor, seed=2)])
    assert found.verdict == verdict
    assert found.ratio == pytest.approx(factor, abs=4 * math.sqrt(2) * 0.0018)
    assert found.ratio_low < found.ratio < found.ratio_high
    assert (found.old_rows, found.new_rows) == (1, 1)


@pytest.mark.slow
def test_interval_covers_the_true_ratio_as_often_as_it_says():
    rng = np.random.default_rng(7)
    trials = 150
    covered = 0
    for trial in range(trials):
        old, new = (1e6 * np.exp(0.05 * rng.standard_normal(150)) for _ in range(2))
        _, low, high = ratio_of_medians([old], [new], seed=trial)
        covered += low <= 1 <= high
    # Binomial(150, 0.95): below 0.87 with a probability of 1e-4.
    assert covered / trials > 0.87


def test_interval_widens_where_neighbours_are_alike():
    rng = np.random.default_rng(8)
    independent = 1e6 * np.exp(0.05 * rng.standard_normal(400))
    # The same values in blocks: what a machine does that is slow for a while.
    alike = np.repeat(independent[:40], 10)
    widths = []
    for samples in (independent, alike):
        _, low, high = ratio_of_medians([samples], [samples])
        widths.append(math.log(high / low))
    # 40 independent values instead of 400: sqrt(10) = 3.2 times as wide, of which blocks of 20
    # samples, two of these, see a good part.
    assert widths[1] > 1.8 * widths[0]


def test_repeated_rows_count_as_separate_observations(change):
    # Each process is precise in itself, but they differ by 3%: a change of 2% is not shown.
    old = [change(500_000 * f, seed=i) for i, f in enumerate((1.0, 1.03, 0.97, 1.01))]
    new = [change(510_000 * f, seed=i + 9) for i, f in enumerate((1.02, 0.98, 1.0, 1.03))]
    (found,) = compare(old, new)
    assert found.verdict == SAME
    assert (found.old_rows, found.new_rows) == (4, 4)
    (single,) = compare(old[:1], new[:1])
    assert single.verdict == SLOWER


def test_welch_interval_agrees_with_scipy(change):
    from scipy import stats

    old = [[100] * 9, [104] * 9, [99] * 9]
    new = [[110] * 9, [118] * 9]
    ratio, low, high = ratio_of_medians(old, new)
    logs = [np.log([side[0] for side in rows]) for rows in (old, new)]
    expected = stats.ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval(0.95)
    assert math.log(ratio) == pytest.approx(logs[1].mean() - logs[0].mean())
    assert (math.log(low), math.log(high)) == pytest.approx((expected.low, expected.high))


def test_figures_do_not_depend_on_when_they_are_computed(change):
    rows = [change(seed=1)], [change(seed=2)]
    assert compare(*rows) == compare(*rows)


DIFFERENT = {
    "device": {"host__device": "pi"},
    "processor": {"host__cpu": "Cortex-A76"},
    "model": {"model__name": "other"},
    "file": {"model__sha256": "other"},
    "backend": {"setup__name": "litert"},
    "runtime": {"setup__runtime_version": "9.9"},
    "delegate": {"setup__delegate": "onebit-delegate 9"},
    "threads": {"setup__threads": 4},
    "affinity": {"setup__affinity": "big"},
    "mode": {"setup__mode": "single-stream"},
    "emulated": {"host__emulated": True},
}


@pytest.mark.parametrize("key", KEYS)
def test_rows_that_differ_in_anything_else_have_no_partner(change, key):
    old, new = change(), change(**DIFFERENT[key])
    found = compare([old], [new], study=())
    assert [line.verdict for line in found] == [APART, APART]
    assert "only in the new rows" in found[0].reason
    assert "only in the old rows" in found[1].reason
    if key != "model":
        assert f"the nearest row differs in {key}" in found[0].reason


@pytest.mark.parametrize("key", STUDIES)
def test_what_is_under_study_may_differ(change, key):
    (found,) = compare([change()], [change(**DIFFERENT[key])], study=[key])
    assert found.verdict == SAME


def test_several_cells_that_would_fit_are_not_mixed(change):
    new = [change(setup__name="lce"), change(setup__name="litert")]
    (found,) = compare([change()], new, study=["backend"])
    assert found.verdict == APART
    assert "2 different cells" in found.reason


@pytest.mark.parametrize("side", [0, 1])
def test_rows_that_are_not_trusted_are_not_compared(change, side):
    rows = [[change()], [change()]]
    rows[side] = [change(status="invalid", reason="noisy")]
    (found,) = compare(*rows)
    assert found.verdict == APART
    assert found.reason == f"the {('old', 'new')[side]} row is invalid: noisy"
    assert found.ratio is None


def test_cell_that_worked_and_fails_now_is_broken(change, failed):
    (found,) = compare([change()], [failed()])
    assert found.verdict == BROKEN
    (found,) = compare([failed()], [change()])
    assert found.verdict == APART


def test_rows_without_samples_are_not_compared(change):
    row = dataclasses.replace(change(), samples_ns=(), summary=None)
    (found,) = compare([change()], [row])
    assert found.verdict == APART
    assert "no samples" in found.reason


def test_changed_outputs_are_reported(change):
    digest = {"parity__output_sha256": "1" * 64}
    assert compare([change()], [change()])[0].same_outputs is True
    assert compare([change()], [change(**digest)])[0].same_outputs is False
    assert compare([change()], [change(setup__seed=5, **digest)])[0].same_outputs is None


@pytest.fixture
def invoke(tmp_path, change):
    """Returns a function that compares files of these rows on the command line."""

    def run(old, new, *options):
        for name, rows in (("old", old), ("new", new)):
            (tmp_path / name).write_text("".join(to_json(row) + "\n" for row in rows))
        return CliRunner().invoke(
            cli, ["compare", str(tmp_path / "old"), str(tmp_path / "new"), *options]
        )

    return run


@pytest.mark.parametrize(
    ("factor", "limit", "code"),
    [
        (1.08, "5%", 1),
        (1.08, "0.05", 1),
        (1.08, "1.05x", 1),
        (3.0, "50%", 1),
        (1.08, "10%", 0),
        # Slower by more than 5% on average, but the interval reaches below: noise.
        (1.0505, "5%", 0),
        (1.0, "5%", 0),
        (0.5, "5%", 0),
    ],
)
def test_command_fails_only_beyond_noise(invoke, change, factor, limit, code):
    result = invoke([change(seed=1)], [change(500_000 * factor, seed=2)], "--fail-if-slower", limit)
    assert result.exit_code == code
    assert ("regression: binary_net_mlp on lce, local is" in result.stderr) is bool(code)


def test_command_that_could_compare_nothing_does_not_pass(invoke, change):
    rows = [change()], [change(setup__threads=2)]
    assert invoke(*rows).exit_code == 0
    result = invoke(*rows, "--fail-if-slower", "5%")
    assert result.exit_code == 1
    assert "nothing could be compared" in result.stderr


def test_command_warns_of_single_rows(invoke, change):
    several = [change(seed=1), change(seed=2)]
    assert "a single row on one side" in invoke(several, several[:1]).stderr
    assert "a single row on one side" not in invoke(several, several).stderr


def test_command_fails_for_a_cell_that_broke(invoke, change, failed):
    result = invoke([change()], [failed()], "--fail-if-slower", "5%")
    assert result.exit_code == 1
    assert "regression: binary_net_mlp on lce, local: the new row is failed" in result.stderr


@pytest.mark.parametrize("format_", ["table", "md", "json", "jsonl", "csv"])
def test_every_format_lists_rows_without_a_partner(invoke, change, format_):
    new = [change(seed=2), change(setup__threads=2)]
    result = invoke([change(seed=1)], new, "--format", format_)
    assert result.exit_code == 0
    assert "only in the new rows" in result.stdout
    assert "difference" in result.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fail-if-slower", "x"], "not a limit such as 5%, 0.05 or 1.05x"),
        (["--fail-if-slower", "-5%"], "not a limit"),
        (["--fail-if-slower", "5"], "5 may mean a percentage or a factor: write 5%, 0.05"),
        (["--fail-if-slower", "1"], "1 may mean"),
        (["--fail-if-slower", "1.05"], "1.05 may mean"),
        (["--fail-if-slower", "500%"], "is not between 0% and 100%"),
        (["--fail-if-slower", "0.5x"], "is not between 0% and 100%"),
        (["--study", "weather"], "'weather' cannot be under study"),
        (["--study", "thread"], "did you mean threads"),
    ],
)
def test_wrong_options_are_usage_errors(invoke, change, options, words):
    result = invoke([change()], [change()], *options)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize("limit", [5, 1.0, -0.1, float("nan")])
def test_limit_that_is_not_a_fraction_is_refused_in_python_too(change, limit):
    with pytest.raises(UsageError, match=r"0\.05 is 5%"):
        regressions(compare([change()], [change()]), limit)


def test_regressions_are_cells_beyond_the_limit_and_broken_ones(change, failed):
    old = [change(seed=1), change(setup__threads=2), change(setup__threads=3)]
    new = [change(540_000, seed=2), change(setup__threads=2), failed(threads=3)]
    lines = compare(old, new)
    assert regressions(lines, 0.05) == [lines[0], lines[2]]
    assert regressions(lines, 0.2) == [lines[2]]


@pytest.mark.parametrize("study", [["weather"], "weather", ["delegate", "wether"]])
def test_unknown_study_is_refused(change, study):
    with pytest.raises(UsageError, match="cannot be under study"):
        compare([change()], [change()], study)


@pytest.mark.parametrize("study", [["setup"], "backend", "setup, threads"])
def test_study_may_be_a_text_and_have_its_old_name(change, study):
    (found,) = compare([change()], [change(setup__name="litert")], study)
    assert found.verdict == SAME


def test_rows_of_another_file_are_compared_and_that_is_said(invoke, change):
    result = invoke([change()], [change(model__sha256="other")], "--fail-if-slower", "5%")
    assert result.exit_code == 0
    assert "note: these rows differ in file, so that is under study" in result.stderr
    assert "differ in file" not in invoke([change()], [change()]).stderr


def test_study_that_would_pair_is_named(invoke, change):
    rows = [change()], [change(setup__runtime_version="9.9")]
    result = invoke(*rows, "--fail-if-slower", "5%")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith("; use --study runtime")
    assert invoke(*rows, "--study", "runtime", "--fail-if-slower", "5%").exit_code == 0


NOISE = (1.0, 1.4, 0.8, 1.2, 1.6)


def in_turn(change, factor, status="ok"):
    """Rows of `old` and `new`, measured in turn on a machine whose speed changes."""
    reason = None if status == "ok" else "loud"
    rows = []
    for repetition, noise in enumerate(NOISE, start=1):
        for name, median in (("old", 500_000), ("new", 500_000 * factor)):
            rows.append(
                change(
                    median * noise, seed=len(rows), setup__repetition=repetition, model__name=name,
                    model__file=f"runs/{name}.tflite", model__sha256=name, status=status,
                    reason=reason,
                )
            )  # fmt: skip
    return rows


@pytest.fixture
def in_one_file(tmp_path):
    """Returns a function that compares `old` and `new` of one file on the command line."""

    def run(rows, *options, models=("old", "new")):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(to_json(row) + "\n" for row in rows))
        return CliRunner().invoke(cli, ["compare", str(path), "--models", *models, *options])

    return run


def test_pairs_show_what_noise_hides(change):
    rows = in_turn(change, 1.05)
    (found,) = compare(rows[::2], rows[1::2], "model")
    assert (found.verdict, found.paired, found.old_rows) == (SLOWER, True, 5)
    # Medians of 200 samples that scatter by 2%: 0.18% each, so 0.25% a ratio and 0.11% for five.
    assert found.ratio == pytest.approx(1.05, rel=0.005)
    assert found.ratio_low > 1.04
    apart = [dataclasses.replace(r, run=dataclasses.replace(r.run, id="x")) for r in rows[1::2]]
    (unpaired,) = compare(rows[::2], apart, "model")
    assert (unpaired.verdict, unpaired.paired) == (SAME, False)


def test_paired_interval_agrees_with_scipy():
    from scipy import stats

    pairs = [([100], [110]), ([120], [126]), ([90], [101])]
    logs = np.log([new[0] / old[0] for old, new in pairs])
    expected = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    found = np.log(paired_ratio_of_medians(pairs))
    assert found == pytest.approx([logs.mean(), expected.low, expected.high])


def test_fastest_samples_are_compared_too(change):
    (found,) = compare([change(seed=1)], [change(600_000, seed=1)])
    assert found.min_ratio == pytest.approx(1.2, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "models", "code", "words"),
    [
        ([], ("old", "new"), 0, "5 pairs"),
        (["--fail-if-slower", "5%"], ("old", "new"), 1, "slower, at least 7."),
        (["--fail-if-slower", "10%"], ("old", "new"), 0, "slower"),
        ([], ("runs/old.tflite", "runs/new.tflite"), 0, "5 pairs"),
        ([], ("odl", "new"), 2, "no rows of 'odl'; did you mean old?"),
    ],
)
def test_two_models_in_one_file_are_compared(change, in_one_file, options, models, code, words):
    result = in_one_file(in_turn(change, 1.08), *options, models=models)
    assert result.exit_code == code
    assert words in result.output


def test_disturbed_pairs_are_compared_where_asked(change, in_one_file):
    rows = in_turn(change, 1.08, status="invalid")
    assert in_one_file(rows, "--fail-if-slower", "5%").stderr.endswith("as before\n")
    result = in_one_file(rows, "--fail-if-slower", "5%", "--with-invalid")
    assert "regression: new on lce, local is 7.9% slower" in result.stderr


def test_name_of_several_files_is_refused(change, in_one_file):
    rows = in_turn(change, 1.0)
    rows.append(change(model__name="new", model__sha256="third"))
    result = in_one_file(rows)
    assert result.exit_code == 2
    assert "the rows of 'new' are of several files" in result.stderr


def test_one_file_without_models_is_refused(tmp_path, change):
    (tmp_path / "rows").write_text(to_json(change()) + "\n")
    result = CliRunner().invoke(cli, ["compare", str(tmp_path / "rows")])
    assert result.exit_code == 2
    assert "name NEW, or --models" in result.stderr


@pytest.mark.parametrize(
    ("size", "accuracy", "options", "words"),
    [
        (408_000, 0.945, ["--fail-if-larger", "1%"], "2.0% larger: 400,000 → 408,000 bytes"),
        (403_000, 0.945, ["--fail-if-larger", "1%"], None),
        (400_000, 0.939, ["--fail-if-less-accurate", "0.5pp"], "0.60 points less accurate"),
        (400_000, 0.940, ["--fail-if-less-accurate", "0.5pp"], None),
        (400_000, None, ["--fail-if-less-accurate", "0.5pp"], "is unknown in the new rows"),
        (400_000, 0.945, ["--fail-if-less-accurate", "0.5"], "not a number of percentage points"),
    ],
)
def test_sizes_and_accuracies_have_limits(make_row, invoke, size, accuracy, options, words):
    old = make_row()
    new = make_row(size_bytes=size, accuracy=accuracy)
    new = dataclasses.replace(new, model=dataclasses.replace(new.model, sha256="other"))
    result = invoke([old], [new], *options)
    assert (result.exit_code != 0) == (words is not None)
    assert (words or "") in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("new", "counter", "code", "words"),
    [
        (1_011_000, "perf_event", 1, "executes 1.10% more instructions: 1,000,000 → 1,011,000"),
        (1_009_000, "perf_event", 0, "1.0090"),
        (990_000, "perf_event", 0, "0.9900"),
        (1_000_000, "qemu", 1, "were counted by perf_event and by qemu"),
        (None, None, 1, "are unknown in the new rows; measure with"),
    ],
)
def test_instructions_have_a_limit(change, invoke, new, counter, code, words):
    """Also where noise leaves nothing else to compare."""
    old = change(instructions=Instructions((1_000_000,), "perf_event"))
    counted = None if new is None else Instructions((new,), counter)
    disturbed = change(instructions=counted, status="invalid", reason="loud")
    result = invoke([old], [disturbed], "--fail-if-more-instructions", "1%")
    assert result.exit_code == code
    assert words in " ".join(result.output.split())


def test_instructions_of_microcontrollers_have_a_limit_too(change, invoke):
    def board(count):
        sizes = Firmware(1, 2, 3, 4, 5, (count, count), emulator="QEMU 7")
        return change(firmware=sizes, samples_ns=(), summary=None)

    result = invoke([board(1000)], [board(1020)], "--fail-if-more-instructions", "1%")
    assert "executes 2.00% more instructions: 1,000 → 1,020" in " ".join(result.stderr.split())
    assert invoke([board(1000)], [board(1005)], "--fail-if-more-instructions", "1%").exit_code == 0


def test_accuracy_on_the_device_goes_before_that_of_the_conversion(change):
    evaluated = Evaluation("digits", "sha", 1000, accuracy=0.91)
    (found,) = compare([change()], [change(evaluation=evaluated)])
    assert (found.old_accuracy, found.new_accuracy) == (0.945, 0.91)
