"""Curves and images as one SVG: a panel below the other, each with its own axes. Pure.

SVG is text that JupyterLab, the classic notebook and VS Code all draw without an extension and
without a network. The paper is white, also in a dark notebook: the front end shows it as a picture.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from numpy.typing import NDArray

from h5daq.canvas import time_ticks
from h5daq.monitor.thin import Floats

__all__ = ["Panel", "drawing"]

WIDTH, HEIGHT = 760, 190
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 24, 24
FOOT = 20

MOST = 1e290
"""Values beyond are no place on an axis."""

COLORS = ("#1f6fb4", "#c4501b", "#2d8a47", "#8a4fa8", "#b3861a", "#0f8c95", "#b5325b", "#666666")


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel.

    Parameters
    ----------
    title : str
        Stands above it.
    curves : sequence of (x, y)
        Each float64 of shape ``(n,)``; a NaN in `y` breaks the line.
    is_time : bool
        Whether `x` is UTC seconds since 1970-01-01, told by the clock of this machine.
    image : ndarray, optional
        Of shape ``(rows, columns)``, in place of curves; the least value is black.
    note : str
        What is said where there is nothing to draw.
    """

    title: str
    curves: Sequence[tuple[Floats, Floats]] = field(default_factory=tuple)
    is_time: bool = True
    image: Floats | None = None
    note: str = ""


def drawing(panels: Sequence[Panel], foot: str) -> str:
    """An SVG of all panels, with a line of text below.

    Examples
    --------
    >>> svg = drawing([Panel("T", [(np.arange(3.0), np.ones(3))])], "recording")
    >>> svg.startswith("<svg "), svg.count("<polyline"), "recording" in svg
    (True, 1, True)
    """
    height = HEIGHT * len(panels) + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        parts += [f'<g transform="translate(0 {HEIGHT * number})">', *_panel(panel), "</g>"]
    parts += [_text(LEFT, height - 6, foot, fill="#666"), "</svg>"]
    return "\n".join(parts)


def _panel(panel: Panel) -> list[str]:
    title = _text(LEFT, 16, panel.title, size=13)
    if panel.image is not None and panel.image.size:
        return [title, _image(panel.image)]
    known = [_known(x, y) for x, y in panel.curves]
    if not any(len(x) for x, _ in known):
        return [title, _text(LEFT, HEIGHT // 2, panel.note or "no values yet", fill="#666")]
    xs, ys = (np.concatenate([pair[axis] for pair in known]) for axis in (0, 1))
    across, up = _span(xs, 0.0), _span(ys, 0.05)
    lines = [
        line
        for number, curve in enumerate(panel.curves)
        for line in _lines(*curve, across, up, COLORS[number % len(COLORS)])
    ]
    return [title, *_grid(xs, across, up, is_time=panel.is_time), *lines]


def _drawable(values: Floats) -> NDArray[np.bool_]:
    # Finite, and so are differences.
    return np.abs(values) < MOST


def _known(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    there = _drawable(x) & _drawable(y)
    return x[there], y[there]


def _span(values: Floats, margin: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    size, more = max(abs(low), abs(high), 1.0 / MOST), margin * (high - low)
    if high - low <= 1e-9 * size:
        more = 1e-6 * size
    return low - more, high + more


def _place(values: Floats, span: tuple[float, float], begin: float, end: float) -> Floats:
    low, high = span
    places: Floats = begin + (values - low) / (high - low) * (end - begin)
    return places


def _across(x: Floats, span: tuple[float, float]) -> Floats:
    return _place(x, span, LEFT, WIDTH - RIGHT)


def _up(y: Floats, span: tuple[float, float]) -> Floats:
    return _place(y, span, HEIGHT - BOTTOM, TOP)


def _lines(
    x: Floats, y: Floats, across: tuple[float, float], up: tuple[float, float], color: str
) -> list[str]:
    """A line for each stretch without a gap; a lonely point is a dot."""
    there = np.flatnonzero(_drawable(x) & _drawable(y))
    if not len(there):
        return []
    stretches = np.split(there, np.flatnonzero(np.diff(there) > 1) + 1)
    return [
        _line(_across(x[part], across).tolist(), _up(y[part], up).tolist(), color)
        for part in stretches
    ]


def _line(x: list[float], y: list[float], color: str) -> str:
    if len(x) == 1:
        return f'<circle cx="{x[0]:.1f}" cy="{y[0]:.1f}" r="2" fill="{color}"/>'
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.3"/>'


# -- axes ------------------------------------------------------------------------------------------


def _grid(
    xs: Floats, across: tuple[float, float], up: tuple[float, float], *, is_time: bool
) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#999"/>']
    for value in _round_values(*up, 5):
        y = float(_up(np.array([value]), up)[0])
        parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#e4e4e4"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:.10g}", anchor="end"))
    if is_time:
        ticks = time_ticks(np.array([xs.min(), xs.max()]), 84, None)
        marks = list(zip(ticks.positions, ticks.labels, strict=True))
    else:
        marks = [(value, f"{value:g}") for value in _round_values(*across, 8)]
    for value, label in marks:
        x = float(_across(np.array([value]), across)[0])
        if LEFT - 1 <= x <= right + 1:
            parts.append(f'<path d="M{x:.1f} {bottom}v4" stroke="#999"/>')
            parts.append(_text(x, bottom + 15, label, anchor="middle"))
    return parts


def _round_values(low: float, high: float, most: int) -> list[float]:
    """Up to `most` round numbers between two.

    Examples
    --------
    >>> _round_values(0.0, 10.0, 5)
    [0.0, 5.0, 10.0]
    """
    rough = (high - low) / (most - 1)
    ten = 10.0 ** np.floor(np.log10(rough))
    step = next((n * ten for n in (1.0, 2.0, 5.0) if n * ten >= rough), 10.0 * ten)
    first, last = np.ceil(low / step), np.floor(high / step)
    return [float(number * step) + 0.0 for number in np.arange(first, last + 0.5)][: most + 1]


# -- elements --------------------------------------------------------------------------------------


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", fill: str = "#222", size: int = 11
) -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} fill="{fill}" font-size="{size}">{escape(text)}</text>'


def _image(values: Floats) -> str:
    """Grey, as a PNG within the SVG; what is no number is white."""
    there = _drawable(values)
    grey = np.full(values.shape, 255.0)
    if there.any():
        grey[there] = _place(values[there], _span(values[there], 0.0), 0.0, 254.0)
    data = _png(grey.astype(np.uint8))
    source = base64.b64encode(data).decode()
    place = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - 6}"'
    return (
        f'<image {place} preserveAspectRatio="xMinYMin" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{source}"/>'
    )


def _png(grey: NDArray[np.uint8]) -> bytes:
    """Grey values as a PNG (ISO/IEC 15948): its header, the lines, its end."""
    header = struct.pack(">IIBBBBB", *grey.shape[::-1], 8, 0, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + row.tobytes() for row in grey))
    parts = ((b"IHDR", header), (b"IDAT", lines), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
