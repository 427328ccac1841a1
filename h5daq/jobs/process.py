"""A worker process as its parent sees it, whoever started it.

Each has a private control socket: the first message on it is the worker's whole description, later
ones are orders and reports, and its end says that the other side is gone. Nobody else can read or
write it.
"""

from __future__ import annotations

import select
import signal
import socket
import threading
from typing import Any, Protocol

from h5daq.flow.control import ControlDecoder, encode_control

__all__ = ["Keeper", "WorkerProcess", "readable", "receive"]


class Keeper(Protocol):
    """Who knows how a worker process is doing."""

    def exit_code(self, process: WorkerProcess, timeout: float, /) -> int | None:
        """Its exit code, once it has ended."""
        ...

    def signal(self, process: WorkerProcess, number: int, /) -> None:
        """Send it a signal."""
        ...


class WorkerProcess:
    """A worker as its parent sees it.

    Attributes
    ----------
    pid : int
        Its process id.
    control : socket.socket
        The parent's end of the private pipe; to wait on with a selector.
    closed : bool
        Whether the worker has closed its end.
    returncode : int or None
        Exit code; negative for a signal.
    """

    def __init__(self, number: int, pid: int, control: socket.socket, keeper: Keeper) -> None:
        self.number, self.pid, self.control = number, pid, control
        self.closed = False
        self.returncode: int | None = None
        self._keeper = keeper
        self._decoder = ControlDecoder()
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """The control socket's descriptor."""
        return self.control.fileno()

    def send(self, kind: str, **fields: Any) -> bool:
        """Send an order; False if the worker is gone."""
        try:
            with self._sending:
                self.control.sendall(encode_control(kind, **fields))
        except OSError:
            return False
        return True

    def messages(self, timeout: float = 0.0) -> list[dict[str, Any]]:
        """Reports that have come, after waiting up to `timeout` seconds for the first."""
        found: list[dict[str, Any]] = []
        while not self.closed and readable(self.control, 0.0 if found else timeout):
            data = receive(self.control)
            self.closed = not data
            found.extend(self._decoder.feed(data))
        return found

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self.wait(0.0)

    def wait(self, timeout: float) -> int | None:
        """Wait up to `timeout` seconds for its end; the exit code, or None."""
        if self.returncode is None:
            self.returncode = self._keeper.exit_code(self, timeout)
        return self.returncode

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._keeper.signal(self, number)

    def terminate(self) -> None:
        """Ask it to stop reading, drain and end."""
        self._keeper.signal(self, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._keeper.signal(self, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)

    def close(self) -> None:
        """Let go of the pipe; a worker that still runs takes it for the end of its parent."""
        self.control.close()


def readable(end: socket.socket, timeout: float) -> bool:
    if end.fileno() < 0:
        return False
    if hasattr(select, "poll"):  # select() has no room for descriptors above 1023
        poller = select.poll()
        poller.register(end, select.POLLIN)
        return bool(poller.poll(timeout * 1000))
    return bool(select.select([end], [], [], timeout)[0])


def receive(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 16)
    except OSError:
        return b""
