"""`PlayedWriter`: the writer's side of the delivery, played by a test over real sockets.

It takes rows by the rules, answers with positions, and can misbehave as links and writers do:
say nothing, be another writer, forget, shut its window. Nothing runs by itself: `serve` answers
until something that the test waits for has happened.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from h5daq.flow.batch import Batch
from h5daq.flow.delivery import Receiver, Take
from h5daq.flow.schema import Schema
from h5daq.flow.topics import topic
from h5daq.flow.wire import Head, decode_head, encode, rows_of
from h5daq.transports.zmq import WriterPort

__all__ = ["PlayedWriter"]


class PlayedWriter:
    """A writer for tests.

    Parameters
    ----------
    directory : Path
        Where its ipc sockets are.

    Attributes
    ----------
    batches : dict
        By job, the batches taken, in order, without what came twice.
    statuses, logs : list of dict
        Fields of the messages that came.
    silent : bool
        Take rows, but answer nothing and beat no more.
    full : bool
        Drop rows without an answer, as a writer does whose disk is full; it beats on.
    received, repeated : int
        Rows that came, and how many of them had come before.
    """

    def __init__(self, directory: Path, window: int = 1 << 24) -> None:
        places = (f"ipc://{directory}/{name}" for name in ("data", "requests", "signals"))
        self.port = WriterPort(*places)
        self.data, _, self.signals = self.port.endpoints
        self.window = window
        self.boot = "boot-1"
        self.silent = self.full = False
        self.batches: dict[str, list[Batch]] = {}
        self.skips: Counter[str] = Counter()
        self.statuses: list[dict[str, Any]] = []
        self.logs: list[dict[str, Any]] = []
        self.hellos: list[Head] = []
        self.byes: list[Head] = []
        self.received = self.repeated = 0
        self._known: dict[tuple[str, int], tuple[Schema, Receiver]] = {}
        self._beat_at = 0.0

    def rows(self, job: str) -> int:
        """Rows taken of a job."""
        return sum(batch.n for batch in self.batches.get(job, []))

    def column(self, job: str, number: int) -> list[Any]:
        """The values of one column of a job, in the order in which they were taken."""
        return [v for batch in self.batches.get(job, []) for v in list(batch.columns[number])]

    def serve(self, until: Callable[[], object], timeout: float = 120.0) -> bool:
        """Answer until `until` gives something true; False after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not until():
            if time.monotonic() >= deadline:
                return False
            self.port.poll(0.02)
            for frame in self.port.receive_data(100, 1 << 24):
                self._take(frame.buffer)
            self._beat()
        return True

    def order(self, job: str, seq: int, verb: str, n: int = 1) -> None:
        """Publish a command."""
        self._publish("command", job, seq=seq, verb=verb, n=n)

    def restart(self) -> None:
        """Be another writer that has forgotten nothing."""
        self.boot += "+"

    def close(self) -> None:
        """Let go of the sockets."""
        self.port.close()

    def _take(self, message: memoryview) -> None:
        head = decode_head(bytes(message))
        if self.full and head.k == "rows":
            return
        if head.k == "hello":
            self.hellos.append(head)
            schema = Schema.from_wire(head.fields["schema"])
            self._known.setdefault((head.job, head.inc), (schema, Receiver()))
        elif head.k == "status":
            self.statuses.append(head.fields)
        elif head.k == "log":
            self.logs.append(head.fields)
        elif head.k == "bye":
            self.byes.append(head)
        known = self._known.get((head.job, head.inc))
        if known is not None and head.k in ("rows", "skip"):
            self._judge(head, *known)
        if head.k in ("hello", "rows", "skip", "bye"):
            self._answer(head, known)

    def _judge(self, head: Head, schema: Schema, receiver: Receiver) -> None:
        took = receiver.take(head.first, head.n)
        self.received += head.n
        self.repeated += head.n - (took.n if isinstance(took, Take) else 0)
        if not isinstance(took, Take):
            return
        if head.k == "skip":
            self.skips[str(head.fields["cause"])] += took.n
        else:
            self.batches.setdefault(head.job, []).append(rows_of(head, schema).tail(took.skip))

    def _answer(self, head: Head, known: tuple[Schema, Receiver] | None) -> None:
        more: dict[str, Any] = {"need": "hello"} if known is None else {}
        if head.k == "bye" and known is not None and head.fields["end"] <= known[1].next:
            more["bye"] = True
        following = 0 if known is None else known[1].next
        self._publish("position", head.job, boot=self.boot, run="run", inc=head.inc,
                      next=following, window=self.window, **more)  # fmt: skip

    def _beat(self) -> None:
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + 1.0
            positions = {job: [inc, known[1].next] for (job, inc), known in self._known.items()}
            self._publish("heartbeat", "", boot=self.boot, run="run", time=time.time(),
                          positions=positions)  # fmt: skip

    def _publish(self, kind: str, path: str, **fields: Any) -> None:
        if not self.silent:
            self.port.publish(topic(kind, path), encode(kind, **fields))
