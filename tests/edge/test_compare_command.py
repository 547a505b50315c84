"""`onebit edge compare`: what it prints, refuses and fails for."""

import dataclasses

import pytest
from click.testing import CliRunner

from edge.__main__ import main as cli
from edge.results.row import Firmware, Instructions
from edge.results.row_json import to_json

from .compare_rows import in_turn


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


@pytest.fixture
def in_one_file(tmp_path):
    """Returns a function that compares `old` and `new` of one file on the command line."""

    def run(rows, *options, models=("old", "new")):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(to_json(row) + "\n" for row in rows))
        return CliRunner().invoke(cli, ["compare", str(path), "--models", *models, *options])

    return run


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
