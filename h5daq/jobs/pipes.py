"""Two pipes made into one socket, for a system without fork or Unix sockets.

A plain subprocess inherits its standard input and output and nothing else, everywhere. `bridge`
joins the two pipes of such a process to one end of a socket pair by threads that copy, so
that its parent, and the worker itself, need to know sockets only. The end of one side is passed
on to the other.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from typing import IO

__all__ = ["bridge"]

_BYTES = 1 << 16


def bridge(incoming: IO[bytes], outgoing: IO[bytes], *, to_the_end: bool = False) -> socket.socket:
    """A socket whose input is what comes from `incoming`, and whose output goes to `outgoing`.

    With `to_the_end` the process ends only after all output has left, once the socket is closed.
    """
    near, far = socket.socketpair()
    inward = _start(_into_socket, incoming, far)
    outward = _start(_out_of_socket, outgoing, far, daemon=not to_the_end)
    _start(_close_after, [inward, outward], far)
    return near


def _start(
    target: Callable[..., None], *arguments: object, daemon: bool = True
) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, name="h5daq-pipe", daemon=daemon)
    thread.start()
    return thread


def _into_socket(pipe: IO[bytes], far: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        while data := os.read(pipe.fileno(), _BYTES):
            far.sendall(data)
    with contextlib.suppress(OSError):
        far.shutdown(socket.SHUT_WR)


def _out_of_socket(pipe: IO[bytes], far: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError), pipe:
        while data := far.recv(_BYTES):
            pipe.write(data)
            pipe.flush()


def _close_after(threads: list[threading.Thread], far: socket.socket) -> None:
    for thread in threads:
        thread.join()
    far.close()
