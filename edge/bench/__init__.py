"""Measures files on devices: plans cells, runs them, makes rows."""
