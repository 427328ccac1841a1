"""What a worker knows of the user's code that it is in: since when, in which call, and its copies.

While a call lets Python run, the courier looks at the stack of the thread that reads. Where one
does not, or kills the process, the stack is written without Python's help, to the file of the
pulse: by the parent's signal, which the reading thread does not feel, or as the last thing.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from h5daq.jobs.pulse import LOOK_SIGNAL, Pulse
from h5daq.jobs.stack import call_of, in_words, of_frame

if TYPE_CHECKING:
    from h5daq.jobs.job import DAQJob

__all__ = ["Watch"]

log = logging.getLogger("h5daq.worker")

HANGING_SECONDS = 2.0
"""What takes longer than this, and than three periods of a job, is said to hang."""


class Watch:
    """Watches the user's code of one job.

    Parameters
    ----------
    job : DAQJob
        Whose code.
    pulse : Pulse
        Where its beginning and end are marked.
    """

    def __init__(self, job: DAQJob, pulse: Pulse) -> None:
        self._job, self._pulse = job, pulse
        self._allowed = HANGING_SECONDS
        if job.read_mode == "schedule":
            self._allowed = max(self._allowed, 3 * job.read_period)
        self._doing = "a reading"
        self._copies = 0
        self._copied = False
        self._call: FrameType | None = None

    # -- what the user's code is doing -------------------------------------------------------------

    @contextmanager
    def over(self, doing: str) -> Iterator[None]:
        """Watch something other than a reading."""
        self._doing = doing
        self._pulse.begin(time.monotonic())
        try:
            yield
        finally:
            self._pulse.end()
            self._doing = "a reading"

    @property
    def busy(self) -> bool:
        """Whether the user's code runs."""
        return self._pulse.busy_since is not None

    def seconds(self, now: float) -> float:
        """For how many seconds it has been running, 0 if it isn't."""
        since = self._pulse.busy_since
        return 0.0 if since is None else max(0.0, now - since)

    def hanging(self, now: float) -> str:
        """What takes too long, how long it has taken, and where it is; empty if nothing does."""
        seconds = self.seconds(now)
        if seconds <= self._allowed:
            return ""
        where = self.where()
        return f"{self._doing} has been under way for {seconds:.0f} s" + (where and f", {where}")

    def hung(self, now: float) -> str:
        """Why the worker is to be started again; empty if it is not."""
        seconds, limit = self.seconds(now), self._job.hang_timeout
        if limit is None or seconds < limit:
            return ""
        return f"hung for {seconds:.0f} s: {self.where()}".rstrip(": ")

    @staticmethod
    def where() -> str:
        """In which call the main thread is."""
        ident = threading.main_thread().ident
        return in_words(of_frame(sys._current_frames().get(ident or 0)))

    # -- what it leaves without Python's help ------------------------------------------------------

    def listen(self) -> None:
        """Have the stack written when the process is killed by what it did, or is asked for."""
        fd = self._pulse.fd
        faulthandler.enable(2 if fd is None else fd)
        if fd is not None and LOOK_SIGNAL and sys.platform != "win32":
            faulthandler.register(LOOK_SIGNAL, file=fd, all_threads=True)

    @staticmethod
    def shield() -> None:
        """The thread that reads is not to be woken from its calls by a look at it."""
        if LOOK_SIGNAL and sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_BLOCK, {LOOK_SIGNAL})

    # -- copies ----------------------------------------------------------------------------------

    def expect_copies(self, let_go: Callable[[], None]) -> None:
        """A copy that the getter forks holds nothing of the worker's, and ends where it began.

        Parameters
        ----------
        let_go : callable
            Called in each copy.
        """

        def in_copy() -> None:
            self._call = call_of(sys._getframe(1))
            self._copied = True
            self._pulse.leave()
            faulthandler.enable(2)
            let_go()

        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._before_fork, after_in_child=in_copy)

    def _before_fork(self) -> None:
        # A copy that came back to a loop over its getter would fork again, and so would its copies.
        if self._copied and (self._call is None or self._call not in _frames(sys._getframe(1))):
            self._pulse.end()

    def told_copies(self) -> None:
        """Say that copies came back, if more did since the last time."""
        copies, before = self._pulse.copies, self._copies
        if copies > before:
            self._copies = copies
            log.warning(
                "job %s: its getter forks and lets the child return: %d copies of the worker were "
                "ended; end such a child with os._exit()", self._job.group, copies,
            )  # fmt: skip


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
