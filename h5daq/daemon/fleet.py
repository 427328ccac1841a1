"""The processes of one run: the writer, a worker per job, and who hears them.

Starting goes from the writer outwards, since workers must know where it listens; stopping asks
the writer, which tells the workers, fetches what they hold and ends last.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from h5daq.client import Client
from h5daq.daemon.fates import Fates
from h5daq.daemon.locals import LocalKeys
from h5daq.daemon.reckoner import Reckoner, Reckoning
from h5daq.daemon.supervisor import Child, Process, Supervisor
from h5daq.daemon.vigil import WriterVigil
from h5daq.daemon.writer_child import Spare, WriterChild, cause_of_death
from h5daq.errors import ConfigError, NoAnswer
from h5daq.flow.backoff import Backoff
from h5daq.jobs.handler import call_handler
from h5daq.jobs.job import DAQJob
from h5daq.jobs.starter import WorkerStarter
from h5daq.logs import log_remote
from h5daq.transports.locks import ClientKeys
from h5daq.transports.private import PrivateSockets, remove_abandoned
from h5daq.worker import WorkerSpec
from h5daq.writer.settings import WriterSettings

__all__ = ["Fleet"]

log = logging.getLogger("h5daq.daemon")

_ENDPOINTS = ("data", "requests", "signals")
_READY_SECONDS = 30.0
_EXIT_SECONDS = 10.0
_ASK_SECONDS = 2.0
_WRITER_PAUSE_SECONDS = 5.0
_RECKON_SECONDS = 10.0
"""How long a stop waits until the rows of workers that were killed are counted."""

_SEAL_SECONDS = 600.0
"""After the drain: for the rows that are committed, and not in the files yet."""


class Fleet:
    """Writer and workers of one run, from `start` to `stop`.

    Parameters
    ----------
    jobs : sequence of DAQJob
        Each gets a worker.
    settings : WriterSettings
        For the writer. Endpoints that are empty become private sockets.
    spare : Spare, optional
        A process for the first writer.
    """

    def __init__(
        self, jobs: Sequence[DAQJob], settings: WriterSettings, spare: Spare | None = None
    ) -> None:
        self.jobs, self._spare = jobs, spare
        remove_abandoned()
        self._private = PrivateSockets()
        private: dict[str, Any] = {
            name: self._private.endpoint(name) for name in _ENDPOINTS if not getattr(settings, name)
        }
        self._locals = LocalKeys(settings.keys, [j.group for j in jobs]) if settings.keys else None
        trusted = [] if self._locals is None else self._locals.trusted
        self.settings = replace(settings, **private, trusted=trusted)
        self._asked_for = self._endpoints()
        self.file_name: str | None = None
        self.recovered: dict[str, Any] = {}
        self.ended = threading.Event()
        self._stopping = False
        self._report: dict[str, Any] = {"files": [], "held": {}}
        self._clients: list[Client] = []
        self._ready: set[str] = set()
        self._handlers: queue.SimpleQueue[DAQJob | None] = queue.SimpleQueue()
        self._starter = WorkerStarter()
        # Never given up: workers hold their rows until there is a writer again.
        patient = Backoff(most=_WRITER_PAUSE_SECONDS, limit=sys.maxsize)
        self.writer = Child("writer", self._start_writer, self._hear_writer, patient)
        self.fates = Fates(jobs, self._private.path)
        self.workers = [
            Child(j.group, self._starts(j), self._hear_worker, looker=self.fates.of(j.group))
            for j in jobs
        ]
        self.vigil = WriterVigil(settings, self.keys)
        self._supervisor = Supervisor([self.writer, *self.workers], cause_of_death, self._looked)
        self._deaths = 0
        self._reckoning = Reckoning(self.settings.directory, self.request)
        self._reckoner = Reckoner(self._reckoning)

    # -- starting --------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything; returns when each worker reads and the writer knows it."""
        threading.Thread(target=self._call_handlers, name="h5daq-handlers", daemon=True).start()
        self.writer.launch()
        for child in self.workers:
            child.launch()
        self._await_workers(time.monotonic() + _READY_SECONDS)
        self._supervisor.start()
        self._reckoner.start()

    def _await_workers(self, deadline: float) -> None:
        """Wait for the workers; what fails is left to the supervisor."""
        waiting = {child.name for child in self.workers}
        while waiting and time.monotonic() < deadline:
            self._supervisor.hear(0.02)
            waiting -= {child.name for child in self.workers if not child.alive}
            if waiting <= self._ready:
                waiting -= set(self.request("status")["jobs"])

    def _start_writer(self, _cause: str) -> Process:
        child, report, others = self._open_writer()
        for message in others:
            self._hear_writer(self.writer, message)
        real = {name: report["endpoints"][name] for name in _ENDPOINTS}
        if not self._clients or self._endpoints() != real:
            self._meet_writer(**real)
        # A writer that is started again must be found where this one was.
        self.settings = replace(self.settings, **real, make_directory=False)
        self.file_name = report["file"] or self.file_name
        self.recovered = self.recovered or report["recovered"]
        return child

    def _open_writer(self) -> tuple[WriterChild, dict[str, Any], list[dict[str, Any]]]:
        try:
            child = self._first_writer()
            return child, *child.wait_ready()
        except ConfigError as error:
            # Where any free port was asked for, another program may have the last one by now.
            if self._endpoints() == self._asked_for:
                raise
            log.warning("%s; it moves to other ports", error)
        child = WriterChild(replace(self.settings, **self._asked_for))
        return child, *child.wait_ready()

    def _first_writer(self) -> WriterChild:
        spare, self._spare = self._spare, None
        return WriterChild(self.settings, spare) if spare else WriterChild(self.settings)

    def _endpoints(self) -> dict[str, Any]:
        return {name: getattr(self.settings, name) for name in _ENDPOINTS}

    def _meet_writer(self, data: str, requests: str, signals: str) -> None:
        """The writer is where it was not before: everybody goes there."""
        # The clients before this one are closed at the end: another thread may be asking by them.
        self._clients.append(Client(requests, signals, self.keys))
        for child in self.workers:
            if child.process is not None:
                child.process.send("endpoints", data=data, signals=signals)

    def _starts(self, job: DAQJob) -> Callable[[str], Process]:
        def start(cause: str) -> Process:
            spec = WorkerSpec(
                job=job,
                data=self.settings.data,
                signals=self.settings.signals,
                run=self.settings.run_id,
                home=self.settings.directory,
                log_level=self.settings.log_level,
                drain_timeout=self.settings.drain_timeout,
                cause=cause,
                pulse=str(self.fates.of(job.group).begin()),
                keys=self._locals.of_job[job.group] if self._locals is not None else None,
            )
            return self._starter.start(spec.to_bytes())

        return start

    @property
    def keys(self) -> ClientKeys | None:
        """The daemon's own, where the writer has keys."""
        return self._locals.own if self._locals is not None else None

    # -- hearing -----------------------------------------------------------------------------

    def request(self, verb: str, timeout: float = 10.0, **args: Any) -> Any:
        """Ask the writer."""
        if not self._clients:
            raise RuntimeError("the writer was never started")
        client = self._clients[-1]
        try:
            return client.request(verb, timeout=timeout, **args)
        except NoAnswer:
            # It may have moved meanwhile. A trigger is never said twice.
            if client is self._clients[-1] or verb == "trigger":
                raise
        return self._clients[-1].request(verb, timeout=timeout, **args)

    def _hear_writer(self, child: Child, message: dict[str, Any]) -> None:
        if message["k"] == "log":
            log_remote(message)
        elif message["k"] == "ready":
            self.fates.forget()
        elif message["k"] == "ended":
            child.finished = True
            self._report = message
            self.ended.set()

    def _hear_worker(self, child: Child, message: dict[str, Any]) -> None:
        kind = message["k"]
        if kind in ("ready", "failed"):
            self._ready.add(child.name)
        if kind == "failed":
            log.error("job %s: %s", child.name, message["text"])
        if kind in ("failed", "hung", "done"):
            self.fates.of(child.name).say(message.get("text", ""))
        if kind == "done":
            child.finished = True
        elif kind == "reading-error" and message.get("handle"):
            self._handlers.put(next(job for job in self.jobs if job.group == child.name))

    def _looked(self) -> None:
        """All children have been looked at."""
        # A run that ends ends its writer, which says no more while it seals the file.
        if not (self._stopping or self.writer.finished):
            self.vigil.look(self.writer, self.settings.signals)
        self._tell_fates()
        deaths = sum(child.restarts for child in self.workers)
        if deaths > self._deaths:
            self._reckoner.wake()
        self._deaths = deaths

    def _tell_fates(self) -> None:
        """Have the writer say in its status what it can't know: who died, and who is silent."""
        process = self.writer.process
        if process is not None and self.fates.changed(self.workers):
            process.send("fates", jobs=self.fates.told)

    def _call_handlers(self) -> None:
        """Call the jobs' error handlers one after the other; their own failures are logged."""
        while (job := self._handlers.get()) is not None:
            call_handler(job)

    # -- stopping ------------------------------------------------------------------------------

    def stop(self) -> dict[str, Any]:
        """Stop in order; which files were made, and which rows could not be fetched."""
        self._stopping = True
        if not self.ended.is_set():
            self._stop_writer()
        self._supervisor.end()
        deadline = time.monotonic() + _EXIT_SECONDS
        for child in [*self.workers, self.writer]:
            self._await_exit(child, deadline)
        if self._report["files"]:
            self.file_name = self._report["files"][-1]
        return self._report

    def _stop_writer(self) -> None:
        for child in self.workers:
            child.retire()
        began = time.monotonic()
        while not (self.ended.is_set() or self._past_hope(time.monotonic() - began)):
            # Asked again and again: workers may die meanwhile, and a writer that dies is started
            # again, goes on with the run, and knows nothing of a stop.
            gone = self._gone()
            self._reckoning.settle(_RECKON_SECONDS)
            with suppress(NoAnswer):
                self._report = self.request("stop", timeout=_ASK_SECONDS, gone=gone)
                return
        if not self.ended.is_set():
            log.error("the writer did not stop in order; the next start ends the run")
            self._report = {**self._report, "unfinished": self.writer.cause or "it did not answer"}

    def _past_hope(self, waited: float) -> bool:
        """Whether a stop that has waited so many seconds waits in vain."""
        # A writer that can't be started, say because its directory has vanished, seals nothing;
        # one that has died once is started again, and does.
        limit = self.settings.drain_timeout
        vain = self.writer.start_at is not None and self.writer.deaths > 1
        limit += 0.0 if vain else _SEAL_SECONDS
        return self.writer.given_up or waited > limit

    def _gone(self) -> list[str]:
        """Jobs that nobody needs to wait for."""
        return [c.name for c in self.workers if not c.alive or self.fates.of(c.name).lost]

    def _await_exit(self, child: Child, deadline: float) -> None:
        process = child.process
        lost = child is not self.writer and self.fates.of(child.name).lost
        patience = 0.0 if lost else max(0.0, deadline - time.monotonic())
        if process is not None and process.wait(patience) is None:
            log.warning("%s did not end by itself and is killed", child.name)
            process.kill()

    def abandon(self) -> None:
        """Let go of everything that `start` made, however far it came."""
        if self._supervisor.is_alive():
            self._supervisor.end()
        for child in [self.writer, *self.workers]:
            child.dismiss()
        self._handlers.put(None)
        self.vigil.close()
        self._reckoner.close()
        self.fates.close()
        self._starter.close()
        for client in self._clients:
            client.close()
        self._private.remove()
