"""`HostAgent`: keeps the jobs of one host running for a writer on another, in the foreground.

It is the same under a terminal, ssh, systemd or any other supervisor: it starts what the
configuration puts on this host, starts again what dies, and ends with a code that says how it
went. It ends by SIGTERM or Ctrl-C, or when the writer's run is stopped; in both cases the workers
first hand over what they hold.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import psutil

from h5daq.config import Config
from h5daq.daemon.described import check_reach, keys_of, spec_of
from h5daq.errors import ConfigError
from h5daq.flow.closing import Closing
from h5daq.jobs.job import DAQJob
from h5daq.jobs.starter import WorkerStarter
from h5daq.launcher.crew import Crew
from h5daq.launcher.place import Place
from h5daq.launcher.tie import Tie
from h5daq.worker import WorkerSpec

__all__ = ["HostAgent"]

log = logging.getLogger("h5daq.host")

Say = Callable[..., None]

_NOTE_SECONDS, _LOOK_SECONDS = 1.0, 0.1
_GRACE_SECONDS = 10.0
"""Beyond the drain timeout: for readings under way, and for goodbyes."""

_RECKON_SECONDS = 5.0
"""How long the end waits until the rows of workers that were killed are counted."""

_ORPHAN_SECONDS = 8.0
"""How long a new agent waits for workers of one that died: their instruments may be taken yet."""


class HostAgent(Closing):
    """The jobs of one host of a configuration.

    Parameters
    ----------
    config : Config
        The configuration; its [writer] needs all three endpoints.
    name : str
        The host's name in it.
    keys : str, optional
        A key file, or a directory of them, in place of the configuration's.
    say : callable, optional
        Hears ``"runs"`` when a worker is started, and ``"meets"`` with the state of the `Tie` as
        ``writer`` each time that the writer answers after a silence; from any thread.
    starter : WorkerStarter, optional
        One that is warm already.

    Raises
    ------
    ConfigError
        If the host has no jobs, a getter can't be imported, or the writer's place is unknown.
    FileBusy
        If an agent for this host and configuration runs already.
    """

    def __init__(
        self, config: Config, name: str, keys: str | None = None, say: Say | None = None,
        starter: WorkerStarter | None = None,
    ) -> None:  # fmt: skip
        self.config, self.name, self._keys = config, name, keys
        self._say: Say = say or (lambda _kind, **_fields: None)
        check_reach(config)
        jobs, shown = _jobs(config, name), keys_of(config, name, keys)
        self.place = Place(config.path, name)
        self._last = self.place.take(name=name, config=str(config.path), state="starting")
        self.crew = Crew(jobs, self._spec, starter)
        groups = [job.group for job in jobs]
        self._tie = Tie(config, name, groups, self._redirect, shown, self._met)
        self._writer_at: dict[str, Any] = {}
        self._run: str | None = None

    def run(self, stop: threading.Event) -> bool:
        """Until `stop` is set or the run is over; whether all rows were handed over.

        Raises
        ------
        ProcessFailed
            If no worker can be started here at all.
        """
        self._tie.start()
        self._await_orphans(stop)
        self.crew.start(self._runs)
        self._note("running")
        log.info("host %s: reading %s", self.name, ", ".join(job.group for job in self.crew.jobs))
        noted = time.monotonic()
        while not (stop.wait(_LOOK_SECONDS) or self.crew.ended or self._over()):
            if time.monotonic() >= noted + _NOTE_SECONDS:
                self._note("running")
                noted = time.monotonic()
        self._end(stop)
        return self.crew.whole

    def close(self) -> None:
        """Let go of everything."""
        self.crew.close()
        self._tie.close()
        self.place.close()

    def _over(self) -> bool:
        """Whether the run has ended that the workers fed."""
        # One that ended alone may have been told to by somebody; then the others go on.
        if self.crew.dismissed and self._run is None:
            self._run = str(self._tie.state.get("run"))
        gone = self._tie.state["answers"] is False or self._tie.state.get("run") != self._run
        return self.crew.dismissed and gone

    # -- inside ----------------------------------------------------------------------------------

    def _spec(self, job: DAQJob, cause: str) -> WorkerSpec:
        return replace(spec_of(self.config, job, cause, self._keys), **self._writer_at)

    def _redirect(self, data: str, signals: str) -> None:
        self._writer_at = {"data": data, "signals": signals}
        self.crew.redirect(data, signals)

    def _runs(self) -> None:
        self._note("running")
        self._say("runs")

    def _met(self, state: dict[str, Any]) -> None:
        self._say("meets", writer=state)

    def _note(self, state: str) -> None:
        # A full disk must not end a host's readings; the lock says that we live.
        with suppress(OSError):
            self.place.note(
                state=state, noted=time.time(), workers=_alive_since(self.crew.pids),
                jobs=self.crew.states(), writer=self._tie.state, clock=self._tie.clock,
            )  # fmt: skip

    def _end(self, stop: threading.Event) -> None:
        why = "told to stop" if stop.is_set() else "the run was stopped"
        if not stop.is_set() and self.crew.ended and not self.crew.dismissed:
            why = "no worker could be kept up"
        log.info("host %s: %s", self.name, why)
        self._note("draining")
        limit = self.config.run.drain_timeout + _GRACE_SECONDS
        self.crew.retire()
        self.crew.await_end(limit)
        self._tie.reckoning.settle(_RECKON_SECONDS)
        self._note("ended")

    def _await_orphans(self, stop: threading.Event) -> None:
        """Wait a moment for workers that the last agent left behind when it died."""
        left = _same(self._last.get("workers"))
        if left:
            log.warning("host %s: %d workers of an agent that died are still ending", self.name,
                        len(left))  # fmt: skip
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while left and time.monotonic() < deadline and not stop.wait(0.1):
            left = [process for process in left if process.is_running()]


def _jobs(config: Config, name: str) -> list[DAQJob]:
    if name not in config.hosts:
        known = ", ".join(config.hosts) or "none"
        raise ConfigError(f"{config.path}: no table [hosts.{name}]; there are: {known}")
    jobs = config.make_jobs(name)
    if not jobs:
        raise ConfigError(f'{config.path}: no job has host = "{name}": there is nothing to read')
    return jobs


def _alive_since(pids: list[int]) -> list[list[float]]:
    """Process ids with the times of their starts: an id alone may be another's by now."""
    known = []
    for pid in pids:
        with suppress(psutil.Error):
            known.append([pid, psutil.Process(pid).create_time()])
    return known


def _same(known: Any) -> list[psutil.Process]:
    """Those of the processes that still live."""
    living = []
    for entry in known if isinstance(known, list) else []:
        with suppress(psutil.Error, TypeError, ValueError):
            pid, since = entry
            process = psutil.Process(int(pid))
            if abs(process.create_time() - since) < 1.0:
                living.append(process)
    return living
