"""Passwords in addresses and options: refused where they enter, masked wherever text leaves."""

import re

MASK = "***"

_USER_AND_PASSWORD = re.compile(
    r"""(?P<before>(?:[A-Za-z][\w+.-]*://)?[^\s:/@'"=,]*):(?!//)(?P<password>[^\s'",]*)@(?=[\w\[])"""
)
_SERIAL_PORT = re.compile(r"""((?<![\w/])serial:/[^\s'",]*)""")
"""A board's address, such as `serial:/dev/ttyUSB0@921600`: behind the @ is a rate, not a host."""

_NAME = r"(?:password|passwd|passphrase|secret|token|api[-_]?key)"
_NAMED = re.compile(
    rf"""(?i)(?P<before>(?:--[\w-]*{_NAME}(?:=|\s+)|\b\w*{_NAME}\s*(?:=|:\s))\s*["']?)"""
    r"""[^\s"'@,;]+"""
)
_SSHPASS = re.compile(r"(?P<before>\bsshpass\s+-p\s*)(?:'[^']*'|\"[^\"]*\"|\S+)")


def without_passwords(text: str) -> str:
    """The text with passwords replaced by `***`.

    >>> without_passwords("ssh://pi:raspberry@board:22")
    'ssh://pi:***@board:22'
    >>> without_passwords("ProxyCommand=sshpass -p hunter2 ssh gate")
    'ProxyCommand=sshpass -p *** ssh gate'
    """
    text = _SSHPASS.sub(rf"\g<before>{MASK}", text)
    text = _NAMED.sub(rf"\g<before>{MASK}", text)
    parts = _SERIAL_PORT.split(text)
    parts[::2] = [_USER_AND_PASSWORD.sub(rf"\g<before>:{MASK}@", part) for part in parts[::2]]
    return "".join(parts)


def holds_password(text: str) -> bool:
    """Whether `without_passwords` finds one."""
    return without_passwords(text) != text
