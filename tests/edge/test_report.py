"""The report's content, as HTML, Markdown and PNG."""

import dataclasses
import json
import re

import pytest
from click.testing import CliRunner

from edge.bench import measurement
from edge.commands.report import report as report_command
from edge.report.advice import advice
from edge.report.caveats import caveats
from edge.report.findings import fastest_lines, findings
from edge.report.markdown import render_markdown
from edge.report.page import render_report, write_report
from edge.results.row import (
    Aggregates,
    Disturbance,
    Evaluation,
    Firmware,
    Host,
    Memory,
    NotBinary,
    Parity,
)
from edge.results.row_json import to_json
from onebit.errors import OnebitError, UsageError

from .report_rows import BASELINE, BOARD, emulated


def words(page):
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_page_shows_all_fields_of_a_board(full_row):
    text = words(render_report([full_row]))
    for expected in (
        "litert: delegate, 3 threads, big cores, single-stream",
        "400 1,600, 1 in 8 kept",  # inferences a second, and in all
        "8.19 kB 397 kB",
        "8.00 mJ 4.00 W 2.50 W pi-pmic",
        "95.10 % 96.50 % 98.00 % 5.0e-01 1,000 of digits (test) lce on the host",
        "0.05 0.00 60% 0.25 → 0.50 48 °C → 61 °C 2400 MHz → 2100 MHz ondemand yes 2, 3",
        "big cores 2, 3: Cortex-A76, up to 2400 MHz",
        "little cores 0, 1: Cortex-A55",
        "4 more ops",
        "19 LceBconv2d 20.0 µs, 9%",
        "runtime and ops without a time 20.0 µs, 9%",
        "More threads than cores: binary_net_mlp",
        "as few as one in 8 became samples",
        "Some labelled samples got another class than on the host: binary_net_mlp with",
    ):
        assert expected in text


def test_page_of_several_devices_keeps_them_apart(some_rows, full_row):
    page = render_report([*some_rows, full_row])
    text = words(page)
    assert "3 models, 5 measurements, 2 devices" in text
    assert "Latency on local" in text
    assert "Latency on kitchen" in text
    assert "Accuracy against latency on kitchen." in text
    assert "litert: delegate, 3 threads, big cores, single-stream on kitchen" in text


def test_device_that_was_not_reached_is_named_with_its_reason(some_rows, failed):
    lost = failed(reason="the connection was refused", accuracy=None)
    lost = dataclasses.replace(lost, host=Host("attic", "ssh"))
    text = words(render_report([*some_rows, lost]))
    assert "attic: not reached" in text
    assert "Not reached, so nothing is known about it" in text
    assert "None" not in text
    assert not [note for note in caveats([lost]) if "governor" in note]


def test_times_and_memory_of_an_emulated_device_are_shown_nowhere(make_row, full_row, tmp_path):
    row = make_row(median_ns=123_456_789_000)
    page = render_report([make_row(setup="litert"), emulated(row), emulated(full_row)])
    alone = render_report([emulated(row)])
    write_report([make_row(setup="litert"), emulated(row)], tmp_path / "report.md")
    for text in (words(page), words(alone), (tmp_path / "report.md").read_text()):
        assert "board (emulated)" in text
        assert measurement.EMULATED in text
        # 123,457 s: neither the median nor any other figure of that size.
        assert re.findall(r"\d{5,}(?:\.\d+)? ms", text) == []
    assert "Latency on board" not in words(page)
    assert "<h2>Latency" not in alone
    assert "8.00 mJ" not in words(page)
    # What an emulator can tell stays: whether the file runs and agrees.
    assert "95.10 % 96.50 % 98.00 %" in words(page)


def test_emulated_device_is_ranked_nowhere(make_row):
    fast = emulated(make_row(median_ns=1000))
    real = make_row(median_ns=500_000)
    best = fastest_lines([fast, real])
    assert [line.p50_ns for line in best.values()] == [real.summary.p50_ns]
    baseline = emulated(make_row(setup="litert", **BASELINE))
    assert findings([fast, baseline]) == []


