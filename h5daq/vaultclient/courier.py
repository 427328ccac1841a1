"""The thread that carries requests to the writer, and answers and notes back.

One socket serves all contexts of a client, from whatever thread they are used. What is asked
becomes a future; a note goes to the context that it is for; and a context that is silent is said
to be alive now and then, so that its lease never ends while it is in use.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from h5daq.errors import WireError
from h5daq.flow.closing import Closing
from h5daq.flow.errands import Errands
from h5daq.flow.packing import Buffer
from h5daq.flow.requests import (
    Answer,
    ErrorCode,
    Failure,
    Note,
    Reply,
    Request,
    decode_answer,
    encode_request,
)
from h5daq.transports.base import ClientLink

__all__ = ["Answered", "Courier", "Hearer"]

_FULL_SECONDS = 0.05
"""Pause when the socket has no room, or the writer finds that it is asked too often."""

_IDLE_SECONDS = 10.0


class Hearer(Protocol):
    """Who is told what comes unasked: a context. Called by the courier's thread, and quick."""

    def hear(self, note: Note) -> None:
        """A signal."""

    def lose(self) -> None:
        """The writer knows the context no more."""


class Tenant(Protocol):
    """Who has a context that is kept alive; called as a hearer is."""

    def hear(self, note: Note) -> None:
        """A signal."""

    def lose(self, ctx: int) -> None:
        """The writer knows that context no more."""

    @property
    def gone(self) -> bool:
        """Whether nobody uses the context any more."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and how often the question was sent until it came."""

    answer: Reply | Failure
    sent: int


@dataclass(slots=True)
class _Held:
    """A context that is kept alive."""

    hearer: Tenant
    every: float
    due: float
    asked: Future[Answered] | None = None

    @property
    def free(self) -> bool:
        """Whether no sign of life is under way."""
        return self.asked is None or self.asked.done()


class Courier(Closing):
    """Requests of one session over one link.

    Parameters
    ----------
    link : ClientLink
        Belongs to the courier from now on.

    Attributes
    ----------
    session : str
        Its session's name.
    refusal : str
        Why the writer lets nobody in by these keys, as far as is known; else empty.
    """

    def __init__(self, link: ClientLink) -> None:
        self.session = secrets.token_hex(16)
        self._link = link
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._errands = Errands()
        self._futures: dict[int, Future[Answered]] = {}
        self._held: dict[int, _Held] = {}
        self._ending = False
        self.refusal = ""
        self._thread = threading.Thread(target=self._run, name="h5daq vault", daemon=True)
        self._thread.start()

    # -- from any thread -------------------------------------------------------------------------

    def ask(
        self, ctx: int, verb: str, args: dict[str, Any], frames: Sequence[Buffer] = ()
    ) -> Future[Answered]:
        """Send a request, and again until it is answered. Cancel the future to give it up.

        Raises
        ------
        WireError
            If an argument has no form on the wire, or it is too large.
        """
        return self.ask_all(ctx, verb, [args], frames)[0]

    def ask_all(
        self,
        ctx: int,
        verb: str,
        several: Sequence[dict[str, Any]],
        frames: Sequence[Buffer] = (),
        *,
        coming: int = 0,
    ) -> list[Future[Answered]]:
        """The same of several requests, which differ in their arguments.

        `coming` bytes are to come until all answers are there: they are given time for that.
        """
        requests = [
            Request(next(self._numbers), verb, args, ctx, self.session, tuple(frames))
            for args in several
        ]
        packed = [encode_request(request) for request in requests]
        futures = [Future[Answered]() for _ in requests]
        with self._lock:
            for request, parts, future in zip(requests, packed, futures, strict=True):
                if self._ending:
                    future.cancel()
                    continue
                self._futures[request.id] = future
                self._errands.ask(request.id, parts, time.monotonic(), coming)
        self._link.wake()
        return futures

    def hold(self, ctx: int, hearer: Tenant, every: float) -> None:
        """Keep a context alive by a word each `every` seconds, and give it what comes for it."""
        with self._lock:
            self._held[ctx] = _Held(hearer, every, time.monotonic() + every)
        self._link.wake()

    def release(self, ctx: int) -> None:
        """Keep it no more."""
        with self._lock:
            self._held.pop(ctx, None)

    def close(self) -> None:
        """End; who waits for an answer gets none."""
        self._ending = True
        self._link.wake()
        self._thread.join()

    # -- the courier's own thread ----------------------------------------------------------------

    def _run(self) -> None:
        with self._link:
            while not self._ending:
                self._beat(time.monotonic())
                came = self._link.receive(self._send(time.monotonic()))
                while came is not None:
                    self._take(came)
                    came = self._link.receive(0.0)
                if self._futures:
                    self.refusal = self._link.refusal()
        with self._lock:
            left, self._futures = self._futures, {}
        for future in left.values():
            future.cancel()

    def _send(self, now: float) -> float:
        """Send what is due; how long there is nothing more to send."""
        with self._lock:
            self._drop_cancelled()
            due = self._errands.due(now)
        for place, (_, frames) in enumerate(due):
            if not self._link.send(frames):
                with self._lock:
                    for unsent, _ in due[place:]:
                        self._errands.unsent(unsent, now)
                return _FULL_SECONDS
        return self._until_next(now)

    def _drop_cancelled(self) -> None:
        for number in [n for n, future in self._futures.items() if future.cancelled()]:
            del self._futures[number]
            self._errands.give_up(number)

    def _until_next(self, now: float) -> float:
        with self._lock:
            beats = [held.due - now for held in self._held.values() if held.free]
            wait = self._errands.wait(now)
        return max(0.0, min([_IDLE_SECONDS, *beats, *([] if wait is None else [wait])]))

    def _take(self, frames: Sequence[Buffer]) -> None:
        try:
            answer: Answer = decode_answer(frames)
        except WireError:
            return  # no answer of ours: the request is sent again
        if isinstance(answer, Note):
            with self._lock:
                held = self._held.get(answer.ctx)
            if held is not None:
                held.hearer.hear(answer)
            return
        if _too_often(answer):
            with self._lock:
                self._errands.unsent(answer.id, time.monotonic() + _FULL_SECONDS)
            return
        with self._lock:
            sent = self._errands.answered(answer.id)
            future = self._futures.pop(answer.id, None)
        if sent is not None and future is not None and future.set_running_or_notify_cancel():
            future.set_result(Answered(answer, sent))

    # -- signs of life ---------------------------------------------------------------------------

    def _beat(self, now: float) -> None:
        with self._lock:
            due = [(c, held) for c, held in self._held.items() if held.due <= now and held.free]
        for ctx, held in due:
            held.due = now + held.every
            if held.hearer.gone:
                self.release(ctx)
                self.ask(ctx, "forget", {})
                continue
            # It also fetches signals that could not be delivered meanwhile.
            held.asked = self.ask(ctx, "resume", {})
            held.asked.add_done_callback(partial(_look, held.hearer, ctx))


def _too_often(answer: Reply | Failure) -> bool:
    return isinstance(answer, Failure) and answer.code == ErrorCode.TOO_MANY_REQUESTS


def _look(tenant: Tenant, ctx: int, done: Future[Answered]) -> None:
    """Whether the writer still knows the context."""
    if done.cancelled():
        return
    answer = done.result().answer
    if isinstance(answer, Failure) and answer.code == ErrorCode.CONTEXT_LOST:
        tenant.lose(ctx)
