"""The journal of a run with ``durability = "none"``: a bounded queue in memory.

It has the interface of the journal on disk, so nothing around it has to know. A commit means that
an entry is in this process's memory; what no checkpoint holds is lost with the process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from itertools import islice

from h5daq.errors import JournalFull
from h5daq.flow.entries import Entry, frame_bytes
from h5daq.storage.messages import Message, gathered

__all__ = ["MemoryJournal"]


class MemoryJournal:
    """Entries in memory until they are released.

    Parameters
    ----------
    limit_bytes : int, optional
        Most bytes that may wait for the files.

    Attributes
    ----------
    oldest, last : int
        First and last lsn held; `oldest` is one more than `last` when nothing is.
    waiting_bytes : int
        Bytes that wait for the files.
    snapshot : None
        There is nothing to come back to.
    """

    snapshot: bytes | None = None

    def __init__(self, *, limit_bytes: int = 128 << 20) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
        self.oldest = 1
        self.last = 0
        self.waiting_bytes = 0

    @property
    def synced(self) -> int:
        """The last entry: all that memory can promise."""
        return self.last

    @property
    def failed(self) -> bool:
        """Never: memory does not fail halfway."""
        return False

    def append(self, message: Message) -> int:
        """Take one entry; returns its lsn. For arguments and errors see `Journal.append`."""
        payload = gathered(message)
        size = frame_bytes(len(payload))
        with self._lock:
            if self.waiting_bytes and self.waiting_bytes + size > self._limit_bytes:
                raise JournalFull(
                    f"{self.waiting_bytes} bytes wait in memory for the files, and the limit is "
                    f"{self._limit_bytes}: the files are too slow, or can't be written"
                )
            self.last += 1
            self._entries.append(Entry(self.last, memoryview(payload).toreadonly()))
            self.waiting_bytes += size
            return self.last

    def sync(self) -> int:
        """Nothing to do; returns `last`."""
        return self.last

    def entries(self, after: int, upto: int) -> Iterator[Entry]:
        """Entries ``after + 1 … upto`` in order, as far as they are held."""
        with self._lock:
            begin = max(0, after + 1 - self.oldest)
            chosen = list(islice(self._entries, begin, max(begin, upto + 1 - self.oldest)))
        yield from chosen

    def release(self, lsn: int) -> None:
        """Forget the entries up to `lsn`: the files have them."""
        with self._lock:
            while self._entries and self.oldest <= lsn:
                entry = self._entries.popleft()
                self.waiting_bytes -= frame_bytes(len(entry.message))
                self.oldest += 1

    def reopen(self) -> None:
        """Nothing to do: memory does not fail halfway."""

    def close(self) -> None:
        """Forget everything."""
        self.release(self.last)
