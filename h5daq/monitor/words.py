"""Numbers as a person reads them at a glance: ``4.21 M``, ``1.5 GB``, ``3 min``, and a sparkline.

Every function gives short text of one line. What comes from instruments and files is text of other
people: `clean` takes out what could move the cursor or colour the screen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

__all__ = ["clean", "count", "duration", "lateness", "shape", "size", "sparkline", "value"]

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-:=+*#"
_STEPS = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3))


def clean(text: str, most: int = 200) -> str:
    """Text without control characters, cut to `most` characters.

    Examples
    --------
    >>> clean("a\\x1b[31mb\\n")
    'a·[31mb·'
    """
    printable = "".join(c if c.isprintable() else "·" for c in text[: most + 1])
    return printable if len(printable) <= most else printable[: most - 1] + "…"


def count(number: float) -> str:
    """How many, with three or four digits.

    Examples
    --------
    >>> [count(n) for n in (0, 7, 0.05, 12.34, 1234, 56_789, 4_213_456)]
    ['0', '7', '0.05', '12.3', '1234', '56.8 k', '4.21 M']
    """
    if abs(number) >= 9999.5:
        sign, scale = next((s, v) for s, v in _STEPS if abs(number) >= v * 0.9995 or s == "k")
        return f"{_digits(number / scale)} {sign}"
    return str(int(number)) if number == int(number) or abs(number) >= 1000 else _digits(number)


def _digits(number: float) -> str:
    # Rounded first: 9.9996 has as many digits before the point as 10.
    rounded = abs(float(f"{number:.3g}"))
    if rounded < 1.0:
        return f"{number:.2g}"
    return f"{number:.{max(0, 2 - math.floor(math.log10(rounded)))}f}"


def size(number: float) -> str:
    """Bytes, in powers of 1000.

    Examples
    --------
    >>> [size(n) for n in (0, 999, 1_500_000, 64e9)]
    ['0 B', '999 B', '1.50 MB', '64.0 GB']
    """
    for sign, scale in _STEPS:
        if abs(number) >= scale * 0.9995:
            return f"{_digits(number / scale)} {sign}B"
    return f"{number:.0f} B"


def duration(seconds: float) -> str:
    """A length of time.

    Examples
    --------
    >>> [duration(s) for s in (0.2, 5, 61, 3725, 200_000)]
    ['0 s', '5 s', '1 min', '1 h 02', '2 d 7 h']
    """
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d}"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def lateness(milliseconds: float) -> str:
    """By how much readings begin late.

    Examples
    --------
    >>> [lateness(ms) for ms in (0.04, 2.5, 1200)]
    ['40 µs', '2.5 ms', '1.2 s']
    """
    if milliseconds < 1.0:
        return f"{1000 * milliseconds:.0f} µs"
    return f"{milliseconds:.3g} ms" if milliseconds < 1000.0 else f"{milliseconds / 1000:.3g} s"


def value(entry: Any) -> str:
    """One entry of a row.

    Examples
    --------
    >>> [value(v) for v in (293.15, 3, True, [1, 2], None)]
    ['293.15', '3', 'true', '[2]', '–']
    """
    if isinstance(entry, bool):
        return str(entry).lower()
    if isinstance(entry, float):
        return f"{entry:.6g}"
    if isinstance(entry, list):
        return f"[{len(entry)}]"
    return "–" if entry is None else clean(str(entry), 24)


def shape(extents: Sequence[int]) -> str:
    """The shape of an array.

    Examples
    --------
    >>> shape((8, 1024))
    '[8×1024]'
    """
    return f"[{'×'.join(map(str, extents))}]"


def sparkline(points: Sequence[float], width: int, ascii_only: bool = False) -> str:
    """The last `width` points as little bars between their least and their largest.

    Examples
    --------
    >>> sparkline([0, 1, 2, 3, 2, 1], 6)
    '▁▃▆█▆▃'
    >>> sparkline([5, 5, 5], 6)
    '▄▄▄'
    """
    bars = _ASCII_BARS if ascii_only else _BARS
    shown = list(points)[-width:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high == low:
        return bars[3] * len(shown)
    # Halves first: the span of two large floats may be too large for one.
    span = high / 2 - low / 2
    return "".join(bars[round((p / 2 - low / 2) / span * 7)] for p in shown)
