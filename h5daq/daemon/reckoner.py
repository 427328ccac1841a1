"""Tells the writer what dead workers had read, until it has counted what nobody has.

A `Reckoning` finds their tolls (`h5daq.jobs.toll`), whoever had started them, and asks for each
until the writer says that it is counted; only then the toll is deleted. What lies in a spool is no
loss: its rows come with the next worker of the job, and the toll waits until they have.

A `Reckoner` does so on a thread of its own: at the start, when it is told of a death, and now and
then.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from h5daq.errors import H5daqError, NoAnswer
from h5daq.flow.closing import Closing
from h5daq.jobs.toll import Left, left

__all__ = ["Reckoner", "Reckoning"]

log = logging.getLogger("h5daq.daemon")

Ask = Callable[..., Any]
"""Asks the writer: a verb, ``timeout``, and the verb's arguments."""

_ASK_SECONDS, _AGAIN_SECONDS = 2.0, 0.1
_SOONEST, _LATEST = 0.5, 4.0
"""Seconds between two looks: while something may change soon, and at most."""


class Reckoning:
    """The tolls of one destination.

    Parameters
    ----------
    home : str
        The directory of the writer's files.
    ask : callable
        Asks the writer.
    jobs : collection of str, optional
        Of which jobs alone.
    """

    def __init__(self, home: str, ask: Ask, jobs: Collection[str] | None = None) -> None:
        self._home, self._ask, self._jobs = home, ask, jobs
        self._complaint = ""
        self._lock = threading.Lock()

    def settle(self, seconds: float) -> bool:
        """Wait until all is counted that the writer can count now; False if it was not in time."""
        deadline = time.monotonic() + seconds
        while self.report():
            if time.monotonic() > deadline:
                return False
            time.sleep(_AGAIN_SECONDS)
        return True

    def report(self) -> str:
        """Tell all there is to tell.

        Returns
        -------
        str
            ``waiting`` if the writer will have counted more in a moment, ``unanswered`` if it is
            silent, and empty if nothing is to be done but to wait for others.
        """
        wait = ""
        with self._lock:
            for toll in left(self._home, self._jobs):
                state = self._settle(toll)
                if state == "unanswered":
                    return state
                wait = state if state == "waiting" else wait
        return wait

    def _settle(self, toll: Left) -> str:
        if toll.spooled:
            return "spooled"
        state = self._tell(toll) if toll.produced else "counted"
        if state == "counted":
            toll.forget()
        return state

    def _tell(self, toll: Left) -> str:
        owner = toll.owner
        try:
            answer = self._ask(
                "death", timeout=_ASK_SECONDS, job=owner.job, inc=owner.inc,
                produced=toll.produced, cause=toll.cause,
            )  # fmt: skip
        except NoAnswer:
            return "unanswered"
        except H5daqError as error:
            if str(error) != self._complaint:
                log.warning("job %s: what its dead worker had read can't be told: %s",
                            owner.job, error)  # fmt: skip
            self._complaint = str(error)
            return "refused"
        return str(answer["state"])


class Reckoner(threading.Thread, Closing):
    """Tells of deaths, from a thread of its own.

    Parameters
    ----------
    reckoning : Reckoning
        What is to be told to whom.
    """

    def __init__(self, reckoning: Reckoning) -> None:
        super().__init__(name="h5daq-reckoner", daemon=True)
        self._reckoning = reckoning
        self._woken = threading.Event()
        self._ending = False

    def wake(self) -> None:
        """A worker has died."""
        self._woken.set()

    def run(self) -> None:
        """Look, and look again; until closed."""
        pause = _SOONEST
        while not self._ending:
            waits = self._reckoning.report() == "waiting"
            pause = _SOONEST if waits else min(2 * pause, _LATEST)
            if self._woken.wait(pause):
                self._woken.clear()
                pause = _SOONEST

    def close(self) -> None:
        """End it."""
        self._ending = True
        self.wake()
        if self.is_alive():
            self.join()
