"""The report's content, as HTML, Markdown and PNG."""

import dataclasses
import re

import pytest
from click.testing import CliRunner

from edge.bench import measurement
from edge.commands.report import report as report_command
from edge.report.caveats import caveats
from edge.report.findings import fastest_lines, findings
from edge.report.markdown import render_markdown
from edge.report.page import render_report, write_report
from edge.results.row import (
    Aggregates,
    Evaluation,
    Host,
    NotBinary,
)
from edge.results.row_json import to_json
from onebit.errors import OnebitError, UsageError

from .report_rows import BASELINE, BOARD, emulated, words


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
