"""The parent's side of starting workers: `WorkerStarter.start` gives a `WorkerProcess`.

Workers are forked from the nursery, which is started with the first of them. Where there is no
fork, each is a plain subprocess. What runs in them is known here by name only: jobs lie below the
worker that reads them.
"""

from __future__ import annotations

import os
import threading

from h5daq.jobs.forking import NurseryLink
from h5daq.jobs.process import WorkerProcess
from h5daq.jobs.spawning import spawn

__all__ = ["WorkerProcess", "WorkerStarter"]

WORKER = "h5daq.worker"


class WorkerStarter:
    """Starts workers; a context manager that ends the nursery, never the workers.

    Parameters
    ----------
    fork : bool, optional
        Whether to fork from a nursery; by default where the system can.
    """

    def __init__(self, fork: bool | None = None) -> None:
        self._fork = hasattr(os, "fork") if fork is None else fork
        self._nursery: NurseryLink | None = None
        self._number = 0
        self._lock = threading.Lock()

    def start(self, spec: bytes) -> WorkerProcess:
        """Start a worker.

        Parameters
        ----------
        spec : bytes
            Its description, from ``WorkerSpec.to_bytes``.

        Raises
        ------
        ProcessFailed
            If no process could be started.
        """
        with self._lock:
            self._number += 1
            process = self._begin(self._number)
        process.send("spec", spec=spec)
        return process

    def warm(self) -> None:
        """Have the nursery load what workers need, while others do other things."""
        if self._fork:
            with self._lock:
                self._nursery = self._nursery or NurseryLink(f"{WORKER}:serve")

    def close(self) -> None:
        """End the nursery."""
        with self._lock:
            if self._nursery is not None:
                self._nursery.close()
                self._nursery = None

    def __enter__(self) -> WorkerStarter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, number: int) -> WorkerProcess:
        if not self._fork:
            return spawn(number, WORKER)
        if self._nursery is not None and self._nursery.closed:
            self._nursery.close()
            self._nursery = None
        if self._nursery is None:
            self._nursery = NurseryLink(f"{WORKER}:serve")
        self._nursery.await_ready()
        return self._nursery.start(number)
