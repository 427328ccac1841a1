"""Adding rows without waiting for each answer, and yet in order, once, and with errors told.

While one request is under way, what is added meanwhile is gathered; it goes as one with the next.
So there is never more than one under way, a lost one is repeated before anything that follows, and
the writer gets few large requests instead of many small ones: the slower it is, the larger.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from h5daq.errors import (
    BadArgument,
    BadData,
    DataVersionMismatch,
    H5daqError,
    NoAnswer,
    WireError,
)
from h5daq.flow.closing import Closing
from h5daq.flow.vaultwire import MAX_PAGE_BYTES, Field
from h5daq.vaultclient.rows import from_columns, from_floats, from_rows, joined, size_of

__all__ = ["Pipeline"]

_MOST_AT_ONCE = MAX_PAGE_BYTES // 8
"""Bytes that are put into one request, unless one add alone has more."""

_MOST_ROWS_AT_ONCE = 16_000

_REFUSALS = (BadData, BadArgument, DataVersionMismatch, WireError)
"""What one add may have done wrong and another right."""

Send = Callable[[str, list[Field]], None]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one call has added."""

    verb: str
    columns: list[Field]
    size: int

    @property
    def rows(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def like(self, other: _Piece) -> bool:
        """Whether both can go as one: the same verb, and the same kinds of columns."""
        return self.verb == other.verb and _kinds(self.columns) == _kinds(other.columns)


def _kinds(columns: list[Field]) -> list[Any]:
    return [
        (column.dtype, column.shape[1:]) if isinstance(column, np.ndarray) else None
        for column in columns
    ]


def _own(columns: list[Field]) -> list[Field]:
    """Columns that stay as they are: the user may fill his arrays anew while they wait."""
    return [column.copy() if isinstance(column, np.ndarray) else column for column in columns]


class Pipeline(Closing):
    """Rows on their way into the dataset that a context has open; from any thread.

    Arrays are copied, and may be used again at once. The context should add nothing else, nor open
    another dataset, until this is flushed.

    Parameters
    ----------
    send : callable
        Takes a verb and columns, and returns when they are committed.
    most_bytes : int
        Rows that may wait; an add beyond that waits itself.
    timeout : float
        Seconds that `flush`, and an add without room, wait at most.

    Notes
    -----
    An add that is refused is left out, and told once, by the next add or `flush`; the others are
    stored. Where the context is lost, everything that is not stored is kept: after `restore` the
    next add or flush goes on.
    """

    def __init__(self, send: Send, most_bytes: int, timeout: float) -> None:
        self._send, self._most, self._timeout = send, most_bytes, timeout
        self._changed = threading.Condition()
        self._waiting: deque[_Piece] = deque()
        self._bytes = 0
        self._error: H5daqError | None = None
        self._halted = self._ending = False
        self._thread = threading.Thread(target=self._run, name="h5daq vault rows", daemon=True)
        self._thread.start()

    def add(self, rows: Any) -> None:
        """Add rows of floats; see `VaultContext.add`."""
        columns = from_floats(rows)
        # Of a list they are an array of their own already.
        self._give("add", columns if isinstance(rows, list | tuple) else _own(columns))

    def add_ex(self, rows: Any) -> None:
        """Add rows of any columns; see `VaultContext.add_ex`."""
        self._give("add_ex", _own(from_rows(rows)))

    def add_ex_t(self, columns: Any) -> None:
        """Add columns; see `VaultContext.add_ex_t`."""
        self._give("add_ex_t", _own(from_columns(columns)))

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all is committed.

        Raises
        ------
        NoAnswer
            If it is not within `timeout` seconds; it goes on being sent.
        H5daqError
            The first error since the last call.
        """
        self._wait(lambda: not self._waiting, timeout)

    def close(self) -> None:
        """Flush, and end. What the user has added and can't be stored is an error here."""
        try:
            if not self._ending:
                self.flush()
        finally:
            with self._changed:
                self._ending = True
                self._changed.notify_all()

    # -- the caller's side -------------------------------------------------------------------------

    def _give(self, verb: str, columns: list[Field]) -> None:
        piece = _Piece(verb, columns, size_of(columns))
        self._wait(lambda: not self._bytes or self._bytes + piece.size <= self._most, None)
        with self._changed:
            if self._ending:
                raise NoAnswer("this pipeline is closed; vault.pipeline() makes another")
            self._waiting.append(piece)
            self._bytes += piece.size
            self._changed.notify_all()

    def _wait(self, holds: Callable[[], bool], timeout: float | None) -> None:
        seconds = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        with self._changed:
            self._raise_error()
            self._halted = False
            self._changed.notify_all()
            while not holds() and self._error is None:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise NoAnswer(
                        f"{len(self._waiting)} adds are not committed after {seconds:g} s; they "
                        "go on being sent: flush() waits on"
                    )
            self._raise_error()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    # -- the pipeline's own thread -----------------------------------------------------------------

    def _run(self) -> None:
        while (pieces := self._next()) is not None:
            try:
                self._store(pieces)
            except H5daqError as error:
                self._fail(error, halt=not isinstance(error, _REFUSALS))

    def _next(self) -> list[_Piece] | None:
        """What goes as one; it stays in the row until it is stored. None at the end."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ending or (bool(self._waiting) and not self._halted)
            )
            if self._ending:
                return None
            return self._alike()

    def _alike(self) -> list[_Piece]:
        first = self._waiting[0]
        found, size, rows = [first], first.size, first.rows
        for piece in list(self._waiting)[1:]:
            size, rows = size + piece.size, rows + piece.rows
            if size > _MOST_AT_ONCE or rows > _MOST_ROWS_AT_ONCE or not piece.like(first):
                break
            found.append(piece)
        return found

    def _store(self, pieces: list[_Piece]) -> None:
        try:
            self._send(pieces[0].verb, joined([piece.columns for piece in pieces]))
        except _REFUSALS:
            if len(pieces) == 1:
                self._done(1)
                raise
            self._store_each(pieces)
        else:
            self._done(len(pieces))

    def _store_each(self, pieces: list[_Piece]) -> None:
        """Together they were refused, and none of them taken: find those that are at fault."""
        for piece in pieces:
            try:
                self._send(piece.verb, piece.columns)
            except _REFUSALS as error:
                self._fail(error, halt=False)
            self._done(1)

    def _done(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._bytes -= self._waiting.popleft().size
            self._changed.notify_all()

    def _fail(self, error: H5daqError, halt: bool) -> None:
        with self._changed:
            self._error = self._error or error
            self._halted = self._halted or halt
            self._changed.notify_all()
