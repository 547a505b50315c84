"""Cells on this machine, with runners that break in every way."""
