"""How many bytes of rows are on their way to whom: nobody may ask for more than he takes.

Rows are sent from where they were read to, and stay there until the socket is done with them. Who
asks for page after page and reads none would fill the writer's memory. So each page counts for its
connection, and for its key, as long as anybody holds it; who is owed enough has to wait.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Sequence
from weakref import finalize

from h5daq.errors import RequestError
from h5daq.flow.packing import Buffer
from h5daq.flow.ratelimit import KEY_SHARE
from h5daq.flow.requests import ErrorCode

__all__ = ["MOST_OWED", "Owed"]

MOST_OWED = 256 << 20
"""Bytes on their way to one connection at which it gets no more. It is far more than a client has
under way that reads: on a busy machine pages are let go of some tenths of a second late."""

_SMALL_BYTES = 64 << 10
"""What is smaller is not counted: the socket's queue has a limit of its own."""


class Owed:
    """Counts them. Frames may be let go in any thread, all else is for one.

    Parameters
    ----------
    most : int
        Bytes for a connection; all connections of a key may be owed four times that.

    Examples
    --------
    >>> owed = Owed(most=100_000)
    >>> frames = owed.note(b"anna", "", [bytes(100_000)])
    >>> owed.check(b"ben", "")
    >>> owed.check(b"anna", "")
    Traceback (most recent call last):
    ...
    h5daq.errors.RequestError: too many requests: 100000 bytes of rows wait for this ...
    >>> del frames
    >>> owed.check(b"anna", "")
    """

    def __init__(self, most: int = MOST_OWED) -> None:
        self._most = most
        self._bytes: Counter[Hashable] = Counter()
        self._gone: deque[tuple[Iterable[Hashable], int]] = deque()

    def check(self, identity: bytes, user: str) -> None:
        """Refuse a page to who is owed enough; raises `RequestError`."""
        while self._gone:
            whose, size = self._gone.popleft()
            for one in whose:
                self._bytes[one] -= size
                if not self._bytes[one]:
                    del self._bytes[one]
        self._refuse(identity, self._most, "connection")
        if user:
            self._refuse(user, KEY_SHARE * self._most, "key")

    def _refuse(self, who: Hashable, most: int, what: str) -> None:
        if self._bytes[who] >= most:
            code = ErrorCode.TOO_MANY_REQUESTS
            text = f"{self._bytes[who]} bytes of rows wait for this {what} to read them"
            raise RequestError(code, code.wire_name, f"{code.wire_name}: {text}")

    def note(self, identity: bytes, user: str, frames: Sequence[Buffer]) -> list[Buffer]:
        """The frames of an answer, to be sent as they are given back: the large ones count."""
        return [self._counted((identity, user), frame) for frame in frames]

    def _counted(self, whose: tuple[bytes, str], frame: Buffer) -> Buffer:
        if len(frame) < _SMALL_BYTES:
            return frame
        view, holders = memoryview(frame), [one for one in whose if one]
        for one in holders:
            self._bytes[one] += len(frame)
        # Not at the end of the process, when nobody counts any more.
        finalize(view, self._gone.append, (holders, len(frame))).atexit = False
        return view
