"""Runs and measures `.tflite` files on devices; needs neither Keras nor Larq.

rows = edge.benchmark(["model.tflite"])
edge.write_report(rows, "report.html")
"""

from edge.bench import benchmark
from edge.measurement import Plan, plan_for
from edge.report import render_report, write_report
from edge.row_files import RowWriter, read_rows
from edge.rows import Row

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
