"""Small files of /proc and /sys; None where they are missing."""

import glob

ROOT = ""
"""Stands before every path; tests put the files of other machines there."""


def find(pattern):
    """The paths that match a pattern, sorted."""
    return sorted(path[len(ROOT) :] for path in glob.glob(ROOT + pattern))


def read_text(path):
    """A small file's text without surrounding blanks and NULs, or None."""
    try:
        with open(ROOT + path, encoding="utf-8", errors="replace") as file:
            return file.read().strip(" \t\r\n\0") or None
    except OSError:
        return None


def read_number(path, scale=1.0):
    """A number in a file, times `scale`, or None."""
    try:
        return float(read_text(path) or "") * scale
    except ValueError:
        return None
