"""How a real browser shows the page, from a phone to a desk."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import pytest

from edge.report.page import render_report
from edge.results.row import Firmware, Instructions, NotBinary

from .report_rows import emulated

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


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
    e.getBoundingClientRect().right > innerWidth + 0.5);
  const texts = [...document.querySelectorAll("svg text")].filter(e => e.getClientRects().length);
  const clipped = texts.filter(e => {
    const text = e.getBoundingClientRect();
    const svg = e.ownerSVGElement.getBoundingClientRect();
    return text.left < svg.left - 1 || text.right > svg.right + 1;
  });
  // A table that is wider than its box is cut, or reaches over the card's edge.
  const cut = [...document.querySelectorAll("table")].filter(e => {
    const box = e.closest("section");
    const end = box.getBoundingClientRect().right - parseFloat(getComputedStyle(box).paddingRight);
    return e.getClientRects().length && e.getBoundingClientRect().right > end + 1;
  });
  const answer = {
    cut: cut.map(e => e.closest("section").querySelector("h2").textContent),
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


def widest(row):
    """A row whose cells are as wide as they get in practice."""
    return dataclasses.replace(
        row,
        status="invalid",
        reason="other processes kept 1.5 of 2 cores busy",
        model=dataclasses.replace(
            row.model,
            name="float_mlp (main/runs/demo/float_mlp.tflite)",
            binary_weight_macs=1_000_000,
            int8_macs=1_000_000,
            not_binary=(NotBinary("float", "a_reason_of_many_letters" * 3, ("a_layer" * 9,), 9),),
        ),
        setup=dataclasses.replace(row.setup, name="lce:indirect_bgemm", mode="quick", threads=12),
        instructions=Instructions((123_456_789,), "qemu-x86_64 7.2.22 -cpu max"),
    )


def microcontroller(row):
    nothing = dict.fromkeys(["cold_start", "summary", "memory", "parity", "energy", "profile"])
    sizes = Firmware(1 << 20, 1 << 24, 1 << 20, 1 << 16, 1 << 20, (123_456_789,), (), "gcc", "q")
    host = dataclasses.replace(row.host, device="mps2-an385", board="mps2-an385", emulated=True)
    return dataclasses.replace(row, host=host, firmware=sizes, samples_ns=(), **nothing)


@pytest.mark.parametrize("width", [360, 420, 768, 941, 1201, 1300])
def test_page_in_a_browser(browser, tmp_path, some_rows, full_row, width):
    model = dataclasses.replace(full_row.model, name="a_name_that_is_much_longer_than_any_phone_is")
    rows = [*some_rows, full_row, emulated(full_row), dataclasses.replace(full_row, model=model)]
    rows += [widest(full_row), microcontroller(full_row)]
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
    assert answer["cut"] == []
    assert answer["requests"] == []
    # All drawings of each chart are in the page; those for this width are visible and readable.
    assert answer["texts"] > 20
    assert answer["smallest"] >= 10
