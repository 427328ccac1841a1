"""Curves drawn with characters: the one place that knows plotext.

plotext has a single figure per process; it is cleared before and after each drawing, so nothing
of one plot is left in the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ConfigError

__all__ = ["Curve", "Size", "Ticks", "draw"]

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
