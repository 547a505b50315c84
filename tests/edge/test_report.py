"""The page: what it says, and how a real browser shows it."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import pytest

from edge.caveats import caveats
from edge.report import findings, render_report, wilson_interval
from edge.rows import Disturbance, Parity
from onebit.errors import OnebitError

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


def test_page_says_what_the_rows_say(some_rows):
    page = render_report(some_rows)
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
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
    assert "1 model,\n    1 measurement" in page
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


@pytest.mark.parametrize("width", [390, 1280])
def test_page_in_a_browser(browser, tmp_path, some_rows, width):
    (tmp_path / "page.html").write_text(render_report(some_rows).replace("</body>", PROBE))
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
    assert answer["scroll"] <= width
    assert answer["wide"] == []
    assert answer["clipped"] == []
    assert answer["requests"] == []
    # Both drawings of each chart are in the page; those for this width are visible and readable.
    assert answer["texts"] > 20
    assert answer["smallest"] >= 10
