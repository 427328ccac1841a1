"""The alarms of a run as a monitor knows them: those that are raised, complete for a late joiner.

`AlarmPictures` takes ``alarm`` signals one by one, and the list in the reply to a ``status``
request, which has all of them. Ids only rise, so that a reply that is older than a signal is known
to be, and takes nothing back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from h5daq.flow.vigil import WRITER
from h5daq.monitor import words

__all__ = ["Alarm", "AlarmPictures", "writer_silent"]

STEP_SECONDS = 10.0
"""By these it is told for how long a writer is silent, once it is longer than that."""

_RANKS = {"warn": 1, "alarm": 2}


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm, or its end.

    Parameters
    ----------
    id : int
        One that is told later has a larger one, also from a writer that was started again.
    time : float
        When it was seen, UTC seconds since 1970-01-01.
    job, column : str
        What it is about; empty where it is about none.
    kind : str
        ``"low"``, ``"high"``, ``"stale"``, ``"down"``, ``"loss"``, ``"disk"`` or ``"writer"``.
    level : str
        ``"ok"``, ``"warn"`` or ``"alarm"``.
    value, limit : float or None
        What was seen, and the bound that it has passed.
    text : str
        The same for people.
    """

    id: int
    time: float
    job: str
    column: str
    kind: str
    level: str
    value: float | None
    limit: float | None
    text: str

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Alarm | None:
        """What a signal or a reply tells; None if that is no alarm."""
        kind, level, number, time = (told.get(key) for key in ("kind", "level", "id", "time"))
        if not (isinstance(kind, str) and level in ("ok", *_RANKS)):
            return None
        return cls(
            id=number if type(number) is int else 0,
            time=_real(time) or 0.0,
            job=str(told.get("job") or ""),
            column=str(told.get("column") or ""),
            kind=kind,
            level=str(level),
            value=_real(told.get("value")),
            limit=_real(told.get("limit")),
            text=str(told.get("text") or ""),
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """Job, column and kind: what it is about."""
        return self.job, self.column, self.kind

    @property
    def where(self) -> str:
        """Job and column in one, e.g. ``"tank/T"``; empty where it is about neither."""
        return "/".join(filter(None, (self.job, self.column)))

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return asdict(self)


def writer_silent(silence: float, most: float, now: float) -> Alarm:
    """The alarm that a writer can't raise itself: it was not heard for so many seconds.

    Parameters
    ----------
    silence, most : float
        For how long, and how long it may be; seconds.
    now : float
        UTC seconds since 1970-01-01.

    Examples
    --------
    >>> writer_silent(75.0, 4.0, now=100.0).text
    'writer: not heard for 1 min'
    """
    # In steps: each change is read aloud by a screen reader.
    shown = silence if silence < STEP_SECONDS else silence // STEP_SECONDS * STEP_SECONDS
    text = f"{WRITER}: not heard for {words.duration(shown)}"
    return Alarm(0, now - silence + most, "", "", WRITER, "alarm", silence, most, text)


class AlarmPictures(Mapping[tuple[str, str, str], Alarm]):
    """The raised alarms, by job, column and kind; in the order in which they were told.

    Examples
    --------
    >>> alarms = AlarmPictures()
    >>> told = {"id": 1, "time": 0.0, "job": "tank", "column": "T", "kind": "high"}
    >>> alarms.take({**told, "level": "warn"}).where, len(alarms)
    ('tank/T', 1)
    >>> alarms.take({**told, "id": 2, "level": "ok"}).level, len(alarms)
    ('ok', 0)
    """

    def __init__(self) -> None:
        self._raised: dict[tuple[str, str, str], Alarm] = {}
        self._newest = 0

    def __getitem__(self, key: tuple[str, str, str]) -> Alarm:
        return self._raised[key]

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        return iter(self._raised)

    def __len__(self) -> int:
        return len(self._raised)

    def take(self, told: Mapping[str, Any]) -> Alarm | None:
        """A signal; the alarm in it, if it is one."""
        alarm = Alarm.of(told)
        if alarm is not None:
            self._newest = max(self._newest, alarm.id)
            self._put(alarm)
        return alarm

    def take_all(self, told: object, newest: object) -> bool:
        """The list of a reply; False if signals have told newer ones already.

        Parameters
        ----------
        told : list of mapping
            All that are raised.
        newest : int
            The last id that the writer had given when it answered.
        """
        if type(newest) is not int:
            return True  # It does not say, and so nothing is known anew.
        if newest < self._newest:
            return False
        parts = told if isinstance(told, Sequence) else ()
        found = (Alarm.of(part) for part in parts if isinstance(part, Mapping))
        self._newest, self._raised = newest, {}
        for alarm in filter(None, found):
            self._put(alarm)
        return True

    def forget(self) -> None:
        """Another writer, which tells its own."""
        self._raised, self._newest = {}, 0

    def worst(self) -> list[Alarm]:
        """Alarms before warnings, the newest first."""
        return sorted(self._raised.values(), key=lambda a: (-_RANKS[a.level], -a.id))

    @property
    def level(self) -> str:
        """The level of the worst: ``"ok"`` where none is raised."""
        return self.worst()[0].level if self._raised else "ok"

    def of_job(self, job: str) -> list[Alarm]:
        """Those of one job and its columns, the worst first."""
        return [alarm for alarm in self.worst() if alarm.job == job]

    def _put(self, alarm: Alarm) -> None:
        self._raised.pop(alarm.key, None)
        if alarm.level in _RANKS:
            self._raised[alarm.key] = alarm


def _real(value: Any) -> float | None:
    known = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if known else None
