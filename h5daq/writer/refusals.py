"""Messages that are not taken: counted by cause, logged ever more seldom, and told to who hears."""

from __future__ import annotations

import logging
from collections import Counter

from h5daq.errors import WireError
from h5daq.flow.wire import Head
from h5daq.writer.notes import Note

__all__ = ["Refusals"]

log = logging.getLogger("h5daq.writer")

_MOST_UNWELCOME = 1000
"""Refused jobs that are kept for the status; their names are anybody's choice."""


class Refusals:
    """What was refused so far.

    Attributes
    ----------
    counts : Counter
        Messages, by cause.
    unwelcome : dict of str to str
        Jobs whose hello was refused, and why.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unwelcome: dict[str, str] = {}

    def nonsense(self, error: WireError) -> None:
        """What can't be a message."""
        self.counts[error.cause] += 1
        count = self.counts[error.cause]
        if count in (1, 10, 100) or count % 1000 == 0:
            log.warning("refused a message (%s, %d so far): %s", error.cause, count, error)

    def message(self, head: Head, error: WireError, note: Note) -> None:
        """A message of someone who can be told."""
        self.nonsense(error)
        note.refused[head.job] = str(error)
        self._remember(head, str(error))

    def key(self, head: Head, why: str) -> None:
        """A message that its key may not send; the guard tells and logs it."""
        self.counts["key"] += 1
        self._remember(head, why)

    def _remember(self, head: Head, why: str) -> None:
        if head.k == "hello" and len(self.unwelcome) < _MOST_UNWELCOME:
            self.unwelcome[head.job] = why
