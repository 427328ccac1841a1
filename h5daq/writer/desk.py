"""What can be asked of a writer: its status, the newest rows, a flush, orders for the workers.

The desk only reads what the other parts keep, and passes wishes on; it holds nothing but the
orders that a worker has not yet confirmed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from h5daq.errors import RequestError
from h5daq.flow.glimpse import glimpse_of
from h5daq.flow.names import is_own
from h5daq.flow.requests import ErrorCode
from h5daq.flow.watched import Seen
from h5daq.storage.checkpoint import Builder
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.writer.accounts import Account, Stood
from h5daq.writer.clocks import ClockRows
from h5daq.writer.committer import Committer, Publisher
from h5daq.writer.deaths import Deaths, death_of
from h5daq.writer.intake import Intake
from h5daq.writer.releases import Releases
from h5daq.writer.settings import WriterSettings
from h5daq.writer.store import Store
from h5daq.writer.vaulting import VaultDesk

__all__ = ["Desk"]

_SILENT_SECONDS = 10.0
"""A worker says something each second."""

_MOST_ORDERS = 100
"""Orders of one job that wait at most."""

_PEEK_ELEMENTS = 8192
"""Longest array in the answer to a peek; a message's lists can't be longer."""


class Desk:
    """The writer as its requests see it."""

    def __init__(
        self,
        settings: WriterSettings,
        endpoints: dict[str, Any],
        intake: Intake,
        journal: Journal | MemoryJournal,
        store: Store,
        publisher: Publisher,
        committer: Committer,
        builder: Builder,
    ) -> None:
        self._settings = settings
        self.endpoints = endpoints
        self._intake, self._journal, self._store = intake, journal, store
        self._publisher, self._committer, self._builder = publisher, committer, builder
        self._ledger = intake.ledger
        self._orders: dict[str, deque[dict[str, Any]]] = {}
        self._last_seq: dict[str, int] = {}
        self._releases = Releases()
        self.stopping = False
        self.fates: Callable[[], dict[str, dict[str, str]]] = dict
        self.left = ""
        """Why a stop has left rows in the journal, instead of bringing them into the files."""
        self.vault: VaultDesk | None = None
        self.alarms: Callable[[], tuple[dict[str, Any], list[dict[str, Any]]]] = lambda: ({}, [])
        self.clocks: ClockRows | None = None
        self.deaths: Deaths | None = None

    # -- orders ------------------------------------------------------------------------------

    def order(self, job: str, verb: str, n: int) -> None:
        """Tell a worker something, again each second until it says that it has done so.

        One order is under way at a time, since a worker that has heard the second one before the
        first would take the first for old. Of the same order twice in a row one waits, for as many
        readings as both.

        Raises
        ------
        RequestError
            If too many wait.
        """
        orders = self._orders.setdefault(job, deque())
        if len(orders) > 1 and orders[-1]["verb"] == verb:
            orders[-1]["n"] += n if verb in ("trigger", "release") else 0
            return
        if len(orders) >= _MOST_ORDERS and verb not in ("stop", "release"):
            text = f"job {job!r} has {len(orders)} orders to do, and takes no more until it has"
            raise RequestError(ErrorCode.NOT_RUNNING, ErrorCode.NOT_RUNNING.wire_name, text)
        orders.append({"seq": self._next_seq(job), "verb": verb, "n": n})
        if len(orders) == 1:
            self._publisher.send("command", job, **orders[0])

    def _next_seq(self, job: str) -> int:
        """Above all that the worker has seen, also from an earlier writer with another clock.

        Counted for each job: what one worker claims to have done is nothing to the others.
        """
        done = int(self._intake.statuses.get(job, {}).get("cmd") or 0)
        last = max(self._last_seq.get(job, 0) + 1, done + 1, int(time.time() * 1000))
        self._last_seq[job] = last
        return last

    def order_done(self, job: str, seq: int) -> None:
        """A worker has done its orders up to `seq`; it is told the next one."""
        orders = self._orders.get(job)
        if orders and seq > orders[0]["seq"]:
            # Only the first was told. What the worker has done was an earlier writer's, whose
            # clock was ahead of ours: it would take ours for old, and we take them for done.
            self._renumber(job, seq)
            return
        if not orders or orders[0]["seq"] > seq:
            return
        orders.popleft()
        if orders:
            self._publisher.send("command", job, **orders[0])

    def _renumber(self, job: str, above: int) -> None:
        orders = self._orders[job]
        for order in orders:
            order["seq"] = self._last_seq[job] = max(self._last_seq[job], above) + 1
        self._publisher.send("command", job, **orders[0])

    def repeat_orders(self) -> None:
        """Say again what no worker has confirmed: a PUB socket may have lost it."""
        if self.stopping:
            self.order_stop()
        for job, orders in self._orders.items():
            if orders:
                self._publisher.send("command", job, **orders[0])

    def order_release(self, now: float) -> None:
        """Near the end of a file, ask each worker for the row that it holds back for folding."""
        if not self.stopping and self._releases.due(self._ledger.files, now):
            for job in self.unfinished():
                self.order(job, "release", 1)

    def order_stop(self) -> None:
        """Tell each worker to stop that has not ended and was not told, also late ones."""
        for job in self.unfinished():
            orders = self._orders.get(job) or ()
            if not any(order["verb"] == "stop" for order in orders):
                self.order(job, "stop", 1)

    def unfinished(self) -> list[str]:
        """Jobs whose newest worker has not said goodbye."""
        ended = self._intake.ended
        jobs = [j for j in self._ledger.jobs.values() if not is_own(j.job)]
        return [job.job for job in jobs if (job.job, job.inc) not in ended]

    # -- wishes and questions --------------------------------------------------------------------

    def request_flush(self) -> int:
        """Ask for a checkpoint of everything received; returns the lsn it must reach to."""
        if self.vault is not None:
            self.vault.checkpoint()
        lsn = self._journal.last
        self._store.flush(lsn)
        return lsn

    def flushed(self, lsn: int) -> bool:
        """Whether the files reach to `lsn`."""
        return self._store.done_lsn >= lsn

    def set_write_period(self, period: float, jitter: float) -> None:
        """Change the checkpoint period."""
        self._store.set_period(period, jitter)

    def job_names(self) -> list[str]:
        """Jobs that have said hello in this run or whose positions are still kept."""
        return sorted(job for job in self._ledger.jobs if not is_own(job))

    def newest(self, job: str) -> dict[str, Any] | None:
        """The newest row that was told of a job; very large arrays are left out."""
        change = self._publisher.newest.get(job)
        return None if change is None else change.batch.last_row(change.schema, _PEEK_ELEMENTS)

    def glimpse(self, job: str, label: str) -> dict[str, Any] | None:
        """The newest value of one column of numbers, however large, thinned out where it is."""
        change = self._publisher.newest.get(job)
        return None if change is None else glimpse_of(change.batch, change.schema, label)

    def hear_clock(self, told: dict[str, Any], user: str) -> None:
        """A host tells of its clock. Raises `JobValueError` for what makes no sense."""
        if self.clocks is not None:
            self.clocks.take(told, user)

    def hear_death(self, told: dict[str, Any]) -> str:
        """A worker is gone; see `Deaths.take`. Raises `JobValueError` for what makes no sense."""
        death = death_of(told)
        return "unknown" if self.deaths is None else self.deaths.take(death)

    def file_state(self) -> dict[str, Any]:
        """The newest file: name and planned end."""
        files = self._ledger.files
        return {"file": str(Path(self._settings.directory) / files[-1].name) if files else None}

    def trouble(self) -> str:
        """What keeps rows from being committed, or from the files; empty if nothing does."""
        run = self._intake.stalled or self._committer.trouble or self._store.trouble
        return run or (self.vault.trouble if self.vault is not None else "")

    def status(self) -> dict[str, Any]:
        """The state of the run, the writer and each job."""
        run = self._ledger.run
        of_writer, alarms = self.alarms()
        return {
            "run": {
                "id": self._settings.run_id,
                "name": self._settings.run_name,
                "start": run.start if run else None,
                "directory": self._settings.directory,
                "durability": self._settings.durability,
                "path": self._settings.run_path,
                **self.file_state(),
            },
            "writer": {**self._writer_status(), **of_writer},
            "alarms": alarms,
            "clocks": self.clocks.status() if self.clocks is not None else {},
            "jobs": {
                **{job: _unwelcome(why) for job, why in self._intake.unwelcome.items()},
                **{job: self._job_status(job) for job in self.job_names()},
            },
        }

    def _writer_status(self) -> dict[str, Any]:
        return {
            "boot": self.endpoints["boot"],
            "pid": os.getpid(),
            "time": time.time(),
            "rows": self._intake.received_rows,
            "bytes": self._intake.received_bytes,
            "journal_bytes": self._journal.waiting_bytes,
            "last_checkpoint": self._store.last_checkpoint,
            "checkpoint_seconds": self._store.checkpoint_seconds,
            "checkpoint_bytes": self._builder.redo_bytes,
            "disk_free": _free_bytes(self._settings.directory),
            "refused": dict(self._intake.refused),
            "trouble": self.trouble(),
            "insecure": self._settings.is_open,
            "stopping": self.stopping,
            "state": "draining" if self.stopping else "running",
        }

    def _job_status(self, name: str) -> dict[str, Any]:
        job = self._ledger.jobs[name]
        told = self._intake.statuses.get(name, {})
        # In this order, since rows move on meanwhile: in a file, committed, produced.
        in_file = self._builder.in_file.get(name, 0)
        committed = self._publisher.totals.get(name, 0)
        account = self._account(name)
        return {
            "state": self._state(name, job.inc),
            "rows": committed,
            "in_file": in_file,
            "produced": max(committed, account.produced),
            "spooled": account.spooled,
            "spooled_bytes": account.spooled_bytes,
            "refused": self._builder.refused_rows.get(name, 0),
            "lost": job.lost,
            "late": job.late,
            "inc": job.inc,
            "host": job.host,
            "pid": job.pid,
            "restarts": max(job.restarted, len(job.restarts)),
            "held": account.held,
            "last_time": job.last_time,
            "overruns": told.get("overruns", 0),
            "lateness_ms": 1e3 * float(told.get("late") or 0.0),
            "read_period": job.period,
            "read_mode": job.mode,
            "message": told.get("message", ""),
            "rss": told.get("rss", 0),
            "cpu": told.get("cpu", 0.0),
            "last_death": job.restarts[-1][1] if job.restarts else "",
            **self._silence(name, job.inc),
            **self.fates().get(name, {}),
        }

    def seen(self) -> dict[str, Seen]:
        """The state of each job, and how many rows it has lost: what alarms are about."""
        found = {job: Seen("refused") for job in self._intake.unwelcome}
        fates = self.fates()
        for name in self.job_names():
            job = self._ledger.jobs[name]
            told = {**self._silence(name, job.inc), **fates.get(name, {})}
            state = str(told.get("state") or self._state(name, job.inc))
            found[name] = Seen(state, sum(job.lost.values()))
        return found

    def _state(self, job: str, inc: int) -> str:
        ended = (job, inc) in self._intake.ended
        return "ended" if ended else str(self._intake.statuses.get(job, {}).get("state", "new"))

    def _silence(self, job: str, inc: int) -> dict[str, Any]:
        """What is said of a worker that says nothing any more, as one on another host may do."""
        heard = self._intake.heard.get(job)
        seconds = 0.0 if heard is None else time.monotonic() - heard
        if seconds < _SILENT_SECONDS or (job, inc) in self._intake.ended:
            return {}
        return {"state": "silent", "message": f"nothing was heard of it for {seconds:.0f} s"}

    def stop_report(self) -> dict[str, Any]:
        """What a stop leaves: the sealed files, and the rows that unreachable workers hold."""
        held = {job: self._account(job).held for job in self.unfinished()}
        left = {job: rows for job, rows in held.items() if rows > 0}
        report = {"files": [str(path) for path in self._builder.sealed], "held": left}
        return {**report, "left": self.left} if self.left else report

    def _account(self, job: str) -> Account:
        intake = self._intake
        stood = intake.stood.get(job, Stood())
        return Account(self._ledger.jobs[job], intake.statuses.get(job, {}), stood)


def _unwelcome(why: str) -> dict[str, Any]:
    """The state of a job whose hello was refused."""
    return {"state": "refused", "rows": 0, "message": why}


def _free_bytes(directory: str) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        # The directory may have vanished; that is no reason not to answer.
        return None
