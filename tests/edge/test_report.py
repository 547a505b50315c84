"""The page: what it says, and how a real browser shows it."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import pytest

from edge import measurement
from edge.caveats import caveats
from edge.findings import fastest_lines, findings, wilson_interval
from edge.report import render_report, write_report
from edge.rows import (
    Aggregates,
    Cluster,
    Conditions,
    Disturbance,
    Energy,
    Evaluation,
    Host,
    Memory,
    OpTime,
    Parity,
    Profile,
)
from onebit.errors import OnebitError, UsageError

TWIN = {"name": "float_mlp", "size_bytes": 11_660_000, "binary_macs": 0, "float_macs": 2_800_000}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def some_rows(make_row, failed):
    """Every kind of row, on an x86 host."""
    x86 = {"cpu": "Xeon", "architecture": "x86_64"}
    return [
        make_row(**x86),
        make_row(setup="lce:indirect_bgemm", median_ns=300_000, **x86),
        make_row(setup="litert", accuracy=0.947, median_ns=600_000, **TWIN, **x86),
        make_row(
            name="binary_connect_mlp",
            status="invalid",
            reason="p90 was 83% above the median (limit 50%)",
            **x86,
        ),
        failed(setup="lce:xnnpack", **x86),
        failed("skipped", "the file has ops that litert lacks", setup="litert", **x86),
    ]


PI = Host(
    "kitchen",
    "ssh",
    cpu="Cortex-A76",
    board="Raspberry Pi 5",
    architecture="aarch64",
    cores=4,
    clusters=(
        Cluster((2, 3), 1024, 2400.0, "Cortex-A76"),
        Cluster((0, 1), 400, 1800.0, "Cortex-A55"),
    ),
    governor="ondemand",
    emulated=False,
)
BOARD = dataclasses.replace(PI, device="board", kind="adb", emulated=True, clusters=())


@pytest.fixture
def full_row(make_row):
    """A row in which everything is told that a board can tell."""
    row = make_row(setup="litert:delegate", name="binary_net_mlp")
    moments = (
        Conditions(0.25, 48.0, 2400.0, "ondemand"),
        Conditions(0.5, 61.0, 2100.0, "ondemand"),
    )
    ops = tuple(OpTime(i, "LceBconv2d", "b1_bconv", 1000, 1000.0 * (i + 1)) for i in range(20))
    return dataclasses.replace(
        row,
        host=PI,
        setup=dataclasses.replace(
            row.setup, threads=3, affinity="big", cpus=(2, 3), mode="single-stream"
        ),
        summary=measurement.summarise(
            row.samples_ns, inferences=1600, every=8, elapsed_ns=4 * 10**9
        ),
        memory=Memory(40_000_000, 50_000_000, 10_000_000, None, None, 8192, 397_392),
        evaluation=Evaluation(
            "digits", "sha", 1000, "test", 0.951, "lce on the host", 0.965, 0.98, 0.5
        ),
        disturbance=Disturbance(0.05, 0.0, True, *moments),
        energy=Energy("pi-pmic", 8.0, 2.0, 1000, 0.008, 2.5),
        profile=Profile(100, 230_000.0, (*ops, OpTime(20, "SOFTMAX"))),
    )


def words(page):
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_page_tells_all_that_a_board_told(full_row):
    text = words(render_report([full_row]))
    for expected in (
        "litert: delegate, 3 threads, big cores, single-stream",
        "400 1,600, 1 in 8 kept",  # inferences a second, and in all
        "8.19 kB 397 kB",
        "8.00 mJ 4.00 W 2.50 W pi-pmic",
        "95.10 % 96.50 % 98.00 % 5.0e-01 1,000 of digits (test) lce on the host",
        "0.25 → 0.50 48 °C → 61 °C 2400 MHz → 2100 MHz ondemand yes 2, 3",
        "big cores 2, 3: Cortex-A76, up to 2400 MHz",
        "little cores 0, 1: Cortex-A55",
        "4 more ops",
        "19 LceBconv2d 20.0 µs, 9%",
        "runtime and ops without a time 20.0 µs, 9%",
        "More threads than cores: binary_net_mlp",
        "every 8th or more were kept",
        "some got another class than on the host: binary_net_mlp with",
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
    assert "Not reached: it could not even be asked" in text
    assert "None" not in text
    assert not [note for note in caveats([lost]) if "governor" in note]


def emulated(row):
    reason = measurement.why_invalid(row.samples_ns, row.disturbance, 1, BOARD)
    return dataclasses.replace(row, host=BOARD, status="invalid", reason=reason)


def test_times_and_memory_of_an_emulated_device_are_shown_nowhere(make_row, full_row, tmp_path):
    row = make_row(median_ns=123_456_789_000)
    page = render_report([make_row(setup="litert"), emulated(row), emulated(full_row)])
    alone = render_report([emulated(row)])
    write_report([make_row(setup="litert"), emulated(row)], tmp_path / "report.md")
    for text in (words(page), words(alone), (tmp_path / "report.md").read_text()):
        assert "board (emulated)" in text
        assert "its times and memory say nothing of a real device" in text
        assert "12" not in re.findall(r"(\d+)\d{4} ms", text)
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
    twin = emulated(make_row(setup="litert", **TWIN))
    assert findings([fast, twin]) == []


def test_markdown_report_has_the_tables_and_the_warnings(some_rows, full_row, tmp_path):
    write_report([*some_rows, full_row], tmp_path / "report.md")
    text = (tmp_path / "report.md").read_text()
    for expected in (
        "| model | setup |",
        "x86_64 is not ARM",
        "- failed: **binary_net_mlp** on lce:xnnpack, local (Xeon): the runner was killed",
        "| binary_net_mlp | litert:delegate, 3 threads, big cores, single-stream | kitchen",
        "| 95.10 % | 96.50 % | 98.00 % | 1000 of digits |",
    ):
        assert expected in text


def test_rows_without_samples_are_told_and_drawn_nowhere(failed, tmp_path):
    told = Aggregates(runs=40, mean_ns=7_000_000, min_ns=6e6, max_ns=9e6, std_ns=1e5)
    row = dataclasses.replace(
        failed(setup="benchmark_model"), status="ok", reason=None, aggregates=told
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


def test_page_says_what_the_rows_say(some_rows):
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


def test_page_escapes_what_comes_from_rows(some_rows, make_row):
    evil = "<script>alert('x')</script>"
    rows = [make_row(name=evil, cpu=evil, setup=f"lce:{evil}", status="invalid", reason=evil)]
    page = render_report(some_rows + rows)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_page_of_failures_alone_is_still_a_page(failed):
    page = render_report([failed(accuracy=None)])
    assert "the runner was killed by SIGSEGV" in page
    assert "<h2>Latency</h2>" not in page
    assert "<h2>What accuracy costs</h2>" not in page


def test_page_of_nothing_is_refused():
    with pytest.raises(OnebitError, match="no rows"):
        render_report([])


def test_findings_compare_fastest_setups_with_the_twin(make_row):
    rows = [
        make_row(median_ns=400_000),
        make_row(setup="lce:indirect_bgemm", median_ns=200_000),
        make_row(setup="lce:xnnpack", median_ns=1000, status="invalid", reason="disturbed"),
        make_row(setup="litert", accuracy=0.947, median_ns=600_000, **TWIN),
    ]
    (finding,) = findings(rows)
    assert (finding.model, finding.twin) == ("binary_net_mlp", "float_mlp")
    assert finding.smaller == 11_660_000 / 400_000
    assert finding.faster == rows[3].summary.p50_ns / rows[1].summary.p50_ns
    assert finding.accuracy_points == pytest.approx(-0.2)
    assert finding.setups == "lce:indirect_bgemm against litert"


def test_findings_compare_no_speeds_across_threads_or_hosts(make_row):
    twin = make_row(setup="litert", threads=2, **TWIN)
    (finding,) = findings([make_row(), twin])
    assert finding.faster is None
    elsewhere = make_row(setup="litert", cpu="Cortex-A76", **TWIN)
    assert findings([make_row(), elsewhere]) == []


def test_wilson_interval_agrees_with_its_defining_equation():
    # Its ends are the fractions p from which the observed one is 1.96 standard errors away.
    for end in wilson_interval(945, 1000):
        assert abs(0.945 - end) == pytest.approx(1.96 * (end * (1 - end) / 1000) ** 0.5)
    assert wilson_interval(1000, 1000)[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu": "Xeon", "architecture": "x86_64"}, "x86_64 is not ARM"),
        ({"status": "invalid", "reason": "loud"}, "Disturbed: 1 of 1"),
        ({"accuracy": None}, "No accuracy is known of binary_net_mlp"),
        ({"memory": None}, "memory is unknown"),
        ({"memory": Memory(refused="no such file")}, "memory is unknown"),
        ({"disturbance": Disturbance(other_cores=0.8)}, "up to 0.8 cores busy"),
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
        ("governor", None, "does not tell its frequency governor"),
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
    assert "left out: 1" in page


def test_host_is_listed_once_however_its_load_moves(make_row):
    row = make_row()
    later = dataclasses.replace(
        make_row(threads=2), host=dataclasses.replace(row.host, load_1min=2)
    )
    assert render_report([row, later]).count("instruction sets") == 1


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    return found


PROBE = """<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e =>
    !e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 0.5);
  const texts = [...document.querySelectorAll("svg text")].filter(e => e.getClientRects().length);
  const clipped = texts.filter(e => {
    const text = e.getBoundingClientRect();
    const svg = e.ownerSVGElement.getBoundingClientRect();
    return text.left < svg.left - 1 || text.right > svg.right + 1;
  });
  const answer = {
    inner: innerWidth,
    scroll: document.documentElement.scrollWidth,
    wide: wide.map(e => e.outerHTML.slice(0, 80)),
    clipped: clipped.map(e => e.textContent),
    texts: texts.length,
    smallest: Math.min(...texts.map(e =>
      parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a)),
    requests: performance.getEntriesByType("resource").map(e => e.name),
  };
  parent.postMessage(JSON.stringify(answer), "*");
});
</script></body>"""

# Chromium's windows are at least 500 px wide; a frame may be as narrow as a phone.
FRAME = """<!doctype html><title>frame</title><pre id="probe"></pre><script>
addEventListener("message", e => document.getElementById("probe").textContent = e.data);
</script><iframe src="page.html" style="border:0;width:%dpx;height:900px"></iframe>"""


@pytest.mark.parametrize("width", [360, 375, 768, 941, 1101])
def test_page_in_a_browser(browser, tmp_path, some_rows, full_row, width):
    model = dataclasses.replace(full_row.model, name="a_name_that_is_much_longer_than_any_phone_is")
    rows = [*some_rows, full_row, emulated(full_row), dataclasses.replace(full_row, model=model)]
    (tmp_path / "page.html").write_text(render_report(rows).replace("</body>", PROBE))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME % width)
    result = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,1000",
            "--virtual-time-budget=5000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "CONSOLE" not in result.stderr, result.stderr
    found = re.search(r'<pre id="probe">(.+?)</pre>', result.stdout, re.S)
    assert found, result.stderr[-2000:]
    answer = json.loads(html.unescape(found[1]))
    assert answer["inner"] == width
    assert answer["scroll"] <= width, answer["wide"]
    assert answer["wide"] == []
    assert answer["clipped"] == []
    assert answer["requests"] == []
    # All drawings of each chart are in the page; those for this width are visible and readable.
    assert answer["texts"] > 20
    assert answer["smallest"] >= 10
