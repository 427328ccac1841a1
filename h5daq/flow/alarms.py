"""Which alarms there are: a state machine over what is seen of columns, jobs and the disk.

`Alarms` is pure. `look` takes the extremes of a batch: one look, however many rows, that raises
what the furthest value raises, and takes back only what no value of the batch holds up. So no
excursion is missed, and a value that swings within a batch does not chatter. `tick` takes what is
seen once a second. Both give the changes of level, which are all that anybody is told.

Times are seconds of a clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from h5daq.flow.limits import Limits
from h5daq.flow.watched import LEVELS, Change, Disk, Key, Rules, Seen

__all__ = ["Alarms"]

DOWN = frozenset({"silent", "hanging", "restarting", "given up", "refused", "failed", "missing"})
"""States in which a job is down."""

RESTING = frozenset({"paused", "ended", "draining"})
"""States in which nobody expects values of a job."""

UNKNOWN = "new"
"""The state of a job of which nothing was heard yet: it changes no alarm about it."""

HELLO_SECONDS = 30.0
"""How long a job may take to say hello before it is down."""

QUIET_SECONDS = 60.0
"""How long nothing more must be lost until the alarm about a loss is taken back."""

_ROOM = 1.1
"""Free space must be so many times the bound to take an alarm about it back."""


@dataclass(slots=True)
class _Loss:
    lost: int = 0
    since: float = float("-inf")


class Alarms:
    """All alarms of a run.

    Parameters
    ----------
    limits : mapping
        By job and column.
    rules : Rules
        What else is watched.
    now : float
        When the watch begins.
    lost : mapping of str to int, optional
        Rows that jobs had lost by then, which is no news.
    raised : iterable of Change, optional
        What is raised already, by an earlier watch of the same run: it is no news either, and is
        taken back when it is over.

    Attributes
    ----------
    current : dict of Key to Change
        Those that are raised, in the order in which they became what they are.

    Examples
    --------
    >>> limits = {"tank": {"T": Limits.of({"warn": {"high": 300}, "hysteresis": 1})}}
    >>> alarms = Alarms(limits, Rules(), now=0.0)
    >>> [change.text for change in alarms.look("tank", "T", 299.0, 301.0, now=1.0, unit="K")]
    ['tank/T = 301 K: above 300 K']
    >>> alarms.look("tank", "T", 299.0, 299.5, now=2.0)
    []
    >>> [change.level for change in alarms.look("tank", "T", 298.0, 299.0, now=3.0)]
    ['ok']
    """

    def __init__(
        self,
        limits: Mapping[str, Mapping[str, Limits]],
        rules: Rules,
        now: float,
        lost: Mapping[str, int] | None = None,
        raised: Iterable[Change] = (),
    ) -> None:
        self.limits, self.rules = limits, rules
        self.current: dict[Key, Change] = {change.key: change for change in raised}
        self._begun = now
        self._seen: dict[tuple[str, str], float] = {}
        # When the last of them was lost is not known: it is as if it were just now.
        self._losses = {job: _Loss(rows, now) for job, rows in (lost or {}).items()}
        # A column without numbers has none yet: it needs one to be well again.
        stale = (key[:2] for key in self.current if key[2] == "stale")
        self._seen |= dict.fromkeys(stale, float("-inf"))

    # -- values --------------------------------------------------------------------------------

    def look(
        self,
        job: str,
        column: str,
        low: float | None,
        high: float | None,
        now: float,
        unit: str = "",
    ) -> list[Change]:
        """What the least and the greatest value of a batch change.

        Parameters
        ----------
        job, column : str
            Which column; one without limits changes nothing.
        low, high : float or None
            Extremes; NaN is none. None where there is no number, or none is needed.
        now : float
            When they were seen.
        unit : str
            Of the column, for the texts.
        """
        limits = self.limits.get(job, {}).get(column)
        if limits is None:
            return []
        if low is not None or high is not None:
            self._seen[job, column] = now
        changes: list[Change] = []
        for kind, bounds in limits.bounds.items():
            value = low if kind == "low" else high
            if value is not None:
                key = (job, column, kind)
                changes += self._beyond(key, value, bounds, limits.hysteresis, unit)
        return changes

    def _beyond(
        self,
        key: Key,
        value: float,
        bounds: tuple[float | None, float | None],
        hysteresis: float,
        unit: str,
    ) -> Iterator[Change]:
        sign = -1.0 if key[2] == "low" else 1.0
        was, level = self._level(key), 0
        for rank, bound in enumerate(bounds, start=1):
            if bound is not None:
                # What is raised stays until the value is inside by the hysteresis.
                edge = sign * bound - (hysteresis if was >= rank else 0.0)
                level = rank if sign * value > edge else level
        if level != was:
            warn, alarm = bounds
            limit = alarm if level == 2 or warn is None else warn
            yield self._set(key, level, value, limit, _value_text(key, level, value, limit, unit))

    # -- once a second -------------------------------------------------------------------------

    def tick(self, now: float, jobs: Mapping[str, Seen], disk: Disk) -> list[Change]:
        """What the state of jobs and disk changes, and the time that has passed.

        Parameters
        ----------
        now : float
            The time.
        jobs : mapping of str to Seen
            All jobs that are known.
        disk : Disk
            Where the files are.
        """
        jobs = {**self._missing(now, jobs), **jobs}
        changes = [*self._stale(now, jobs), *self._disk(disk)]
        for job, seen in jobs.items():
            if self.rules.down:
                changes += self._down(job, seen)
            if self.rules.loss:
                changes += self._loss(now, job, seen)
        return changes

    def _missing(self, now: float, jobs: Mapping[str, Seen]) -> dict[str, Seen]:
        """Jobs that should have said hello by now."""
        late = now - self._begun >= HELLO_SECONDS
        return {job: Seen("missing") for job in self.rules.jobs if late and job not in jobs}

    def _stale(self, now: float, jobs: Mapping[str, Seen]) -> Iterator[Change]:
        for job, columns in self.limits.items():
            # Who has not come yet has nothing to say; that it does not come is another alarm.
            young = now - self._begun < HELLO_SECONDS
            rests = jobs[job].state in RESTING if job in jobs else young
            for column, limits in columns.items():
                if limits.stale is not None:
                    yield from self._stale_column(now, (job, column), limits.stale, rests)

    def _stale_column(
        self, now: float, column: tuple[str, str], most: float, rests: bool
    ) -> Iterator[Change]:
        if rests:
            self._seen[column] = now
        age = now - self._seen.setdefault(column, self._begun)
        key = (*column, "stale")
        level = 2 if age > most else 0
        if level != self._level(key):
            what = f"no number for more than {most:g} s" if level else "has numbers again"
            what = "rests" if rests else what
            yield self._set(key, level, age, most, f"{'/'.join(column)}: {what}")

    def _down(self, job: str, seen: Seen) -> Iterator[Change]:
        key, level = (job, "", "down"), 2 if seen.state in DOWN else 0
        # After a restart of the writer nothing may be known of a job yet.
        if level != self._level(key) and seen.state != UNKNOWN:
            state = _STATES.get(seen.state, seen.state) if level else "is up again"
            yield self._set(key, level, None, None, f"{job}: {state}")

    def _loss(self, now: float, job: str, seen: Seen) -> Iterator[Change]:
        loss, key = self._losses.setdefault(job, _Loss()), (job, "", "loss")
        if seen.lost > loss.lost:
            fresh, loss.lost, loss.since = seen.lost - loss.lost, seen.lost, now
            if not self._level(key):
                text = f"{job}: {fresh} rows were lost, {seen.lost} in this run"
                yield self._set(key, 2, float(seen.lost), 0.0, text)
        elif self._level(key) and now - loss.since >= QUIET_SECONDS:
            text = f"{job}: nothing more was lost for {QUIET_SECONDS:.0f} s; {loss.lost} in all"
            yield self._set(key, 0, float(seen.lost), 0.0, text)

    def _disk(self, disk: Disk) -> Iterator[Change]:
        key = ("", "", "disk")
        was, level, limit = self._level(key), 0, None
        for rank, bound in enumerate(self.rules.disk, start=1):
            edge = bound * (_ROOM if was >= rank else 1.0)
            if disk.free is not None and disk.free < edge:
                level, limit = rank, bound
        level = 2 if disk.trouble and any(self.rules.disk) else level
        if level != was:
            yield self._set(key, level, disk.free, limit, _disk_text(disk, level))

    # -- levels --------------------------------------------------------------------------------

    def _level(self, key: Key) -> int:
        change = self.current.get(key)
        return LEVELS.index(change.level) if change else 0

    def _set(
        self, key: Key, level: int, value: float | None, limit: float | None, text: str
    ) -> Change:
        change = Change(*key, LEVELS[level], value, limit, text)
        self.current.pop(key, None)
        if level:
            self.current[key] = change
        return change

    def worst(self) -> list[Change]:
        """Those that are raised, alarms before warnings, the newest first."""
        newest = list(reversed(self.current.values()))
        return sorted(newest, key=lambda change: -LEVELS.index(change.level))


_STATES = {
    "silent": "nothing is heard of its worker",
    "hanging": "a reading does not return",
    "restarting": "its worker died and is started again",
    "given up": "its worker died too often and is given up",
    "refused": "its worker is refused",
    "missing": "no worker has said hello",
}


def _value_text(key: Key, level: int, value: float, limit: float | None, unit: str) -> str:
    job, column, kind = key
    unit = f" {unit}" if unit else ""
    beyond = "below" if kind == "low" else "above"
    where = beyond if level else f"no longer {beyond}"
    bound = "" if limit is None else f" {limit:g}{unit}"
    return f"{job}/{column} = {value:g}{unit}: {where}{bound}"


def _disk_text(disk: Disk, level: int) -> str:
    if level and disk.trouble:
        return f"the disk takes no rows: {disk.trouble}"
    free = "unknown" if disk.free is None else f"{disk.free / 1e9:.2f} GB"
    return f"disk: {free} free" if level else f"disk: {free} free, enough again"
