"""Keeps the writer and the local workers alive: hears them, notices deaths, starts them again.

One thread waits on all private pipes at once. A process that dies is started again after a pause
that doubles (`h5daq.flow.backoff`); the cause is logged in words and goes with the new worker's
hello into the file. A process that dies again and again is given up, and the others go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import wait
from typing import Any, Protocol, cast

from h5daq.errors import H5daqError
from h5daq.flow.backoff import Backoff

__all__ = ["Child", "Supervisor"]

log = logging.getLogger("h5daq.daemon")

_LOOK_SECONDS = 0.5


class Process(Protocol):
    """A running child with its private pipe, as a starter gives it."""

    closed: bool

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    def fileno(self) -> int:
        """The descriptor to wait on for messages."""
        ...

    def send(self, kind: str, **fields: Any) -> bool:
        """Send an order; False if the child is gone."""
        ...

    def messages(self, timeout: float = 0.0) -> list[dict[str, Any]]:
        """Reports that have come, after waiting up to `timeout` seconds for the first."""
        ...

    def poll(self) -> int | None:
        """The exit status, or None while it lives."""
        ...

    def wait(self, timeout: float) -> int | None:
        """The exit status, or None if it still lives after `timeout` seconds."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def close(self) -> None:
        """Let go of the pipe."""
        ...


class Looker(Protocol):
    """Who looks at a child from outside."""

    def look(self, process: Any, now: float) -> None:
        """At a living one."""
        ...

    def cause(self, status: int | None) -> str:
        """Why it died, in words."""
        ...


class Child:
    """A process that is to be kept alive.

    Parameters
    ----------
    name : str
        For logs: ``writer`` or ``worker <job>``.
    start : callable
        Starts the process; takes the cause of the last death (empty at first).
    hear : callable
        Called with the child and each message from it.
    backoff : Backoff
        How often it may die.
    looker : Looker, optional
        Looks at it while it lives, and knows more of its death than its status says.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[str], Process],
        hear: Callable[[Child, dict[str, Any]], None],
        backoff: Backoff | None = None,
        looker: Looker | None = None,
    ) -> None:
        self.name, self.looker = name, looker
        self._start, self.hear = start, hear
        self._backoff = backoff or Backoff()
        self.process: Process | None = None
        self.started = 0.0
        self.start_at: float | None = None
        self.finished = False
        self.given_up = False
        self.cause = ""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def restarts(self) -> int:
        """How often it has died so far."""
        return self._backoff.total

    @property
    def deaths(self) -> int:
        """How often it has died without having lived for long in between."""
        return self._backoff.deaths

    def launch(self) -> None:
        """Start the process."""
        self.start_at = None
        self.started = time.monotonic()
        self.process = self._start(self.cause)

    def bury(self, cause: str, now: float) -> float | None:
        """Note its death; the pause before the next start, or None when it is given up."""
        self.cause = cause
        if self.process is not None:
            self.process.close()
        self.process = None
        pause = self._backoff.died(self.started, now)
        self.start_at = None if pause is None else now + pause
        self.given_up = pause is None
        return pause

    def retire(self) -> None:
        """Tell it to stop; it is not started again."""
        self.finished, self.start_at = True, None
        process = self.process
        if process is not None:
            process.send("stop")

    def dismiss(self) -> None:
        """End the process if it still runs, and let go of its pipe."""
        if self.process is not None:
            if self.alive:
                self.process.kill()
            self.process.close()
            self.process = None


class Supervisor(threading.Thread):
    """Watches children until told to stop.

    Parameters
    ----------
    children : iterable of Child
        Started already.
    describe : callable
        Puts an exit status into words.
    looked : callable
        Called when all children have been looked at.
    """

    def __init__(
        self,
        children: Iterable[Child],
        describe: Callable[[int | None], str],
        looked: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(name="h5daq-supervisor", daemon=True)
        self._looked = looked
        self.children = list(children)
        self._describe = describe
        self._ending = threading.Event()

    def end(self) -> None:
        """Stop watching; the children are left as they are."""
        self._ending.set()
        self.join()

    def run(self) -> None:
        """Hear, look, start again."""
        while not self._ending.is_set():
            self.hear(_LOOK_SECONDS)
            for child in self.children:
                self._look(child)
            self._looked()

    def hear(self, timeout: float) -> None:
        """Pass on what the children say, waiting up to `timeout` seconds for something."""
        speaking = [(c.process, c) for c in self.children if c.process is not None]
        open_pipes = {p.fileno(): child for p, child in speaking if not p.closed}
        if not open_pipes:
            self._ending.wait(timeout)
            return
        for pipe in wait(list(open_pipes), timeout):
            self._listen(open_pipes[cast(int, pipe)])

    def _listen(self, child: Child) -> None:
        if child.process is not None:
            for message in child.process.messages():
                child.hear(child, message)

    def _look(self, child: Child) -> None:
        now = time.monotonic()
        if child.start_at is not None and now >= child.start_at:
            self._restart(child)
        elif child.process is not None and (status := child.process.poll()) is not None:
            self._died(child, status, now)
        elif child.process is not None and child.looker is not None:
            child.looker.look(child.process, now)

    def _died(self, child: Child, status: int, now: float) -> None:
        self._listen(child)
        if child.finished:
            child.dismiss()
            return
        describe = self._describe if child.looker is None else child.looker.cause
        pause = child.bury(describe(status), now)
        if pause is None:
            log.error("%s %s; it died too often and is given up", child.name, child.cause)
        else:
            log.warning("%s %s; starting it again in %.2g s", child.name, child.cause, pause)

    def _restart(self, child: Child) -> None:
        try:
            child.launch()
        except (H5daqError, OSError, RuntimeError) as error:
            pause = child.bury(str(error), time.monotonic())
            state = "given up" if pause is None else f"tried again in {pause:.2g} s"
            log.error("%s could not be started (%s); %s", child.name, error, state)
