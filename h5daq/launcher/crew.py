"""The workers of one host: started, kept alive, told where the writer is, and let go in order.

What a daemon's fleet is with a writer of its own, a crew is without one. The rows never pass
through here, so a crew that dies costs none: its workers see the end of their private pipes, stop
reading, and wait for the writer to take what they hold.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from h5daq.daemon.fates import Fates
from h5daq.daemon.supervisor import Child, Process, Supervisor
from h5daq.daemon.writer_child import cause_of_death
from h5daq.flow.closing import Closing
from h5daq.jobs.handler import call_handler
from h5daq.jobs.job import DAQJob
from h5daq.jobs.starter import WorkerStarter
from h5daq.transports.private import PrivateSockets, remove_abandoned
from h5daq.worker import WorkerSpec

__all__ = ["Crew"]

log = logging.getLogger("h5daq.host")


class Crew(Closing):
    """Workers of one host, from `start` to `close`.

    Parameters
    ----------
    jobs : sequence of DAQJob
        Each gets a worker.
    spec_of : callable
        Gives the `WorkerSpec` of a job; takes the job and the cause of its last worker's death.
    starter : WorkerStarter, optional
        One that is warm already.
    """

    def __init__(
        self,
        jobs: Sequence[DAQJob],
        spec_of: Callable[[DAQJob, str], WorkerSpec],
        starter: WorkerStarter | None = None,
    ) -> None:
        self.jobs = jobs
        self._spec_of = spec_of
        self._left_unasked = False
        self._codes: dict[str, Process] = {}
        self._handlers: queue.SimpleQueue[DAQJob | None] = queue.SimpleQueue()
        self._starter = starter or WorkerStarter()
        remove_abandoned()
        self._private = PrivateSockets()
        self._fates = Fates(jobs, self._private.path)
        self.children = [
            Child(job.group, self._starts(job), self._hear, looker=self._fates.of(job.group))
            for job in jobs
        ]
        self._supervisor = Supervisor(self.children, cause_of_death)

    def start(self, begun: Callable[[], None] = lambda: None) -> None:
        """Start the workers; `begun` is called when there is one.

        Raises
        ------
        ProcessFailed
            If no process can be started here at all.
        """
        threading.Thread(target=self._call_handlers, name="h5daq-handlers", daemon=True).start()
        for number, child in enumerate(self.children):
            child.launch()
            if number == 0:
                begun()
        self._supervisor.start()

    def _starts(self, job: DAQJob) -> Callable[[str], Process]:
        def start(cause: str) -> Process:
            spec = self._spec_of(job, cause)
            spec = replace(spec, pulse=str(self._fates.of(job.group).begin()))
            process = self._starter.start(spec.to_bytes())
            self._codes[job.group] = process
            return process

        return start

    # -- how it does -----------------------------------------------------------------------------

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that live."""
        return [child.process.pid for child in self.children if child.process is not None]

    @property
    def ended(self) -> bool:
        """Whether no worker lives, nor will be started again."""
        return all(child.given_up or (child.finished and not child.alive)
                   for child in self.children)  # fmt: skip

    @property
    def dismissed(self) -> bool:
        """Whether a worker ended although nobody here told it to: the run has been stopped."""
        return self._left_unasked

    @property
    def whole(self) -> bool:
        """Whether all workers ended with nothing left that the writer did not take."""
        return not any(c.given_up or self._codes[c.name].poll() for c in self.children)

    def states(self) -> dict[str, dict[str, Any]]:
        """Per job: ``state``, ``message``, ``pid``, ``restarts``, and of what the last one died."""
        self._fates.changed(self.children)
        told = self._fates.told
        return {child.name: _state(child) | told.get(child.name, {}) for child in self.children}

    # -- hearing ---------------------------------------------------------------------------------

    def _hear(self, child: Child, message: dict[str, Any]) -> None:
        kind = message["k"]
        if kind == "failed":
            log.error("job %s: %s", child.name, message["text"])
        if kind in ("failed", "hung", "done"):
            self._fates.of(child.name).say(message.get("text", ""))
        if kind == "done":
            self._left_unasked |= not child.finished
            child.finished = True
        elif kind == "reading-error" and message.get("handle"):
            self._handlers.put(next(job for job in self.jobs if job.group == child.name))

    def _call_handlers(self) -> None:
        while (job := self._handlers.get()) is not None:
            call_handler(job)

    # -- orders ----------------------------------------------------------------------------------

    def redirect(self, data: str, signals: str) -> None:
        """The writer has moved: tell the workers where it is."""
        for child in self.children:
            if child.process is not None:
                child.process.send("endpoints", data=data, signals=signals)

    def retire(self) -> None:
        """Tell the workers to stop reading, to hand over what they hold, and to end."""
        for child in self.children:
            child.retire()

    def await_end(self, seconds: float) -> bool:
        """Wait for the end of all workers; whether they ended by themselves."""
        deadline = time.monotonic() + seconds
        while not self.ended and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.ended

    def close(self) -> None:
        """End what is left, and let go of everything."""
        if self._supervisor.is_alive():
            self._supervisor.end()
        for child in self.children:
            if child.alive:
                log.warning("job %s: its worker does not end and is killed", child.name)
            child.dismiss()
        self._handlers.put(None)
        self._starter.close()
        self._fates.close()
        self._private.remove()


def _state(child: Child) -> dict[str, Any]:
    process = child.process
    return {
        "state": "ended" if process is None and child.finished else "running",
        "message": "",
        "pid": None if process is None else process.pid,
        "restarts": child.restarts,
        "last_death": child.cause,
    }
