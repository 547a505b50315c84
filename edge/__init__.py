"""Runs and measures `.tflite` files on devices; needs neither Keras nor Larq.

rows = edge.benchmark(["model.tflite"])
edge.write_report(rows, "report.html")
"""

from edge.bench.cells import benchmark
from edge.bench.measurement import Plan, plan_for
from edge.report.page import render_report, write_report
from edge.results.row import Row
from edge.results.row_files import RowWriter, read_rows

__all__ = [
    "Plan",
    "Row",
    "RowWriter",
    "benchmark",
    "plan_for",
    "read_rows",
    "render_report",
    "write_report",
]
