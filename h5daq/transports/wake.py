"""A bell that one thread rings and another, which waits on sockets, hears.

It is a pair of connected sockets, so that any poller can wait for it together with the rest.
Rings that were not heard yet are one.
"""

from __future__ import annotations

import contextlib
import socket

__all__ = ["Bell"]


class Bell:
    """`ring` from any thread; the waiting thread polls `fileno` and then calls `hear`."""

    def __init__(self) -> None:
        self._hearing, self._ringing = socket.socketpair()
        self._hearing.setblocking(False)
        self._ringing.setblocking(False)

    def fileno(self) -> int:
        """What to poll."""
        return self._hearing.fileno()

    def ring(self) -> None:
        """Wake whoever waits. After `close`, nothing happens."""
        # A full pair is a bell that rings already; a closed one belongs to nobody.
        with contextlib.suppress(BlockingIOError, OSError):
            self._ringing.send(b"!")

    def hear(self) -> None:
        """Forget the rings so far."""
        with contextlib.suppress(BlockingIOError):
            while len(self._hearing.recv(4096)) == 4096:
                continue

    def close(self) -> None:
        """Let go of the pair."""
        self._ringing.close()
        self._hearing.close()
