"""Curves drawn with characters: the one place that knows plotext.

What `h5daq plot` and the monitor draw looks the same, with the same axis of time.
plotext has a single figure per process; it is cleared before and after each drawing, so nothing
of one plot is left in the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ConfigError

__all__ = ["Curve", "Size", "Ticks", "draw", "time_ticks"]

LEAST_WIDTH, LEAST_HEIGHT = 20, 6

COLORS = ("cyan", "orange", "green", "magenta", "blue", "red", "yellow", "gray")


@dataclass(frozen=True, slots=True)
class Curve:
    """Points to draw, both float64 of the same length; a NaN in `y` breaks the line."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Size:
    """Characters across and down."""

    width: int = 80
    height: int = 20


@dataclass(frozen=True, slots=True)
class Ticks:
    """Where the x axis is labelled, how, and what it counts."""

    positions: list[float]
    labels: list[str]
    name: str = ""


def draw(
    curves: Sequence[Curve],
    title: str,
    size: Size,
    *,
    ticks: Ticks | None = None,
    color: bool = True,
) -> str:
    """The curves as lines of text without a line break at the end.

    Raises
    ------
    ConfigError
        If no curve has a finite value.
    """
    if not any(np.isfinite(curve.y).any() for curve in curves):
        raise ConfigError(f"{title}: there are no finite values to plot")
    # Imported here: it takes a tenth of a second, and only this needs it.
    import plotext

    figure = plotext.figure
    try:
        _prepare(plotext, title, size)
        _label(figure, curves, ticks)
        for number, curve in enumerate(curves):
            _add(plotext, curve, _origin(curves, ticks), COLORS[number % len(COLORS)])
        text = str(figure.build().string())
    finally:
        figure.clear()
        plotext.terminal.clear()
    return (text if color else str(plotext.uncolorize(text))).rstrip("\n")


def _prepare(plotext: Any, title: str, size: Size) -> None:
    plotext.figure.clear()
    # Else it would be cut to the size of a terminal that the text may never see.
    plotext.terminal.limit(False, False)
    plotext.figure.theme("colorless")
    plotext.figure.plot_size(max(LEAST_WIDTH, size.width), max(LEAST_HEIGHT, size.height))
    plotext.figure.title("".join(c if c.isprintable() else "·" for c in title))


def _origin(curves: Sequence[Curve], ticks: Ticks | None) -> float:
    # Seconds since 1970 leave no digits for milliseconds: a labelled axis counts from its begin.
    if ticks is None:
        return 0.0
    return min(float(c.x[np.isfinite(c.y)][0]) for c in curves if np.isfinite(c.y).any())


def _label(figure: Any, curves: Sequence[Curve], ticks: Ticks | None) -> None:
    if ticks is not None:
        origin = _origin(curves, ticks)
        figure.ruler("x").ticks([p - origin for p in ticks.positions], ticks.labels)
        figure.label(ticks.name, "x")


def _add(plotext: Any, curve: Curve, origin: float, color: str) -> None:
    places = np.flatnonzero(np.isfinite(curve.y))
    if not len(places):
        return
    x, y = (curve.x[places] - origin).tolist(), curve.y[places].tolist()
    marker = plotext.marker("braille", plotext.pixel(color))
    signal = plotext.figure.signal(x, y, marker=marker).lines()
    for index in np.flatnonzero(np.diff(places) > 1).tolist():
        signal.line(index + 1, False)
    plotext.figure.draw(signal)


# -- the axis of time ------------------------------------------------------------------------------

_STEPS: tuple[float, ...] = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
)  # fmt: skip
_DAY = 86400.0


def time_ticks(x: NDArray[np.float64], width: int, zone: tzinfo | None = UTC) -> Ticks:
    """Round times along the axis, with date where the curve is longer than a day.

    Parameters
    ----------
    x : ndarray, shape (n,), float64
        Times, seconds since 1970-01-01 UTC, in order.
    width : int
        Characters across.
    zone : tzinfo, optional
        Whose clock the labels tell; None is that of this machine.
    """
    first, last = (float(x[0]), float(x[-1])) if len(x) else (0.0, 1.0)
    room = max(2, width // 14)
    days = _DAY * float(np.ceil((last - first) / _DAY / room))
    step = next((s for s in _STEPS if (last - first) / s <= room), days)
    start = np.ceil(first / step) * step
    positions = [float(p) for p in np.arange(start, last + step / 1e6, step)] or [first]
    long = last - first >= _DAY
    labels = [_clock(position, long, zone) for position in positions]
    return Ticks(positions, labels, "" if zone is None else "UTC")


def _clock(seconds: float, with_date: bool, zone: tzinfo | None) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, zone)
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g}"
    return moment.strftime("%m-%d %H:%M" if with_date else "%H:%M:%S")
