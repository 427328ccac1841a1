"""What went wrong with a job's readings: counted by cause, and the streak of failures.

Counts are cumulative from the start of the worker, so that a lost status message loses none. From
``error_count_limit`` failures in a row on, each further one asks for the user's handler; a good
reading ends the streak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from h5daq.errors import ReadingError
from h5daq.flow.toll import Count

__all__ = ["Failure", "Tally"]


_TEXT = 4096
"""Characters of an error that are told."""


class Failure:
    """One failed reading, as it is told to the daemon.

    Attributes
    ----------
    streak : int
        Failures in a row, this one included.
    text : str
        What happened.
    handle : bool
        Whether the user's handler is to be called.
    """

    __slots__ = ("handle", "streak", "text")

    def __init__(self, streak: int, text: str, handle: bool) -> None:
        self.streak, self.text, self.handle = streak, text, handle


class Tally:
    """Counts failures and losses.

    Parameters
    ----------
    limit : int
        The job's ``error_count_limit``.
    report : callable
        Is told each `Failure`.
    count : Count, optional
        Counts each reading that failed, beside the rows.

    Examples
    --------
    >>> told = []
    >>> tally = Tally(2, told.append)
    >>> tally.failed(ReadingError("no answer")); tally.failed(ReadingError("no answer"))
    >>> [failure.handle for failure in told], dict(tally.counts)
    ([False, True], {'getter': 2})
    """

    def __init__(
        self, limit: int, report: Callable[[Failure], None], count: Count | None = None
    ) -> None:
        self._count = count or Count()
        self.counts: Counter[str] = Counter()
        self.streak = 0
        self.last_text = ""
        self._limit = max(1, limit)
        self._report = report

    def good(self) -> None:
        """A reading succeeded."""
        self.streak = 0

    def failed(self, error: ReadingError) -> None:
        """A reading failed."""
        self._count.add(1)
        self.counts[error.cause] += 1
        self.streak += 1
        # Whatever the user's code put into it, it must go over the wire.
        self.last_text = str(error)[:_TEXT].encode("utf-8", "replace").decode()
        self._report(Failure(self.streak, self.last_text, self.streak >= self._limit))

    def lost(self, cause: str, rows: int) -> None:
        """Rows that were read could not be kept, and have no number."""
        self.counts[cause] += rows

    def snapshot(self) -> dict[str, int]:
        """The counts now; from any thread."""
        return dict(self.counts)
