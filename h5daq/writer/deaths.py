"""Workers that were killed: how many of their rows nobody has, counted once, whoever tells it.

Who watches over a worker tells what that had read, again and again until it is counted: an answer
may be lost, and a writer may die. What the worker had sent may still be on its way, so nothing is
counted before its position has stood still for a moment. What was counted is in the journal, and
moves the position: told again it is nothing new.
"""

from __future__ import annotations

import logging
import reprlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from h5daq.errors import JobValueError
from h5daq.flow.ledger import Ledger
from h5daq.flow.names import is_own
from h5daq.flow.records import DeathRecord, Record

__all__ = ["Deaths", "death_of"]

log = logging.getLogger("h5daq.writer")

QUIET_SECONDS = 1.0
"""For so long nothing of a dead worker must have come in."""

_MOST = 4096
"""Workers that are kept in mind; who is forgotten is told of again."""

CAUSES = ("killed", "undelivered")

_T = TypeVar("_T")


class Journal(Protocol):
    """The part of a journal that is looked at."""

    @property
    def last(self) -> int:
        """Lsn of the newest entry."""
        ...

    @property
    def synced(self) -> int:
        """Lsn up to which all is safe."""
        ...


def death_of(told: Mapping[str, Any]) -> DeathRecord:
    """What is told of a death: ``job``, ``inc``, ``produced``, ``cause``.

    Raises
    ------
    JobValueError
        If it makes no sense.
    """
    job, cause = told.get("job"), told.get("cause", CAUSES[0])
    inc, produced = told.get("inc"), told.get("produced")
    if not isinstance(job, str) or is_own(job):
        raise JobValueError(f"job must be the group of a job, not {reprlib.repr(job)}")
    if type(inc) is not int or not 0 <= inc < 1 << 64:
        raise JobValueError(f"inc must be an incarnation, not {reprlib.repr(inc)}")
    if type(produced) is not int or not 0 <= produced <= 1 << 62:
        raise JobValueError(f"produced must be a number of rows, not {reprlib.repr(produced)}")
    if cause not in CAUSES:
        raise JobValueError(f"cause must be {' or '.join(CAUSES)}, not {reprlib.repr(cause)}")
    return DeathRecord(job, inc, produced, str(cause))


class Deaths:
    """What is known of workers that are gone.

    Parameters
    ----------
    ledger : Ledger
        At the journal's head.
    journal : Journal
        Tells what is synced.
    record : callable
        Journals a record and lets it take effect.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        journal: Journal,
        record: Callable[[Record], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger, self._journal, self._record, self._clock = ledger, journal, record, clock
        self._seen: dict[tuple[str, int], tuple[int, float]] = {}
        self._buried: dict[tuple[str, int], int] = {}

    def take(self, death: DeathRecord) -> str:
        """Hear of a death: ``counted``, ``waiting`` (ask again), or ``unknown`` (no such job yet).

        Raises
        ------
        StorageError
            If the journal can't take it now.
        """
        job = None if self._ledger.ended else self._ledger.jobs.get(death.job)
        if job is None:
            return "unknown"
        key = death.job, death.inc
        if key not in self._buried:
            stands = job.next.get(death.inc, 0) + job.told(death.inc)
            if not self._quiet(key, stands):
                return "waiting"
            self._bury(death, job.unaccounted(death.inc, death.produced))
        return "counted" if self._journal.synced >= self._buried[key] else "waiting"

    def _quiet(self, key: tuple[str, int], stands: int) -> bool:
        now = self._clock()
        before, since = self._seen.get(key, (-1, now))
        if before != stands:
            _keep(self._seen, key, (stands, now))
            return False
        return now - since >= QUIET_SECONDS

    def _bury(self, death: DeathRecord, lost: int) -> None:
        if lost:
            self._record(death)
            log.warning("job %s: %d rows that its worker had read are lost: it was %s",
                        death.job, lost, death.cause)  # fmt: skip
        # Also what has come of it is to be safe, before nobody keeps its toll any more.
        _keep(self._buried, (death.job, death.inc), self._journal.last)
        self._seen.pop((death.job, death.inc), None)


def _keep(kept: dict[tuple[str, int], _T], key: tuple[str, int], value: _T) -> None:
    if len(kept) >= _MOST and key not in kept:
        del kept[next(iter(kept))]
    kept[key] = value
