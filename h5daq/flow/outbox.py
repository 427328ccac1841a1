"""The messages that a worker holds: those in flight, and those that wait behind them.

An `Outbox` knows numbers and bytes, and nothing of the link: `h5daq.flow.delivery` decides when a
message goes and when all of them must go again. A message is held until the writer's position has
passed it. Where rows were given up, a skip stands in their place, so that numbers never have a
hole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from h5daq.errors import JobValueError
from h5daq.flow.packing import Buffer

__all__ = ["Outbox", "SkipEncoder"]

SkipEncoder = Callable[[int, int, str], bytes]
"""Encodes ``(first, n, cause)`` as a skip message."""


class _Item(NamedTuple):
    first: int
    end: int
    message: Buffer
    cause: str = ""  # of a skip made here; "" for what was put

    @property
    def rows(self) -> int:
        return 0 if self.cause else self.end - self.first


class Outbox:
    """Numbered messages, oldest first.

    Parameters
    ----------
    first : int
        Number of the first row that will be put.
    skip : callable
        Encodes ``(first, n, cause)`` as a skip message.
    """

    def __init__(self, first: int, skip: SkipEncoder) -> None:
        self.end = first
        self.held_bytes = self.held_rows = self.flying_bytes = 0
        self.closed = False
        self._skip = skip
        self._flying: deque[_Item] = deque()
        self._waiting: deque[_Item] = deque()

    @property
    def empty(self) -> bool:
        """Whether nothing is held."""
        return not self._flying and not self._waiting

    @property
    def upcoming(self) -> Buffer | None:
        """The oldest message that is not in flight."""
        return self._waiting[0].message if self._waiting else None

    def put(self, first: int, n: int, message: Buffer) -> None:
        """Hold a message with `n` rows from `first` on, behind all others.

        Raises
        ------
        JobValueError
            If the numbers do not follow those before, or after `close`.
        """
        if first != self.end or n < 1 or self.closed:
            raise JobValueError(f"rows {first} to {first + n} can't follow row {self.end}")
        self.end = first + n
        self.held_rows += n
        self.held_bytes += len(message)
        self._waiting.append(_Item(first, self.end, message))

    def jump(self, first: int) -> None:
        """Go on with row `first`, if nothing is held and the rows before it are committed."""
        if self.empty:
            self.end = max(self.end, first)

    def skip(self, first: int, cause: str) -> None:
        """Go on with row `first`: a skip stands for what lies between."""
        if first > self.end:
            skipped = _Item(self.end, first, self._skip(self.end, first - self.end, cause), cause)
            self.end = first
            self.held_bytes += len(skipped.message)
            self._waiting.append(skipped)

    def held(self) -> Iterator[tuple[int, int, Buffer]]:
        """First row, rows and message of all that is held, oldest first, without the bye."""
        for item in (*self._flying, *self._waiting):
            if not self._is_bye(item):
                yield item.first, item.end - item.first, item.message

    def close(self, bye: bytes) -> None:
        """Hold the bye behind the last row; nothing is put any more."""
        if not self.closed:
            self.closed = True
            self.held_bytes += len(bye)
            self._waiting.append(_Item(self.end, self.end, bye))

    def launch(self) -> None:
        """The oldest waiting message is in flight now."""
        item = self._waiting.popleft()
        self._flying.append(item)
        self.flying_bytes += len(item.message)

    def rewind(self) -> None:
        """Nothing is in flight any more: all that is held waits."""
        self._waiting.extendleft(reversed(self._flying))
        self._flying.clear()
        self.flying_bytes = 0

    def trim(self, following: int, *, bye: bool) -> None:
        """Forget what ends at or before row `following`; the bye only once it was answered."""
        for queue in (self._flying, self._waiting):
            while queue and queue[0].end <= following and (bye or not self._is_bye(queue[0])):
                item = queue.popleft()
                self._forget(item)
                if queue is self._flying:
                    self.flying_bytes -= len(item.message)

    def bridge(self, following: int, cause: str) -> None:
        """If rows from `following` on are wanted that are no longer held, skip them."""
        oldest = self._flying or self._waiting
        first = oldest[0].first if oldest else self.end
        if following < first:
            self.rewind()
            self._replace(following, first, cause)

    def shed(self, keep_bytes: int, cause: str) -> int:
        """Give up the oldest rows that are not in flight until `keep_bytes` are held.

        A skip takes their place. Returns the number of rows given up.
        """
        given_up: list[_Item] = []
        while self.held_bytes > keep_bytes and self._sheddable(cause):
            given_up.append(self._waiting.popleft())
            self._forget(given_up[-1])
        if given_up:
            self._replace(given_up[0].first, given_up[-1].end, cause)
        return sum(item.rows for item in given_up)

    def _sheddable(self, cause: str) -> bool:
        """Whether giving up the oldest gains anything: not of a bye, nor of a skip alone."""
        rows_wait = [item for item in islice(self._waiting, 2) if not self._is_bye(item)]
        return bool(rows_wait) and (len(rows_wait) > 1 or rows_wait[0].cause != cause)

    def _replace(self, first: int, end: int, cause: str) -> None:
        item = _Item(first, end, self._skip(first, end - first, cause), cause)
        self.held_bytes += len(item.message)
        self._waiting.appendleft(item)

    def _forget(self, item: _Item) -> None:
        self.held_bytes -= len(item.message)
        self.held_rows -= item.rows

    @staticmethod
    def _is_bye(item: _Item) -> bool:
        return item.first == item.end