def test_markdown_report_has_the_tables_and_the_warnings(some_rows, full_row, tmp_path):
    write_report([*some_rows, full_row], tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    for expected in (
        "| model | backend |",
        "x86_64 is not ARM",
        "- failed: **binary_net_mlp** on lce:xnnpack, local (Xeon): the runner was killed",
        "| binary_net_mlp | litert:delegate, 3 threads, big cores, single-stream | kitchen",
        "| 95.10 % | 96.50 % | 98.00 % | 1000 of digits |",
    ):
        assert expected in text


def test_rows_without_samples_are_listed_and_drawn_nowhere(failed, tmp_path):
    runs = Aggregates(runs=40, mean_ns=7_000_000, min_ns=6e6, max_ns=9e6, std_ns=1e5)
    row = dataclasses.replace(
        failed(setup="benchmark_model"), status="ok", reason=None, aggregates=runs
    )
    page = render_report([row])
    assert "1 measurement" in words(page)
    assert "7.00 ms – 6.00 ms 9.00 ms 0.100 ms 40" in words(page)
    assert "<h2>Latency" not in page
    write_report([row], tmp_path / "report.md")
    assert "| 7.00 ms | – | 6.00 ms | 9.00 ms | 40 |" in (tmp_path / "report.md").read_text()
    assert "7.00 ms" not in words(render_report([dataclasses.replace(row, host=BOARD)]))


def test_png_report_is_a_picture_with_a_row_for_each_strip(some_rows, full_row, tmp_path):
    from matplotlib import image

    heights = []
    for rows in (some_rows, [*some_rows, full_row]):
        write_report(rows, tmp_path / "report.png")
        picture = image.imread(tmp_path / "report.png")
        heights.append(picture.shape[0])
        # Something is drawn: many pixels are neither white nor grey.
        assert (picture[..., :3].max(-1) - picture[..., :3].min(-1) > 0.2).mean() > 0.001
    assert heights[1] > heights[0]


def test_png_of_no_real_times_is_refused(make_row, failed, tmp_path):
    for rows in ([failed()], [emulated(make_row())]):
        with pytest.raises(OnebitError, match="no row was measured on a real device"):
            write_report(rows, tmp_path / "report.png")
    assert list(tmp_path.iterdir()) == []


def test_report_of_another_kind_is_refused(make_row, tmp_path):
    with pytest.raises(UsageError, match=r"\.html, \.md, \.png"):
        write_report([make_row()], tmp_path / "report.pdf")


def test_page_shows_the_rows(some_rows):
    page = render_report(some_rows)
    text = words(page)
    for expected in (
        "3 models, 4 measurements",
        "binary_net_mlp against float_mlp smaller file 29.1×",
        "94.50 %",
        "−0.2",
        "x86_64 is not ARM",
        "the runner was killed by SIGSEGV",
        "p90 was 83% above the median",
        "the file has ops that litert lacks",
        "lce:indirect_bgemm",
        "2026-01-02 03:04:05 UTC",
    ):
        assert expected in text


def test_page_loads_nothing_from_elsewhere(some_rows):
    page = render_report(some_rows)
    loading = re.findall(r"<(?:script|img|iframe|object|embed|source|video)\b|@import|url\(", page)
    assert loading == []
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert set(links) <= {"data:,"}


def test_page_escapes_the_text_of_rows(some_rows, make_row):
    evil = "<script>alert('x')</script>"
    rows = [make_row(name=evil, cpu=evil, setup=f"lce:{evil}", status="invalid", reason=evil)]
    page = render_report(some_rows + rows)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_page_of_failures_only_is_still_a_page(failed):
    page = render_report([failed(accuracy=None)])
    assert "the runner was killed by SIGSEGV" in page
    assert "<h2>Latency</h2>" not in page
    assert "<h2>What accuracy costs</h2>" not in page


def test_page_of_nothing_is_refused():
    with pytest.raises(OnebitError, match="no rows"):
        render_report([])


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


def test_latest_rows_are_shown_and_older_ones_counted(make_row):
    page = render_report([make_row(median_ns=10**9), make_row(median_ns=10**6)])
    assert "1 model, 1 measurement " in words(page)
    assert "1 older rows of the same cells are left out" in page


def test_host_is_listed_once_however_its_load_moves(make_row):
    row = make_row()
    later = dataclasses.replace(
        make_row(threads=2), host=dataclasses.replace(row.host, load_1min=2)
    )
    assert render_report([row, later]).count("instruction sets") == 1


def test_png_format_needs_a_file_to_draw_into(some_rows, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f"{to_json(row)}\n" for row in some_rows))
    result = CliRunner().invoke(report_command, [str(rows), "--format", "png"])
    assert isinstance(result.exception, UsageError)
    assert "give it with -o" in str(result.exception)
    picture = tmp_path / "report.png"
    result = CliRunner().invoke(report_command, [str(rows), "--format", "png", "-o", str(picture)])
    assert result.exception is None
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", [".html", ".md", ".png"])
def test_report_overwrites_a_report_but_nothing_else(make_row, tmp_path, suffix):
    path = tmp_path / f"page{suffix}"
    write_report([make_row()], path)
    first = path.read_bytes()
    write_report([make_row(name="other")], path)
    assert path.read_bytes() != first
    path.write_text("a page of hers")
    with pytest.raises(UsageError, match="is not a report of Onebit's; overwrite it with --force"):
        write_report([make_row()], path)
    assert path.read_text() == "a page of hers"
    write_report([make_row()], path, force=True)
    assert path.read_bytes() == first


