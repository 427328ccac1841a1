"""Two pipes made into one socket, for a system without fork or Unix sockets.

A plain subprocess inherits its standard input and output and nothing else, everywhere. `bridge`
joins the two pipes of such a process to one end of a socket pair by two threads that copy, so
that its parent, and the worker itself, need to know sockets only. The end of one side is passed
on to the other.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import IO

__all__ = ["bridge"]

_BYTES = 1 << 16


def bridge(incoming: IO[bytes], outgoing: IO[bytes]) -> socket.socket:
    """A socket whose input is what comes from `incoming`, and whose output goes to `outgoing`."""
    near, far = socket.socketpair()
    for copy in (_into_socket, _out_of_socket):
        pipe = incoming if copy is _into_socket else outgoing
        threading.Thread(target=copy, args=(pipe, far), name="h5daq-pipe", daemon=True).start()
    return near


def _into_socket(pipe: IO[bytes], far: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := os.read(pipe.fileno(), _BYTES):
            far.sendall(data)
    _shut(far, socket.SHUT_WR)
    pipe.close()


def _out_of_socket(pipe: IO[bytes], far: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while data := far.recv(_BYTES):
            pipe.write(data)
            pipe.flush()
    with contextlib.suppress(OSError):
        pipe.close()


def _shut(end: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(how)
