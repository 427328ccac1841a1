"""The twin of a writer's front: it says what a real writer must think of each message.

It is the writer's own intake without sockets and files, given the same messages in the same order;
so its counts of what is refused are those that the writer must have.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from typing import Any

from benchmarks.fuzz_seeds import GROUPS
from h5daq.errors import WireError
from h5daq.flow.ledger import Ledger
from h5daq.flow.planner import Planner
from h5daq.flow.records import RunRecord
from h5daq.flow.requests import decode_request, id_of
from h5daq.flow.rollover import Calendar
from h5daq.flow.wire import decode_head
from h5daq.writer.intake import Intake

__all__ = ["Twin", "is_refused", "is_refused_request"]


class _Nowhere:
    """A journal that keeps nothing."""

    last = 0

    def append(self, _message: Any) -> int:
        self.last += 1
        return self.last


class Twin:
    """The writer's intake, without sockets and files: what does it think of a message?"""

    def __init__(self) -> None:
        planner = Planner(
            Calendar({"days": 1}), "{date_from}.h5", 0, 60.0, itertools.count(1).__next__
        )
        self.intake = Intake(_Nowhere(), Ledger(), planner, "run", time.time)
        options = {"write_period": 1.0, "rollover_interval": "1 days", "durability": "none"}
        self.intake.record(RunRecord("r", "run", time.time(), {}, options))
        self.intake.record(planner.first(time.time()))
        self.requests: Counter[str] = Counter()

    @property
    def refused(self) -> Counter[str]:
        """By cause, of messages and requests."""
        return self.intake.refused + self.requests

    def position(self, job: str, inc: int) -> int:
        """Which row is wanted."""
        known = self.intake.ledger.jobs.get(job)
        return known.next.get(inc, 0) if known else 0

    def take(self, message: bytes) -> None:
        """What the writer does, too."""
        self.intake.take(memoryview(message))
        self.intake.remarks.clear()
        self.intake.collect()

    def takes_new_name(self, message: bytes) -> bool:
        """Whether a right message brings a job or an incarnation that is no seed's.

        Nobody is to be shut out by their number, so the writer keeps what it is told of them: each
        costs memory for good reason, and would hide what leaks without one.
        """
        try:
            head = decode_head(message)
        except WireError:
            return False
        job = self.intake.ledger.jobs.get(head.job)
        known = job is not None and head.inc in job.next
        return head.k == "hello" and not known and len(self.intake.ledger.jobs) > len(GROUPS) + 40


def is_refused(message: bytes) -> bool:
    """Whether a message can't even be read."""
    try:
        decode_head(message)
    except WireError:
        return True
    return False


def is_refused_request(frames: list[bytes]) -> bool:
    """Whether a request can't even be read."""
    try:
        decode_request(frames)
    except WireError:
        return True
    return id_of(frames) is None
