"""What a page is told of the run and of each job: the facts it shows, and no more.

Numbers are rounded to what is shown, so that what looks the same is not sent again; and whatever is
not finite becomes None, since JSON has no word for it.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from h5daq.flow.batch import EARLIEST, LATEST
from h5daq.monitor.job import JobPicture
from h5daq.monitor.picture import Picture

__all__ = ["attribute", "job_facts", "run_facts"]

MOST_VALUES = 8
"""Newest values of a job in the list of jobs; its plots have all."""

MOST_TEXT = 80

MOST_EXACT = 2**53
TIMES = ("run_start", "run_end", "file_start", "file_end")
"""Attributes of a run that are UTC seconds."""


def run_facts(picture: Picture, now: float, trouble: str) -> dict[str, Any]:
    """The run, its writer and the sums over all jobs."""
    writer = picture.writer
    age = picture.checkpoint_age(now)
    return {
        "id": writer.run_id, "name": writer.run_name, "path": writer.run_path,
        "start": writer.run_start, "file": writer.file, "directory": writer.directory,
        "durability": writer.durability, "state": writer.state,
        "trouble": _trouble(picture, trouble), "insecure": writer.insecure,
        "heard": picture.heard is not None,
        "checkpoint_age": None if age is None else round(age),
        "journal_bytes": writer.journal_bytes, "disk_free": _rough(writer.disk_free, 3),
        "rows": picture.rows(), "rate": _rough(picture.rate(now), 3),
        "byte_rate": _rough(picture.byte_rate(now), 3), "lost": picture.lost(),
        "alarms": [{"level": alarm.level, "text": alarm.text or alarm.where}
                   for alarm in picture.raised(now)],
    }  # fmt: skip


def _trouble(picture: Picture, trouble: str) -> str:
    if picture.ended:
        return "The run has ended; this page goes on with the next one."
    return picture.writer.trouble or trouble


def attribute(name: str, value: Any) -> Any:
    """An attribute of a run for people: times as such, and numbers that are names to the digit.

    Examples
    --------
    >>> attribute("run_start", 1795289000.25), attribute("run_end", float("nan"))
    ('2026-11-21T19:23:20.250Z', 'not yet')
    >>> attribute("file_id", 7010769952521401723), attribute("shots", 12)
    ('7010769952521401723', 12)
    """
    if name in TIMES and isinstance(value, int | float):
        return _moment(value) if EARLIEST <= value < LATEST else "not yet"
    # More than a browser's numbers can tell apart.
    return str(value) if isinstance(value, int) and abs(value) > MOST_EXACT else plain(value)


def _moment(seconds: float) -> str:
    """UTC seconds as ISO 8601."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def job_facts(job: JobPicture, now: float) -> dict[str, Any]:
    """One job."""
    return {
        "state": "silent" if job.silent(now) else job.state, "host": job.host,
        "message": job.message, "rows": job.rows, "in_file": job.in_file, "held": job.held,
        "lost": job.lost, "restarts": job.restarts, "late": job.late,
        "rate": _rough(job.rate(now), 3), "last_time": job.last_time,
        "period": job.read_period, "mode": job.read_mode, "values": _values(job),
    }  # fmt: skip


def _values(job: JobPicture) -> dict[str, Any]:
    shown = [(k, v) for k, v in job.last.items() if k != "time"][:MOST_VALUES]
    return {label: plain(value) for label, value in shown}


def plain(value: Any) -> Any:
    """A value as JSON has it; an array as its shape in words.

    Examples
    --------
    >>> plain(2.0 / 3.0), plain([[1, 2, 3]]), plain(float("nan"))
    (0.6666667, '[1 × 3]', None)
    """
    if isinstance(value, float):
        return _rough(value, 7)
    if isinstance(value, list | tuple):
        return f"[{' × '.join(map(str, _extents(value)))}]"
    return value if isinstance(value, bool | int | None) else str(value)[:MOST_TEXT]


def _extents(value: Any) -> list[int]:
    extents = []
    while isinstance(value, list | tuple):
        extents.append(len(value))
        value = value[0] if value else None
    return extents


def _rough(number: float | None, digits: int) -> float | None:
    if number is None or not math.isfinite(number):
        return None
    return float(f"{number:.{digits}g}")
