"""The worker's end of the private pipe to the process that started it.

Orders come in, reports go out. The end of the pipe means that the parent is gone: the worker then
stops reading, drains, and ends. A report never blocks the thread that makes it: one that finds
the pipe full is dropped, since all of its counts are cumulative.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from typing import Any

from h5daq.errors import ProcessFailed, WireError
from h5daq.flow.control import ControlDecoder, encode_control

__all__ = ["Parent"]

_SEND_SECONDS = 0.2


class Parent:
    """The process that started this one.

    Parameters
    ----------
    pipe : socket.socket
        This end.
    """

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._decoder = ControlDecoder()
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._closed = False

    def receive(self) -> dict[str, Any] | None:
        """The next order; None when the parent is gone."""
        while not self._waiting:
            data = self._read()
            if not data:
                return None
            self._waiting.extend(self._decoder.feed(data))
        return self._waiting.pop(0)

    def expect(self, kind: str) -> dict[str, Any]:
        """The first order of a kind; others before it are dropped.

        Raises
        ------
        ProcessFailed
            If the parent ends before it.
        """
        while (order := self.receive()) is not None:
            if order["k"] == kind:
                return order
        raise ProcessFailed(f"the parent ended before it said {kind!r}")

    def tell(self, kind: str, **fields: Any) -> bool:
        """Report; False if the parent is gone or does not listen."""
        message = encode_control(kind, **fields)
        with self._lock:
            # A message that was begun must be ended, or the next one would be garbled.
            try:
                if not select.select([], [self._pipe], [], _SEND_SECONDS)[1]:
                    return False
                self._pipe.sendall(message)
            except (OSError, ValueError):
                # A getter may have closed the pipe, of which it knows nothing.
                return False
            return True

    def listen(self, obey: Callable[[dict[str, Any] | None], None]) -> None:
        """Give each order to `obey`, from a thread of its own; at the end None."""
        thread = threading.Thread(target=self._listen, args=(obey,), name="h5daq-parent")
        thread.daemon = True
        thread.start()

    def let_go(self) -> None:
        """In a forked child: the pipe is its parent's, and ends with that."""
        self._closed = True
        self._pipe.close()

    def close(self) -> None:
        """Let go of the pipe; its end is then no news."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._pipe.shutdown(socket.SHUT_RDWR)
        self._pipe.close()

    def _listen(self, obey: Callable[[dict[str, Any] | None], None]) -> None:
        # A parent that talks nonsense is as good as none.
        with contextlib.suppress(WireError):
            while (order := self.receive()) is not None:
                obey(order)
        if not self._closed:
            obey(None)

    def _read(self) -> bytes:
        try:
            return self._pipe.recv(1 << 16)
        except OSError:
            return b""
