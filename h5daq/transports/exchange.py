"""Asking and waiting for the answer, over any pair of send and receive.

Between a request and its answer, notes to the client's contexts may come, and answers to requests
that were given up. The first are kept for whoever asks for them, the second are dropped.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from h5daq.errors import NoAnswer
from h5daq.flow.packing import Buffer
from h5daq.flow.requests import id_of

__all__ = ["Exchange"]

NOTES_KEPT = 10_000
"""Notes that are kept for a client that doesn't ask for them; the oldest go."""


class _Line(Protocol):
    endpoint: str

    def send(self, frames: Sequence[Buffer]) -> bool: ...

    def receive(self, timeout: float) -> list[Buffer] | None: ...


class Exchange:
    """Requests over one line, one at a time."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._notes: deque[list[Buffer]] = deque(maxlen=NOTES_KEPT)
        self.over = False

    def request(self, frames: Sequence[Buffer], timeout: float) -> list[Buffer]:
        """The frames of the answer that bears the request's id.

        Raises
        ------
        NoAnswer
            After `timeout` seconds, or when all is `over` and it was woken.
        """
        wanted, deadline = id_of(frames), time.monotonic() + timeout
        if not self._line.send(frames):
            raise self._no_answer(timeout)
        while (left := deadline - time.monotonic()) >= 0 and not self.over:
            answer = self._line.receive(left)
            if answer is None:
                continue  # the time is up, or it was woken
            got = id_of(answer)
            if got == wanted:
                return answer
            if got is None:
                self._notes.append(answer)
        raise self._no_answer(timeout)

    def notes(self) -> list[list[Buffer]]:
        """What came beside the answers, and what has come since, in order."""
        while (note := self._line.receive(0.0)) is not None:
            if id_of(note) is None:
                self._notes.append(note)
        kept = list(self._notes)
        self._notes.clear()
        return kept

    def _no_answer(self, timeout: float) -> NoAnswer:
        return NoAnswer(
            f"no answer from {self._line.endpoint} within {timeout:g} s: is the writer running, "
            "and is this its request endpoint?"
        )
