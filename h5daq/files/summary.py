"""How a group's rows lie in time: rate, period, gaps, and its first and last row.

The period is the median of the steps between rows; a step of more than `GAP_PERIODS` of them is a
gap, and one below zero a clock that was set back. Times are read block by block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.files.group import Group
from h5daq.storage.runs.contents import TIME

__all__ = ["GAP_PERIODS", "Summary", "summarise"]

GAP_PERIODS = 5.0
"""A step between two rows that is longer than so many periods is a gap."""

MOST_GAPS = 10
_SAMPLE = 1 << 16
_SHOWN_ELEMENTS = 8


@dataclass(slots=True)
class Summary:
    """A group in figures.

    Attributes
    ----------
    rows : int
        Rows in view.
    rate : float or None
        Rows per second from the first to the last; None where that can't be told.
    period : float or None
        Median step between rows, seconds.
    gaps : list of (float, float)
        The longest gaps, in order of time: when (UTC seconds) and how long (seconds).
    gap_count, back_count : int
        All gaps; steps back in time.
    first, last : dict
        The first and the last row by label; of long arrays only the shape.
    """

    rows: int
    rate: float | None = None
    period: float | None = None
    gaps: list[tuple[float, float]] = field(default_factory=list)
    gap_count: int = 0
    back_count: int = 0
    first: dict[str, Any] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)


def summarise(group: Group) -> Summary:
    """Look at all times of a group, and at its first and last row.

    Parameters
    ----------
    group : Group
        The rows; a view made by `Group.between` gives a part.
    """
    found = Summary(len(group))
    if not found.rows:
        return found
    found.first, found.last = _shown(group[0]), _shown(group[-1])
    span = float(group[-1:].times[0] - group[:1].times[0])
    found.rate = (found.rows - 1) / span if span > 0 else None
    found.period = _period(group)
    _find_gaps(group, found)
    return found


def _period(group: Group) -> float | None:
    """The median step, of evenly spread stretches where there are very many rows."""
    stretches = max(1, len(group) // _SAMPLE)
    starts = np.linspace(0, max(0, len(group) - _SAMPLE), min(8, stretches)).astype(int)
    steps = np.concatenate([np.diff(group[int(s) : int(s) + _SAMPLE].times) for s in starts])
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else None


def _find_gaps(group: Group, found: Summary) -> None:
    limit = np.inf if found.period is None else GAP_PERIODS * found.period
    before: NDArray[np.float64] = np.empty(0)
    for block in group.blocks():
        times = np.concatenate([before, block.times])
        steps, before = np.diff(times), times[-1:]
        places = np.flatnonzero(steps > limit)
        found.gap_count += len(places)
        found.back_count += int(np.count_nonzero(steps < 0))
        found.gaps += [(float(times[place]), float(steps[place])) for place in places]
        found.gaps = sorted(sorted(found.gaps, key=lambda gap: -gap[1])[:MOST_GAPS])


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {label: _short(value) for label, value in row.items() if label != TIME}


def _short(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.size > _SHOWN_ELEMENTS:
            return f"array {' × '.join(map(str, value.shape))}"
        return [_short(element) for element in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, complex | np.complexfloating):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value
