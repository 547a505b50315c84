"""The report of microcontrollers: counted instructions, flash and RAM, and no latencies."""

import json

import pytest
from click.testing import CliRunner

from edge.commands.report import report as report_command
from edge.report.markdown import render_markdown
from edge.report.page import render_report
from edge.results.row import (
    Firmware,
    Host,
)
from edge.results.row_json import to_json

from .report_rows import words


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
    assert latencies.endswith("|\n\n")  # else the two would be one table
    assert "| microbit | Cortex-M0 | – |" in boards
