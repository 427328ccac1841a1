"""What alarms look at beside the values of columns, and what they tell: plain values.

`Rules` say what is watched, `Seen` and `Disk` are what is seen of it once a second, and a `Change`
is what became of an alarm: the one form in which it is kept, published, written down and sent on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["LEVELS", "Change", "Disk", "Key", "Rules", "Seen"]

LEVELS = ("ok", "warn", "alarm")
"""From good to bad."""

Key = tuple[str, str, str]
"""Job, column and kind: what an alarm is about."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is watched beside columns.

    Parameters
    ----------
    down, loss : bool
        Jobs that are down; rows that were lost.
    disk : tuple of float
        Free bytes below which that is a warning, an alarm; 0 for none.
    jobs : tuple of str
        Jobs that are to say hello.
    """

    down: bool = True
    loss: bool = True
    disk: tuple[float, float] = (0.0, 0.0)
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """A job at one moment: the state of its worker, and the rows that it lost in this run."""

    state: str
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk at one moment: free bytes, and what keeps rows from it."""

    free: float | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm that is raised, changes its level or is taken back.

    Parameters
    ----------
    job, column : str
        What it is about; empty where it is about none.
    kind : {"low", "high", "stale", "down", "loss", "disk", "writer"}
        What is wrong.
    level : {"ok", "warn", "alarm"}
        How bad it is now.
    value, limit : float or None
        What was seen, and the bound that it has passed; on the way back too.
    text : str
        The same for people.
    """

    job: str
    column: str
    kind: str
    level: str
    value: float | None
    limit: float | None
    text: str

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.job, self.column, self.kind

    def told(self, number: int, time: float) -> dict[str, Any]:
        """As it is published, with an id and the time (UTC seconds since 1970-01-01)."""
        value = self.value if self.value is not None and math.isfinite(self.value) else None
        return {
            "id": number, "time": time, "job": self.job, "column": self.column,
            "kind": self.kind, "level": self.level, "value": value, "limit": self.limit,
            "text": self.text,
        }  # fmt: skip
