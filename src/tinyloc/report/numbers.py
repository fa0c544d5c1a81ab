"""How numbers are written in tables and sentences: one way for each kind."""

import math
from collections.abc import Iterable

KB = 1024


def counted(number: int, what: str) -> str:
    """ "1 unit", "1,200 units"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def small_percent(fraction: float) -> str:
    """As `percent`, but two digits that count of what would round to nothing."""
    return percent(fraction) if fraction >= 0.001 else f"{100 * fraction:.2g}"


def points(fraction: float, digits: int = 1) -> str:
    """A difference of two fractions, in points, with its sign; one that rounds to nothing has none."""
    text = f"{100 * fraction:+.{digits}f}".replace("-", "−")
    return text if text[1:].strip("0.") else text[1:]


def kilobytes(size: float) -> str:
    """A dash for NaN: an arena where TFLite Micro does not run."""
    return "–" if math.isnan(size) else f"{size / KB:.1f}"


def span(values: Iterable[float], text: str = "{:,.0f}") -> str:
    """One number where all are written alike, otherwise the smallest and the largest."""
    values = list(values)
    low, high = text.format(min(values)), text.format(max(values))
    return low if low == high else f"{low} – {high}"


def p_value(p: float) -> str:
    """A dash for NaN: no test."""
    return "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
