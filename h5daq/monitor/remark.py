"""Lines of the log: what workers say, alarms, and changes of a job's state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from h5daq.monitor.job import ALARMING, JobPicture

__all__ = ["Remark", "remark_of", "state_remark"]


@dataclass(frozen=True, slots=True)
class Remark:
    """A line of the log: when (UTC seconds), level, who, text."""

    time: float
    level: str
    source: str
    text: str


def remark_of(level: str, path: str, told: Mapping[str, Any], now: float) -> Remark:
    """What a ``log`` or ``alarm`` signal about a path says."""
    source = path or str(told.get("job") or told.get("name") or "writer")
    text = str(told.get("text") or told.get("message") or told.get("cause") or "")
    time = told.get("time")
    when = float(time) if isinstance(time, int | float) else now
    return Remark(when, level.upper(), source, text)


def state_remark(job: JobPicture, before: str, now: float) -> Remark | None:
    """That a job's state is another one than before, if it is; its first one is no change."""
    if before in ("new", job.state):
        return None
    text = f"{before} → {job.state}" + (f": {job.message}" if job.message else "")
    return Remark(now, "WARNING" if job.state in ALARMING else "INFO", job.name, text)
