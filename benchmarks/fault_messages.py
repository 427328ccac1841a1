"""A network that loses, repeats and delays whole messages: between a worker and the writer.

TCP does none of this within a connection, but every reconnection does some of it, and the rules
of the delivery must not care. So here it happens all the time: each message of either direction
may be lost, come twice, or come late, after others that were sent behind it.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections import Counter

import zmq

__all__ = ["Repeater"]

_POLL_MS = 5


class Repeater(threading.Thread):
    """Passes on messages of workers, and signals of the writer; a context manager.

    Parameters
    ----------
    data, signals : str
        The writer's endpoints.
    seed : int
        Of the dice.
    lost, twice, late : float
        How likely each is, for each message.
    delay : float
        Seconds by which a message is late at most.

    Attributes
    ----------
    data, signals : str
        Where to connect to instead.
    done : Counter
        Messages passed, lost, repeated and delayed.
    """

    def __init__(
        self, data: str, signals: str, seed: int = 1,
        lost: float = 0.1, twice: float = 0.3, late: float = 0.2, delay: float = 0.4,
    ) -> None:  # fmt: skip
        super().__init__(name="fault-repeater", daemon=True)
        self.done: Counter[str] = Counter()
        self._dice = random.Random(seed)
        self._odds = {"lost": lost, "twice": twice, "late": late}
        self._delay, self._over = delay, threading.Event()
        self._context: zmq.Context[zmq.SyncSocket] = zmq.Context()
        self._pull, self.data = self._bind(zmq.PULL)
        self._pub, self.signals = self._bind(zmq.PUB)
        self._push, self._sub = self._connect(zmq.PUSH, data), self._connect(zmq.SUB, signals)
        self._sub.subscribe(b"")
        self._waiting: list[tuple[float, int, zmq.SyncSocket, list[bytes]]] = []
        self._numbers = itertools.count()

    def __enter__(self) -> Repeater:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Pass on, until closed."""
        poller = zmq.Poller()
        ways = {self._pull: self._push, self._sub: self._pub}
        for source in ways:
            poller.register(source, zmq.POLLIN)
        while not self._over.is_set():
            for source, _ in poller.poll(_POLL_MS):
                self._take(source.recv_multipart(), ways[source])
            self._send_due(time.monotonic())
        self._context.destroy(linger=0)

    def _take(self, frames: list[bytes], sink: zmq.SyncSocket) -> None:
        fate = {name: self._dice.random() < odds for name, odds in self._odds.items()}
        self.done.update([name for name, happens in fate.items() if happens] or ["passed"])
        now = time.monotonic()
        if not fate["lost"]:
            self._later(now + self._late(fate["late"]), sink, frames)
        if fate["twice"]:
            self._later(now + self._late(True), sink, frames)

    def _late(self, is_late: bool) -> float:
        return self._dice.uniform(0.0, self._delay) if is_late else 0.0

    def _later(self, due: float, sink: zmq.SyncSocket, frames: list[bytes]) -> None:
        heapq.heappush(self._waiting, (due, next(self._numbers), sink, frames))

    def _send_due(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            _, _, sink, frames = heapq.heappop(self._waiting)
            try:
                sink.send_multipart(frames, zmq.NOBLOCK)
            except zmq.Again:
                self.done["lost"] += 1

    def _bind(self, kind: int) -> tuple[zmq.SyncSocket, str]:
        socket = self._context.socket(kind)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        return socket, f"tcp://127.0.0.1:{port}"

    def _connect(self, kind: int, endpoint: str) -> zmq.SyncSocket:
        socket = self._context.socket(kind)
        socket.connect(endpoint)
        return socket
