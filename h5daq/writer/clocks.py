"""The writer's end of the exchanges of times: when each question came, and what the hosts found.

A host's clock is recorded in a group of its own (`h5daq/clocks/<host>`), once a job of that host
has rows in the run: an idle run makes no file for the sake of clocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from h5daq.flow.host_clocks import CLOCKS_GROUP, HostClock, HostClocks
from h5daq.flow.ledger import Ledger
from h5daq.flow.schema import Column
from h5daq.writer.ownrows import OwnRows

__all__ = ["ClockRows"]

_FLOAT = np.dtype("f8")

COLUMNS = (
    Column("offset", _FLOAT, unit="s", description="the writer's clock minus the host's"),
    Column("error", _FLOAT, unit="s", description="by how much offset may be wrong at most"),
    Column("delay", _FLOAT, unit="s", description="round trip of the exchange that it is from"),
)


class ClockRows:
    """What the hosts of a run say of their clocks: for its status, and as rows.

    Parameters
    ----------
    ledger : Ledger
        Knows the jobs.
    own : OwnRows
        Takes the rows.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, ledger: Ledger, own: OwnRows, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._own, self._clock = ledger, own, clock
        self._hosts = HostClocks()

    def take(self, told: dict[str, Any], speaker: str = "") -> None:
        """Hear what a host has found: ``job``, ``host``, ``offset``, ``error``, ``delay``.

        One that has found nothing yet says no ``offset``.

        Raises
        ------
        JobValueError
            If it makes no sense, or somebody else speaks for that host.
        """
        if told.get("offset") is None:
            return
        host, now = told.get("host"), self._clock()
        due = self._hosts.take(host, speaker, HostClock.of(told), now)
        if due and self._has_rows(told.get("job")):
            self._record(str(host), now)

    def _has_rows(self, job: object) -> bool:
        state = self._ledger.jobs.get(job) if isinstance(job, str) else None
        return state is not None and state.rows > 0

    def _record(self, host: str, now: float) -> None:
        told = self._hosts.status(now)[host]
        series = self._own.series(f"{CLOCKS_GROUP}/{host}", COLUMNS, {"host": host})
        series.put(*(told[column.label] for column in COLUMNS))
        self._hosts.recorded(host, now)

    def status(self) -> dict[str, dict[str, float]]:
        """Per host: ``offset``, ``error``, ``delay``, ``age``; seconds."""
        return self._hosts.status(self._clock())
