"""Starts the `onebit` command, importing nothing else first, so that Ctrl-C always ends it well."""

from onebit.interrupts import end_at_once


def run() -> None:
    """Runs the `onebit` command; the console script calls it."""
    end_at_once()
    from onebit.__main__ import main

    main(prog_name="onebit")
