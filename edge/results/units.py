"""Figures as people read them."""

NONE = "–"


def milliseconds(ns: float | None, digits: int = 3) -> str:
    """Nanoseconds as milliseconds with `digits` significant digits: `0.447 ms`."""
    return NONE if ns is None else f"{significant(ns / 1e6, digits)} ms"


def size(size_bytes: float | None) -> str:
    """Bytes in decimal units with three significant digits: `11.6 MB`."""
    if size_bytes is None:
        return NONE
    value, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB"):
        # 999.5 would print as 1000 with three digits.
        if abs(value) < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} B" if unit == "B" else f"{significant(value)} {unit}"


def percent(fraction: float | None) -> str:
    """A fraction of 1 with two decimals: `94.70 %`."""
    return NONE if fraction is None else f"{fraction * 100:.2f} %"


def ratio(value: float | None) -> str:
    """A factor with three significant digits: `29.6×`."""
    return NONE if value is None else f"{significant(value)}×"


def significant(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, without an exponent: 0.0123, 1.50, 1234."""
    if value == 0:
        return "0"
    magnitude = int(f"{abs(value):e}".split("e")[1])
    # 9.996 rounds up into the next power of ten, which needs a decimal fewer.
    if round(abs(value), max(0, digits - 1 - magnitude)) >= 10.0 ** (magnitude + 1):
        magnitude += 1
    return f"{value:.{max(0, digits - 1 - magnitude)}f}"


def significant_short(value: float) -> str:
    """`significant` without trailing zeros, for axis marks: 0.5, 20, 1000."""
    text = significant(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def size_short(size_bytes: float) -> str:
    """`size` without trailing zeros, for axis marks: `500 kB`, `2 MB`."""
    number, _, unit = size(size_bytes).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"
