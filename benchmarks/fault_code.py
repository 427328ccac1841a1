"""Faults of user code: a getter that does to its own process what getters have been seen to do.

Each getter of `fault_system` looks, before a row, into a byte of a page that it shares with the
campaign; what stands there is done, once. Rows that a getter has given out before are not lost by
what leaves the worker in order, or counted; a worker that is killed by it goes by as killed.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.fault_kinds import Fault

if TYPE_CHECKING:
    from benchmarks.faults import Campaign

__all__ = ["HANG_SECONDS", "KINDS", "RAISING", "Orders"]

HANG_SECONDS = 2.0
"""The ``hang_timeout`` of the jobs."""

JOBS = ("count", "array", "large", "text", "constant", "fold", "spool")
PAGE = "getter-orders"


def _leave_a_copy() -> None:
    os.fork()


def _leave_a_thread() -> None:
    threading.Thread(target=threading.Event().wait).start()


def _use_up_descriptors() -> None:
    held = []
    with suppress(OSError):
        for _ in itertools.count():
            held.append(os.dup(2))
    for fd in held:
        os.close(fd)


def _hang() -> None:
    time.sleep(1e6)


def _hold_the_lock() -> None:
    ctypes.PyDLL(None).sleep(1_000_000)


def _raise(error: type[BaseException]) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


_ERRORS = (SystemExit, KeyboardInterrupt, MemoryError)

GENTLE: dict[str, Callable[[], None]] = {
    "copy": _leave_a_copy, "thread": _leave_a_thread, "descriptors used up": _use_up_descriptors,
    "hang": _hang, **{error.__name__: _raise(error) for error in _ERRORS},
}  # fmt: skip
"""After these a worker goes on, or ends in order: no row that was given out may be missing."""

DEADLY: dict[str, Callable[[], None]] = {
    "segfault": lambda: ctypes.string_at(0), "os._exit": lambda: os._exit(3), "abort": os.abort,
    "descriptors closed": lambda: os.closerange(3, 256), "hang with the lock": _hold_the_lock,
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}  # fmt: skip
"""These end the process at once, or have it killed."""

_ACTS = {name: act for acts in (GENTLE, DEADLY) for name, act in acts.items()}
_NUMBERS = {name: number for number, name in enumerate(_ACTS, 1)}


class Orders:
    """One byte for each job, in a file; 0 is nothing.

    Parameters
    ----------
    folder : Path
        Of the campaign.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / PAGE
        if not path.exists():
            path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def give(self, job: str, name: str) -> None:
        """Have the next reading of a job do something."""
        self._page[JOBS.index(job)] = _NUMBERS[name]

    def waiting(self, job: str) -> bool:
        """Whether that was not taken yet."""
        return bool(self._page[JOBS.index(job)])

    def obey(self, job: str) -> None:
        """In the getter: do what is ordered. Other jobs than these are left alone."""
        if job not in JOBS:
            return
        if number := self._page[JOBS.index(job)]:
            self._page[JOBS.index(job)] = 0
            list(_ACTS.values())[number - 1]()


def _kind(name: str) -> Fault:
    def act(campaign: Campaign) -> None:
        job = campaign.random.choice(JOBS)
        worker = _newest(campaign.folder / "truth", job)
        orders = Orders(campaign.folder)
        if name in DEADLY:
            # Before it is done: it may be over as soon as it is given.
            campaign.prey.killed[worker] = time.time_ns()
        orders.give(job, name)
        deadline = time.monotonic() + 30.0
        while orders.waiting(job):
            if time.monotonic() > deadline:
                campaign.wrong.append(f"job {job} takes no more readings before {name!r}")
                return
            time.sleep(0.01)
        if name in ("hang", "hang with the lock", "stop"):
            _await_another(campaign, job, worker)

    return Fault(f"getter: {name}", act)


def _await_another(campaign: Campaign, job: str, worker: int) -> None:
    """A worker that hangs must be given up, and another one must come."""
    deadline = time.monotonic() + 60.0
    while _newest(campaign.folder / "truth", job) == worker:
        if time.monotonic() > deadline:
            campaign.wrong.append(f"job {job} hangs, and its worker {worker} is not replaced")
            return
        time.sleep(0.05)


def _newest(truth: Path, job: str) -> int:
    """The process id of a job's newest getter."""
    births = [path.name.rsplit(".", 2) for path in truth.glob(f"{job}.*")]
    return int(max(births, key=lambda parts: int(parts[2]))[1])


RAISING = [f"getter: {error.__name__}" for error in _ERRORS]
"""After each of these one reading has failed."""

KINDS = [_kind(name) for name in _ACTS]
"""Faults after which the run goes on."""
