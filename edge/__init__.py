"""Runs and measures `.tflite` files on devices; needs neither Keras nor Larq.

    rows = edge.benchmark(["model.tflite"])
    edge.write_report(rows, "report.html")

NumPy and the like are imported when the first of these names needs them.
"""

from typing import TYPE_CHECKING

from onebit.lazy import lazy_names

if TYPE_CHECKING:
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

_MODULE_OF = {
    "Plan": "edge.bench.measurement",
    "Row": "edge.results.row",
    "RowWriter": "edge.results.row_files",
    "benchmark": "edge.bench.cells",
    "plan_for": "edge.bench.measurement",
    "read_rows": "edge.results.row_files",
    "render_report": "edge.report.page",
    "write_report": "edge.report.page",
}

__getattr__ = lazy_names(__name__, _MODULE_OF)
