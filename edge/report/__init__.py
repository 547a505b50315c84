"""The report page, its charts and its texts."""

from edge.report.page import render_report, write_report

__all__ = ["render_report", "write_report"]
