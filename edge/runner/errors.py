"""Errors whose messages are written for people."""


class RequestError(Exception):
    """The request cannot be fulfilled on this machine; one line that says why."""
