"""Rows: what was measured, as data, files, tables and comparisons."""