def test_page_that_version_0_1_0_wrote_is_overwritten(make_row, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<!doctype html>…<footer>Written by Onebit 0.1.0. This page loads nothing")
    write_report([make_row()], path)
    assert "measurement" in path.read_text()


def test_command_overwrites_a_foreign_page_only_with_force(some_rows, tmp_path):
    rows, page = tmp_path / "rows.jsonl", tmp_path / "page.html"
    rows.write_text("".join(f"{to_json(row)}\n" for row in some_rows))
    page.write_text("hers")
    result = CliRunner().invoke(report_command, [str(rows), "-o", str(page)])
    assert isinstance(result.exception, UsageError)
    assert page.read_text() == "hers"
    result = CliRunner().invoke(report_command, [str(rows), "-o", str(page), "--force"])
    assert result.exception is None
    assert "Onebit" in page.read_text()


def test_report_has_the_title_that_is_given(make_row, tmp_path):
    rows = [make_row()]
    page = render_report(rows, "Release 2 <on> the Pi")
    assert "<h1>Release 2 &lt;on&gt; the Pi</h1>" in page
    assert "<title>Release 2 &lt;on&gt; the Pi</title>" in page
    assert "1 model, 1 measurement" in words(render_report(rows))
    write_report(rows, tmp_path / "page.md", title="Release 2")
    assert (tmp_path / "page.md").read_text().startswith("# Release 2\n")


STEM = NotBinary("float", "its weights are real", ("stem", "a", "b", "c"), 100_000, "--int8")
HEAD = NotBinary("binary weights", "its inputs are real", ("head",), 0)


def with_reasons(row):
    shares = {"binary_macs": 900_000, "float_macs": 100_000, "not_binary": (STEM, HEAD)}
    return dataclasses.replace(row, model=dataclasses.replace(row.model, **shares))


def test_costs_show_shares_and_why(full_row):
    row = with_reasons(full_row)
    text = words(render_report([row]))
    assert "binary_ net_ mlp 90.0% binary, 10.0% float 0.4" in text
    assert "10.0 MB 8.19 kB Not binary in" in text  # memory and the delegate's arena
    sentence = "stem, a, b and 1 more (float, 10.0% of the multiplications): its weights are real"
    assert f"{sentence}; fix: --int8" in text
    assert "head (binary weights, no multiplications): its inputs are real" in text
    markdown = render_markdown([row], 1)
    assert "| binary_net_mlp | 90.0% binary, 10.0% float | 400 kB |" in markdown
    assert f"- binary_net_mlp: {sentence}" in markdown


def test_models_without_counted_multiplications_have_no_costs(make_row):
    assert "what it costs" not in render_report([make_row(binary_macs=0, float_macs=0)])


@pytest.fixture
def on_boards(make_row):
    """Rows of two microcontrollers: one ran the network, on the other it does not fit."""
    firmware = Firmware(1000, 20_000, 3000, 400, 784, (5_000_000,), same_as_host=True)
    nothing = dict.fromkeys(["cold_start", "summary", "memory", "parity", "disturbance"])
    m3 = Host("m3", "mcu", cpu="Cortex-M3", board="mps2-an385", emulated=True)
    m0 = Host("m0", "mcu", cpu="Cortex-M0", board="microbit", emulated=True)
    counted = {"status": "invalid", "reason": "counted under QEMU"}
    return [
        make_row(firmware=firmware, samples_ns=(), host=m3, **nothing, **counted),
        make_row(status="failed", reason="too large", samples_ns=(), host=m0, **nothing),
    ]


def test_microcontrollers_have_flash_and_ram(on_boards):
    text = words(render_report(on_boards))
    assert "binary_net_mlp mps2-an385 Cortex-M3 5,000,000 21,000 3,000 400 784 – the host" in text
    assert "microbit Cortex-M0 – – – – – – failed" in text
    assert "not reached" not in text
    assert "fastest backend" not in text
    markdown = render_markdown(on_boards, 2)
    assert "| binary_net_mlp | mps2-an385 | Cortex-M3 | 5,000,000 | 21,000 |" in markdown
    assert "p50" not in markdown


def test_exact_counts_are_not_among_what_is_doubted(on_boards):
    for text in (words(render_report(on_boards)), render_markdown(on_boards, 2)):
        assert "counted under QEMU" not in text
        assert "too large" in text
        assert "m3 (emulated): instructions, flash and RAM of an emulated board" in text
        assert "are not shown" not in text
    assert "1 model, 1 measurement, 2 devices" in words(render_report(on_boards))


def test_records_for_programs_have_the_counts_of_microcontrollers(on_boards, make_row, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{to_json(row)}\n" for row in [*on_boards, make_row()]))
    result = CliRunner().invoke(report_command, [str(file), "--format", "json"])
    records = json.loads(result.stdout)
    assert [record["flash_bytes"] for record in records] == [21_000, None, None]
    assert [record["instructions"] for record in records] == [5_000_000, None, None]
    assert [record["reason"] for record in records] == ["counted under QEMU", "too large", None]
    csv = CliRunner().invoke(report_command, [str(file), "--format", "csv"]).stdout
    assert "flash_bytes" in csv.splitlines()[0]


def test_tables_of_latencies_leave_microcontrollers_out(on_boards, make_row, tmp_path):
    rows = [*on_boards, make_row()]
    page = render_report(rows)
    assert "fastest backend" in page
    results = page[page.index("<h2>Results") : page.index("<h2>How they")]
    assert "m3" not in results
    markdown = render_markdown(rows, 3)
    assert markdown.index("p50") < markdown.index("## Microcontrollers")
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{to_json(row)}\n" for row in rows))
    result = CliRunner().invoke(report_command, [str(file), "--format", "md"])
    latencies, boards = result.stdout.split("| network |")
    assert "m3" not in latencies
    assert "| microbit | Cortex-M0 | – |" in boards


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


def test_accuracy_on_the_device_is_in_charts_and_findings(make_row):
    """Of a file without a report."""

    def measured(accuracy, **changes):
        evaluation = Evaluation("d", "s", 1000, "test", accuracy)
        return make_row(accuracy=None, evaluation=evaluation, **changes)

    rows = [measured(0.91), measured(0.93, **BASELINE, setup="litert")]
    page = render_report(rows)
    assert "binary_net_mlp: 400 kB, 91.00 % on the device" in page
    assert "accuracy on the device, %" in page
    assert "is unknown" not in page
    (found,) = findings(rows)
    assert found.accuracy_points == pytest.approx(-2)


def test_charts_of_both_kinds_of_accuracy_name_neither(make_row):
    evaluation = Evaluation("d", "s", 1000, "test", 0.91)
    rows = [make_row(), make_row(name="other", accuracy=None, evaluation=evaluation)]
    page = render_report(rows)
    assert ">accuracy, %<" in page
    assert "94.50 % in the file" in page
