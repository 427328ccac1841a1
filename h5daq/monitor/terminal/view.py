"""What the panes look at: a picture that somebody else feeds, and the time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from h5daq.monitor.picture import Picture

__all__ = ["Source", "View"]


class Source(Protocol):
    """What an app needs of a `h5daq.monitor.feed.Feed`."""

    picture: Picture
    lock: threading.Lock
    trouble: str

    def order(self, verb: str, jobs: list[str]) -> None:
        """Tell jobs to pause, resume or trigger."""

    def comment(self, job: str, text: str, user: str) -> None:
        """Add a comment to a job."""


@dataclass(slots=True)
class View:
    """A source, a clock (UTC seconds), and what somebody has chosen to see."""

    source: Source
    clock: Callable[[], float] = time.time
    job: str | None = None
    label: str | None = None
    wanted: str = ""
    warnings: bool = False

    @property
    def picture(self) -> Picture:
        """To be looked at while the lock of the source is held."""
        return self.source.picture
