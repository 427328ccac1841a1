"""What can be asked of a writer: its status, the newest rows, a flush, orders for the workers.

The desk only reads what the other parts keep, and passes wishes on; it holds nothing but the
orders that a worker has not yet confirmed.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from h5daq.storage.checkpoint import Builder
from h5daq.storage.journal import Journal, MemoryJournal
from h5daq.writer.committer import Publisher
from h5daq.writer.intake import Intake
from h5daq.writer.settings import WriterSettings
from h5daq.writer.store import Store

__all__ = ["Desk"]


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
        builder: Builder,
    ) -> None:
        self._settings = settings
        self.endpoints = endpoints
        self._intake, self._journal, self._store = intake, journal, store
        self._publisher, self._builder = publisher, builder
        self._ledger = intake.ledger
        self._orders: dict[str, dict[int, dict[str, Any]]] = {}
        self._last_seq = 0
        self.stopping = False

    def order(self, job: str, verb: str, n: int) -> None:
        """Tell a worker something, again each second until it says that it has done so."""
        orders = self._orders.setdefault(job, {})
        # Above every number of an earlier writer, so that a worker takes none for one it has done.
        seq = self._last_seq = max(int(time.time() * 1000), self._last_seq + 1)
        orders[seq] = {"seq": seq, "verb": verb, "n": n}
        self._publisher.send("command", job, **orders[seq])

    def order_done(self, job: str, seq: int) -> None:
        orders = self._orders.get(job, {})
        for done in [s for s in orders if s <= seq]:
            del orders[done]

    def repeat_orders(self) -> None:
        """Say again what no worker has confirmed: a PUB socket may have lost it."""
        for job, orders in self._orders.items():
            for order in orders.values():
                self._publisher.send("command", job, **order)

    def request_flush(self) -> int:
        """Ask for a checkpoint of everything received; returns the lsn it must reach to."""
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
        return sorted(self._ledger.jobs)

    def newest(self, job: str) -> dict[str, Any] | None:
        """The newest row that was told of a job."""
        change = self._publisher.newest.get(job)
        return None if change is None else change.batch.last_row(change.schema, sys.maxsize)

    def file_state(self) -> dict[str, Any]:
        """The newest file: name and planned end."""
        files = self._ledger.files
        return {"file": str(Path(self._settings.directory) / files[-1].name) if files else None}

    def trouble(self) -> str:
        return self._intake.stalled or self._store.trouble

    def status(self) -> dict[str, Any]:
        """The state of the run, the writer and each job."""
        run = self._ledger.run
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
            "writer": self._writer_status(),
            "jobs": {job: self._job_status(job) for job in self.job_names()},
        }

    def _writer_status(self) -> dict[str, Any]:
        return {
            "boot": self.endpoints["boot"],
            "pid": os.getpid(),
            "rows": self._intake.received_rows,
            "bytes": self._intake.received_bytes,
            "journal_bytes": self._journal.waiting_bytes,
            "last_checkpoint": self._store.last_checkpoint,
            "checkpoint_seconds": self._store.checkpoint_seconds,
            "checkpoint_bytes": self._builder.redo_bytes,
            "disk_free": shutil.disk_usage(self._settings.directory).free,
            "refused": dict(self._intake.refused),
            "trouble": self.trouble(),
            "insecure": self._settings.insecure,
            "stopping": self.stopping,
            "state": "draining" if self.stopping else "running",
        }

    def _job_status(self, name: str) -> dict[str, Any]:
        job = self._ledger.jobs[name]
        told = self._intake.statuses.get(name, {})
        return {
            "state": "ended" if (name, job.inc) in self._intake.ended else told.get("state", "new"),
            "rows": job.rows,
            "lost": job.lost,
            "late": job.late,
            "inc": job.inc,
            "host": job.host,
            "pid": job.pid,
            "restarts": len(job.restarts),
            "held": told.get("held", 0),
            "last_time": job.last_time,
            "overruns": told.get("overruns", 0),
            "lateness_ms": 1e3 * float(told.get("late") or 0.0),
            "read_period": job.period,
            "read_mode": job.mode,
            "message": told.get("message", ""),
        }

    def stop_report(self) -> dict[str, Any]:
        """What a stop leaves: the sealed files, and the rows that unreachable workers hold."""
        held = {}
        for job in self._ledger.jobs.values():
            rows = int(self._intake.statuses.get(job.job, {}).get("held") or 0)
            if (job.job, job.inc) not in self._intake.ended and rows:
                held[job.job] = rows
        return {"files": [str(path) for path in self._builder.sealed], "held": held}
