"""A writer, and a bare client of its vault, for the benchmarks."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from h5daq.flow.control import ControlDecoder, encode_control
from h5daq.flow.requests import (
    Answer,
    Failure,
    Note,
    Reply,
    Request,
    decode_answer,
    encode_request,
)
from h5daq.transports.zmq_sockets import content_of
from h5daq.writer.settings import WriterSettings

__all__ = ["Client", "writer"]


class Client:
    """A context on a DEALER."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, session: str = "bench"
    ) -> None:
        self._session = session
        self._socket = context.socket(zmq.DEALER)
        self._socket.connect(endpoint)
        self._numbers = itertools.count(1)
        self("context")

    def send(self, verb: str, frames: Any = (), **args: Any) -> None:
        request = Request(next(self._numbers), verb, args, 1, self._session, tuple(frames))
        self._socket.send_multipart(encode_request(request))

    def receive(self) -> Reply:
        answer = self._next()
        while isinstance(answer, Note):
            answer = self._next()
        if isinstance(answer, Failure):
            raise answer.error()
        return answer

    def _next(self) -> Answer:
        parts = self._socket.recv_multipart(copy=False)
        return decode_answer([content_of(part) for part in parts])

    def __call__(self, verb: str, frames: Any = (), **args: Any) -> Reply:
        self.send(verb, frames, **args)
        return self.receive()


@contextmanager
def writer(folder: Path) -> Iterator[str]:
    """A writer process; gives the endpoint of its requests."""
    ours, its = socket.socketpair()
    process = subprocess.Popen([sys.executable, "-m", "h5daq.writer"], stdin=its)
    its.close()
    where = {name: f"ipc://{folder}/{name}" for name in ("data", "requests", "signals")}
    settings = WriterSettings(str(folder), "bench", **where, write_period=600.0)
    ours.sendall(encode_control("settings", settings=settings.to_bytes()))
    decoder = ControlDecoder()
    while not any(message["k"] == "ready" for message in decoder.feed(ours.recv(1 << 16))):
        pass
    yield where["requests"]
    process.terminate()
    while ours.recv(1 << 16):
        pass
    process.wait()
    ours.close()
