"""What a worker holds of one incarnation: in memory while it fits, beyond that on a shelf.

The `Sender` has the oldest messages; those that do not fit go to the shelf (a spool on disk) and
are brought back in order when there is room. While anything waits on the shelf, all that is new
goes behind it, so there is one order and numbers have no hole. The shelf keeps what was brought
back until it is committed: a worker that dies loses none of it.

The same class reads out what an earlier worker left on its shelf: then nothing new comes, and
where numbers are missing (they were in the memory of that worker) a skip says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from h5daq.flow.delivery import Sender
from h5daq.flow.packing import Buffer
from h5daq.flow.spooling import Piece

__all__ = ["Hold", "Shelf"]


class Shelf(Protocol):
    """Messages on disk, in the order of their rows. Nothing here raises for what a disk does."""

    def append(self, piece: Piece) -> str:
        """Keep a message; "" or the cause why it can't be."""
        ...

    def read(self) -> Piece | None:
        """The oldest that was not read; None if there is no more, or none that can be read."""
        ...

    def pass_over(self) -> None:
        """Take all that was appended so far as read."""
        ...

    def release(self, following: int) -> None:
        """What ends at or before row `following` may go."""
        ...

    def covers(self, piece: Piece) -> bool:
        """Whether the message is on disk."""
        ...


class Hold:
    """The messages of one incarnation, numbered without a hole.

    Not thread-safe: the caller holds a lock.

    Parameters
    ----------
    sender : Sender
        Sends them. It is given the messages that are in memory.
    shelf : Shelf, optional
        Takes the others.
    memory : int
        Bytes that may be held in memory. One message may always be, however large.
    always : bool
        Put each message on the shelf before it can be sent.
    left : bool
        The shelf has what an earlier worker left, and nothing will be put.
    """

    def __init__(
        self,
        sender: Sender,
        shelf: Shelf | None,
        *,
        memory: int,
        always: bool = False,
        left: bool = False,
    ) -> None:
        self.sender = sender
        self.end = sender.end
        self.behind = left
        self._shelf, self._memory, self._always = shelf, memory, always
        self._released: int | None = None
        self._left, self._missing = left, "killed" if left else "spool-damaged"
        self._make_bye: Callable[[int], bytes] | None = None

    # -- what is held ------------------------------------------------------------------------

    @property
    def held_rows(self) -> int:
        """Rows that are not committed, wherever they are."""
        return self.sender.held_rows + max(0, self.end - self.sender.end)

    @property
    def held_bytes(self) -> int:
        """Bytes in memory."""
        return self.sender.held_bytes

    def fits(self, size: int) -> bool:
        """Whether a message of `size` bytes may be put into memory."""
        if self.behind:
            return False
        return self.sender.held_bytes + size <= self._memory or not self.sender.held_rows

    # -- in ------------------------------------------------------------------------------------

    def put(self, piece: Piece) -> None:
        """Hold a message in memory, and on the shelf as well if that is always wanted."""
        if self._always and self._shelf is not None and not self._shelf.append(piece):
            self._shelf.pass_over()
        first, n, message = piece
        self.sender.put(first, n, message)
        self.end = first + n

    def stow(self, piece: Piece) -> str:
        """Hold a message on the shelf alone; "" or the cause why it can't be."""
        cause = "overflow" if self._shelf is None else self._shelf.append(piece)
        if not cause:
            self.end, self.behind = piece.end, True
        return cause

    def finish(self, make_bye: Callable[[int], bytes]) -> None:
        """Nothing is put any more: behind the last row comes a bye, made with its end."""
        self._make_bye = make_bye

    def save(self) -> int:
        """Put on the shelf what is in memory alone; how many rows could not be saved."""
        pieces = [Piece(*held) for held in self.sender.held()]
        return sum(piece.n for piece in pieces if not self._saved(piece))

    def _saved(self, piece: Piece) -> bool:
        shelf = self._shelf
        return shelf is not None and (shelf.covers(piece) or not shelf.append(piece))

    # -- out -----------------------------------------------------------------------------------

    def pump(self, send: Callable[[Buffer], bool], now: float) -> int:
        """Let go of what is committed, bring back what there is room for, send; the count."""
        if self._shelf is not None and (self.behind or self._released != self.sender.next):
            self._released = self.sender.next
            self._shelf.release(self._released)
        if self.behind:
            self._refill()
        if self._make_bye is not None and not self.behind:
            self.sender.finish(self._make_bye(self.sender.end))
            self._make_bye = None
        return self.sender.pump(send, now)

    def _refill(self) -> None:
        # To the half only, so that what comes back and what comes in rarely meet at the brim.
        while self.behind and self.held_bytes <= self._memory // 2:
            piece = None if self._shelf is None else self._shelf.read()
            if piece is None:
                self._bridge(self.end)
                self.behind = False
                return
            self._bring_back(piece)
            self.behind = self._left or self.sender.end != self.end

    def _bring_back(self, piece: Piece) -> None:
        if piece.first < self.sender.end:
            return
        if piece.end <= self.sender.next:
            self.sender.jump(piece.end)
            return
        self._bridge(piece.first)
        self.sender.put(*piece)

    def _bridge(self, first: int) -> None:
        """Go on with row `first`: rows that are missing before it are lost, if not committed."""
        self.sender.jump(min(first, self.sender.next))
        self.sender.skip(first, self._missing)
