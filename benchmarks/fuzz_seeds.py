"""Right messages of every kind of PROTOCOL.md, from which the fuzzer makes wrong ones."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

__all__ = ["GROUPS", "PUBLISHED", "REQUESTS", "WorkerMessages"]

GROUPS = ("fuzz/a", "fuzz/b", "fuzz/c/d", "fuzz/text")
"""Jobs of strangers."""

_TIME = {"label": "time", "dtype": "<f8", "shape": []}
_COLUMNS: dict[str, list[dict[str, Any]]] = {
    "fuzz/a": [_TIME, {"label": "x", "dtype": "<f8", "shape": [], "unit": "K"}],
    "fuzz/b": [
        {"label": "time", "dtype": "<i8"},
        {"label": "wave", "dtype": "<i2", "shape": [2, 3], "desc": "a wave"},
        {"label": "on", "dtype": "|b1"},
        {"label": "tag", "dtype": "|S4", "shape": []},
    ],
    "fuzz/c/d": [_TIME, {"label": "z", "dtype": "<c16"}, {"label": "n", "dtype": "|u1"}],
    "fuzz/text": [_TIME, {"label": "said", "dtype": "text"}, {"label": "also", "dtype": "text"}],
}
_INCS = (1, 2, 2**64 - 1)


class WorkerMessages:
    """Messages of workers, in a state that the writer may be in.

    Parameters
    ----------
    dice : random.Random
        Chooses.
    now : callable
        Seconds since 1970-01-01 UTC.
    position : callable
        ``position(job, inc)``: which row the writer wants next.
    """

    def __init__(
        self, dice: random.Random, now: Callable[[], float], position: Callable[[str, int], int]
    ) -> None:
        self._dice, self._now, self._position = dice, now, position
        self._kinds = (
            self.hello, self.rows, self.rows, self.rows, self.skip, self.status, self.log, self.bye,
        )  # fmt: skip

    def any(self) -> dict[str, Any]:
        """One of any kind."""
        job, inc = self._dice.choice(GROUPS), self._dice.choice(_INCS)
        return self._dice.choice(self._kinds)(job, inc)

    def hello(self, job: str, inc: int) -> dict[str, Any]:
        """What rows look like."""
        return {
            "v": 1, "k": "hello", "job": job, "inc": inc,
            "schema": [dict(column) for column in _COLUMNS[job]],
            "attrs": {"a": 1, "b": [1.0, 2.0], "c": "text", "d": b"bin", "e": [["x", 1], True]},
            "host": "pi1", "pid": 77, "period": 0.5, "mode": "schedule", "chunk": 100,
            "hash": "0123456789abcdef", "time": self._now(), "cause": "started",
        }  # fmt: skip

    def rows(self, job: str, inc: int) -> dict[str, Any]:
        """Rows at the position of the writer, or beside it."""
        n = self._dice.choice((1, 1, 2, 5))
        first = max(0, self._position(job, inc) + self._dice.choice((0, 0, 0, 0, -1, 1)))
        now = self._now()
        times = struct.pack(f"<{n}d", *(now + i for i in range(n)))
        message = {"v": 1, "k": "rows", "job": job, "inc": inc, "first": first, "n": n}
        if job == "fuzz/a":
            return {**message, "data": times + bytes(8 * n)}
        if job == "fuzz/b":
            nanoseconds = struct.pack(f"<{n}q", *(int(1e9 * (now + i)) for i in range(n)))
            return {**message, "data": nanoseconds + bytes(12 * n) + b"\1" * n + b"abcd" * n}
        if job == "fuzz/c/d":
            return {**message, "data": times + bytes(17 * n)}
        return {**message, "text": [["said"] * n, [""] * n], "data": times}

    def skip(self, job: str, inc: int) -> dict[str, Any]:
        """Rows that will never come."""
        first, n = self._position(job, inc), self._dice.choice((1, 3))
        cause = self._dice.choice(("trimmed", "drop-oldest", "x" * 64))
        return {"v": 1, "k": "skip", "job": job, "inc": inc, "first": first, "n": n, "cause": cause}

    def status(self, job: str, inc: int) -> dict[str, Any]:
        """What a worker tells of itself."""
        return {
            "v": 1, "k": "status", "job": job, "inc": inc, "state": "reading", "overruns": 3,
            "counts": {"getter": self._dice.randint(0, 3), "overflow": 7}, "held": 10,
            "late": 0.001, "cmd": 0, "message": "fine", "rss": 1, "cpu": 0.1,
            "jumps": [[self._now(), 3.5]], "end": 10, "earlier": 0, "spooled": 0,
        }  # fmt: skip

    def log(self, job: str, inc: int) -> dict[str, Any]:
        """A line of a log."""
        return {
            "v": 1, "k": "log", "job": job, "inc": inc, "level": "DEBUG", "name": "user.code",
            "time": self._now(), "text": "something %s {0} happened",
        }  # fmt: skip

    def bye(self, job: str, inc: int) -> dict[str, Any]:
        """The end of an incarnation."""
        end = self._position(job, inc)
        return {"v": 1, "k": "bye", "job": job, "inc": inc, "end": end, "spooled": False}


def _request(verb: str, **args: Any) -> dict[str, Any]:
    return {"v": 1, "id": 5, "ctx": 0, "session": "0123abcd", "verb": verb, "args": args}


REQUESTS: tuple[dict[str, Any], ...] = (
    _request("ping"),
    _request("status"),
    _request("flush"),
    _request("peek", job="fuzz/a"),
    _request("peek", job="honest"),
    _request("trigger", jobs=["fuzz/a", "fuzz/text"], n=3),
    _request("pause", jobs=["fuzz/a"]),
    _request("resume", jobs=["fuzz/a", "fuzz/a"]),
    _request("set_write_period", period=1.0, jitter=0.1),
    _request("stop", drain_timeout=-1.0, gone=["fuzz/a"]),
    _request("no_such_verb", a=1, b=[1, {"c": 2}]),
)
"""Requests of every verb. The stop is one that is refused."""


def _published(kind: str, **fields: Any) -> dict[str, Any]:
    return {"v": 1, "k": kind, **fields}


PUBLISHED: tuple[dict[str, Any], ...] = (
    _published("position", boot="other", run="other", inc=7, next=3, window=1 << 20, need="hello"),
    _published("position", boot="other", run="other", inc=7, next=3, window=0, bye=True),
    _published("heartbeat", boot="other", run="other", time=1.8e9, positions={"tank": [7, 3]}),
    _published("command", seq=0, verb="trigger", n=2),
    _published("command", seq=0, verb="pause", n=1),
    _published("refused", cause="because"),
)
"""What a worker hears: of another writer, and orders that are old."""
