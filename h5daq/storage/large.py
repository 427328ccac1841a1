"""Large writes: past the page cache to the disk itself, in threads of their own.

A write into the page cache costs the processor more than all else that a large row goes through:
pages are found, filled, sent, waited for and given back. So large ones are put together in memory
that begins at a page, and go from there to the disk (``O_DIRECT``). Each thread takes what waits
and follows each other, puts it together and writes it, while another does the same with what comes
next. Who asks for a write goes on at once; `LargeWrites.settle` waits, and says what went wrong.

Where system or file system know no such writes they go through the cache, in the same threads. It
all changes speed, never safety: an fsync is needed all the same.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.storage.crew import Crew
from h5daq.storage.pages import Fill, PageMemory, Piece, Rest, Stretch, Target

__all__ = ["LARGE_BYTES", "STRETCH_BYTES", "Fill", "LargeWrites", "put_together"]

LARGE_BYTES = 256 << 10
"""From here on a write is worth handing to another thread."""

STRETCH_BYTES, _MOST_BYTES = 4 << 20, 16 << 20
"""Of what goes out in one write, and of all writes on their way; who wants more waits."""


class _Turn:
    """A stretch that a thread has taken.

    Attributes
    ----------
    before : _Turn or None
        The one that was taken before it; None at the end.
    count : int
        Of its pieces.
    filled, written : bool
        How far it is.
    rest : Rest or None
        What it leaves, once it is filled.
    """

    def __init__(self, pieces: Sequence[Piece], before: _Turn | None) -> None:
        self.stretch, self.count = Stretch(pieces), len(pieces)
        self.before = before
        self.filled = self.written = False
        self.rest: Rest | None = None

    def touches(self, begin: int, end: int) -> bool:
        """Whether some of what it writes, or leaves, lies in there."""
        before = self.before
        rests = (self.rest, before.rest if before is not None else None)
        return any(rest is not None and rest.touches(begin, end) for rest in rests) or any(
            piece.touches(begin, end) for piece in self.stretch.pieces
        )


class LargeWrites:
    """Large writes to one file.

    Parameters
    ----------
    target : Target
        The file.
    memory : PageMemory
        Where the data are put together.
    begin_crew : callable or None
        Gives the threads where all happens, started; None for at once.

    Notes
    -----
    One thread may submit while another settles. What is called from within HDF5 (`submit`, and
    `settle_over` if nothing is in the way) takes no lock that others hold: whoever is there holds
    h5py's, and a thread that holds another may want h5py's, to let go of an object that it happens
    to find unused.
    """

    def __init__(
        self, target: Target, memory: PageMemory, begin_crew: Callable[[], Crew] | None
    ) -> None:
        self._target, self._memory, self._begin = target, memory, begin_crew
        self._crew: Crew | None = None
        self._called = False
        self._changed = threading.Condition()
        self._waiting: deque[Piece] = deque()
        self._turns: deque[_Turn] = deque()
        self._last: _Turn | None = None
        # Pieces and bytes, ever: the one side is the submitter's, the other the threads'.
        self._begun, self._begun_bytes = 0, 0
        self._done, self._done_bytes = 0, 0
        self._failure: Exception | None = None

    @property
    def direct(self) -> bool:
        """Whether the file can be written past the page cache, as far as was tried."""
        return self._target.direct

    def submit(self, offset: int, nbytes: int, fill: Fill) -> None:
        """Begin to write `nbytes` bytes at `offset`; `make_room` is for before.

        Without threads it is done on return, and raises OSError if it fails.
        """
        self._begun += 1
        self._begun_bytes += nbytes
        self._waiting.append(Piece(offset, nbytes, fill))
        if self._started() is None:
            self._do_at_once()
        else:
            self._call()

    def make_room(self, nbytes: int) -> None:
        """Wait while so many bytes more would be too many on their way.

        Not to be called from within HDF5.
        """
        self._started()
        if not self._has_room(nbytes):
            with self._changed:
                self._changed.wait_for(lambda: self._has_room(nbytes))

    def check(self) -> None:
        """Raise the OSError of a write that has failed, again with each call until `forget`.

        A fault of ours counts as one too: those bytes are not where they should be.
        """
        failure = self._failure
        if isinstance(failure, OSError):
            raise OSError(failure.errno, failure.strerror) from failure
        if failure is not None:
            raise OSError(errno.EIO, f"can't be put together: {failure!r}") from failure

    def settle(self) -> None:
        """Wait for what was submitted before the call; then `check`."""
        upto = self._begun
        with self._changed:
            self._changed.wait_for(lambda: self._done >= upto)
            # What the last of them has left may be on its way with a later one.
            self._changed.wait_for(lambda: not self._turns or self._done > upto)
            if not self._turns:
                self._keeping(self._flush)
        self.check()

    def settle_over(self, begin: int, end: int) -> None:
        """Settle if something on its way touches these bytes, which may then be changed."""
        if not any(item.touches(begin, end) for item in self._on_their_way()):
            return
        self.settle()
        with self._changed:
            rest = None if self._last is None else self._last.rest
            # What another thread has submitted meanwhile may not be flushed yet.
            if not self._turns and (rest is None or rest.written):
                # Nobody shall take along what may not be true any more.
                self._last = None

    def forget(self) -> None:
        """Wait, and forget what failed: nobody wants those bytes any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._done == self._begun)
            self._target.settled()
        self._last = self._failure = None

    def close(self) -> None:
        """Forget, and let go of the file."""
        self.forget()
        self._target.close()

    # -- waiting ---------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._last is not None and self._last.rest is not None:
            self._last.rest.flush(self._target)
        self._target.settled()

    def _started(self) -> Crew | None:
        if self._crew is None and self._begin is not None:
            self._crew = self._begin()
        return self._crew

    def _call(self) -> None:
        """Have a thread look at what waits, unless one is about to."""
        if self._crew is not None and self._waiting and not self._called:
            self._called = True
            self._crew.call(self._work)

    def _do_at_once(self) -> None:
        self._work()
        try:
            self.check()
        finally:
            self._failure = None

    def _has_room(self, nbytes: int) -> bool:
        under_way = self._begun_bytes - self._done_bytes
        return not under_way or under_way + nbytes <= _MOST_BYTES

    def _on_their_way(self) -> list[Piece | _Turn]:
        while True:
            try:
                # In this order: what changes sides meanwhile is seen twice, and not never.
                waiting, turns, last = [*self._waiting], [*self._turns], self._last
                return [*waiting, *turns, *([] if last is None else [last])]
            except RuntimeError:
                # Changed while it was copied, which no lock may prevent here.
                continue

    # -- in the threads --------------------------------------------------------------------------

    def _work(self) -> None:
        """Write whatever waits."""
        # First: whoever submits after it may not be seen below, and has to call again.
        self._called = False
        try:
            while (turn := self._take()) is not None:
                # What waits behind it is for another thread, at the same time.
                self._call()
                self._keeping(self._write, turn)
                self._end(turn)
        except MemoryError as error:
            self._give_up(error)

    def _take(self) -> _Turn | None:
        """The pieces that wait, as far as they follow each other and go out in one write."""
        with self._changed:
            pieces = list(self._following())
            if not pieces:
                return None
            turn = _Turn(pieces, self._last)
            self._turns.append(turn)
            self._last = turn
            for _ in pieces:
                self._waiting.popleft()
            return turn

    def _following(self) -> Iterator[Piece]:
        end, room = None, STRETCH_BYTES
        for piece in list(self._waiting):
            if end is not None and (piece.offset != end or piece.nbytes > room):
                return
            yield piece
            end, room = piece.end, room - piece.nbytes

    def _write(self, turn: _Turn) -> None:
        try:
            turn.stretch.fill(self._memory)
            turn.rest = turn.stretch.rest()
        except MemoryError as error:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
        finally:
            before = self._filled(turn)
        turn.stretch.write(self._target, before)

    def _filled(self, turn: _Turn) -> Rest | None:
        """Say that it is; then what the one before it has left, once that is known."""
        before = turn.before
        with self._changed:
            turn.filled = True
            self._changed.notify_all()
            if before is None:
                return None
            self._changed.wait_for(lambda: before.filled)
            return before.rest

    def _end(self, turn: _Turn) -> None:
        turn.stretch.free(self._memory)
        with self._changed:
            turn.written, turn.before = True, None
            while self._turns and self._turns[0].written:
                ended = self._turns.popleft()
                self._done += ended.count
                self._done_bytes += ended.stretch.nbytes
            self._changed.notify_all()

    def _give_up(self, error: MemoryError) -> None:
        """Leave out what waits: nobody must wait for it for ever."""
        with self._changed:
            self._failure = self._failure or error
            while self._waiting:
                self._done_bytes += self._waiting.popleft().nbytes
                self._done += 1
            self._changed.notify_all()

    def _keeping(self, work: Callable[..., None], *args: Any) -> None:
        """Do something, and keep what the disk says against it, or a fault of ours."""
        try:
            work(*args)
        except Exception as error:  # noqa: BLE001 - who waits for it is told, whatever it is
            self._failure = self._failure or error


def put_together(parts: Sequence[bytes | bytearray | memoryview], buffer: NDArray[Any]) -> None:
    """Put pieces of bytes one after the other into a buffer of their length."""
    at = 0
    for part in filter(len, parts):
        buffer[at : at + len(part)] = np.frombuffer(part, np.uint8)
        at += len(part)
