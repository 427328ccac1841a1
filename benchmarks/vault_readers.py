"""Many contexts of the vault that each read what is new as soon as they are told, in a process.

``python -m benchmarks.vault_readers ENDPOINT CONTEXTS NAME`` says that it is ready, and at the end
of its input how often they were told and read, and how far apart the contexts are. They are shared
among ten connections.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import zmq

from h5daq.flow.requests import Note, Reply, Request, decode_answer, encode_request

__all__ = ["readers"]

_CONNECTIONS = 10


@contextmanager
def readers(endpoint: str, contexts: int, name: str) -> Iterator[Callable[[], str]]:
    """Such a process, with a dataset open; what is given ends it and tells what came of it."""
    command = [sys.executable, "-m", "benchmarks.vault_readers", endpoint, str(contexts), name]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    process.stdout.readline()

    def end() -> str:
        return process.communicate("end\n")[0].strip()

    yield end
    process.wait()


class _Connection:
    """Some of the contexts."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, name: str) -> None:
        self.socket = context.socket(zmq.DEALER)
        self.socket.rcvhwm = self.socket.sndhwm = 0
        self.socket.connect(endpoint)
        self._name, self._number = name, 0
        self.reads: dict[int, int] = {}
        self.told = 0

    def ask(self, ctx: int, verb: str, **args: object) -> None:
        self._number += 1
        self.socket.send_multipart(
            encode_request(Request(self._number, verb, args, ctx, self._name))
        )

    def begin(self, contexts: range, name: str) -> None:
        """Have the dataset open in each context, read to its end, with a listener."""
        for ctx in contexts:
            self.reads[ctx] = 0
            self.ask(ctx, "context")
            self.ask(ctx, "open", name=name)
            self.ask(ctx, "signal", kind="data-available", mid=1)
            self._read_on(ctx)

    def _read_on(self, ctx: int) -> None:
        more = True
        # Nearly all that is there is passed over by one who reads it; the page is not looked at.
        while more:
            self.ask(ctx, "get")
            answer = decode_answer(self.socket.recv_multipart())
            while not (isinstance(answer, Reply) and isinstance(answer.result, dict)
                       and "more" in answer.result):  # fmt: skip
                answer = decode_answer(self.socket.recv_multipart())
            more = answer.result["more"]

    def take(self) -> None:
        """An answer, or a note, which asks for a reading."""
        answer = decode_answer(self.socket.recv_multipart())
        if isinstance(answer, Note):
            self.told += 1
            self.reads[answer.ctx] += 1
            self.ask(answer.ctx, "get")


def main() -> None:
    """Read until the input ends."""
    endpoint, count, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    connections = [_Connection(context, endpoint, f"reader{k}") for k in range(_CONNECTIONS)]
    poller = zmq.Poller()
    for place, connection in enumerate(connections):
        connection.begin(range(1, 1 + len(range(place, count, _CONNECTIONS))), name)
        poller.register(connection.socket, zmq.POLLIN)
    known = {connection.socket: connection for connection in connections}
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
    print("ready", flush=True)
    began = time.perf_counter()
    while not ended.is_set():
        for found, _ in poller.poll(100):
            known[found].take()
    seconds = time.perf_counter() - began
    reads = [number for connection in connections for number in connection.reads.values()]
    print(f"{sum(reads) / seconds:,.0f} gets/s, {min(reads)} to {max(reads)} by each context")
    context.destroy(linger=0)


if __name__ == "__main__":
    main()
