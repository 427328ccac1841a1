"""Requests in, replies out: whatever a client sends, it is answered, and nothing is brought down.

An answer that has to wait is kept here with its condition, and sent when that holds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from h5daq.errors import NotAllowed, RequestError, WireError
from h5daq.flow.familiar import RequestReader
from h5daq.flow.packing import Buffer
from h5daq.flow.ratelimit import KEY_SHARE, MAX_WAITING, PRICES, RateLimit
from h5daq.flow.requests import (
    ErrorCode,
    Request,
    encode_failure,
    encode_reply,
    id_of,
)
from h5daq.flow.roles import permission
from h5daq.transports.base import Asked
from h5daq.writer.answers import Answers, Later
from h5daq.writer.guard import Guard
from h5daq.writer.vaulting import VaultDesk

__all__ = ["Replies"]


class Port(Protocol):
    """The part of the writer's sockets that requests come by."""

    def receive_requests(self) -> list[Asked]:
        """Requests that have come, without waiting."""
        ...

    def reply(self, identity: bytes, frames: Sequence[Buffer]) -> bool:
        """Send to one client without waiting."""
        ...


class Replies:
    """Takes requests from the port and sends the answers.

    Parameters
    ----------
    port : Port
        Where requests come from.
    answers : Answers
        Who knows the answers.
    refused : Counter
        Counts what is no request, or one too many, by cause.
    guard : Guard, optional
        Knows which key may ask for what.
    limit : RateLimit, optional
        How often one connection may ask.
    clock : callable
        Monotonic seconds.
    vault : VaultDesk, optional
        Who answers the verbs of the vault.
    """

    def __init__(
        self,
        port: Port,
        answers: Answers,
        refused: Counter[str],
        guard: Guard | None = None,
        limit: RateLimit | None = None,
        clock: Callable[[], float] = time.monotonic,
        vault: VaultDesk | None = None,
    ) -> None:
        self._port, self._answers, self._refused = port, answers, refused
        self._guard, self._limit, self._clock = guard, limit or RateLimit(), clock
        self._by_key = RateLimit(KEY_SHARE * self._limit.rate, KEY_SHARE * self._limit.burst)
        self._vault, self._reader = vault, RequestReader()
        self._waiting: list[_Waiting] = []

    def receive(self) -> None:
        """Take the requests that have come; what can be answered at once is."""
        for asked in self._port.receive_requests():
            self._take(asked)

    def send_ready(self) -> None:
        """Send the answers that can be given by now."""
        if self._vault is not None:
            self._vault.send_ready()
        if not self._waiting:
            return
        due, self._waiting = _parted(self._waiting)
        for waiting in due:
            # A key that was taken off the list meanwhile gets nothing any more.
            if self._guard is None or self._guard.knows(waiting.user):
                self._port.reply(waiting.identity, _later_result(waiting.number, waiting.later))

    def _take(self, asked: Asked) -> None:
        try:
            request = self._reader.read(asked.frames)
        except WireError as error:
            self._refused[error.cause] += 1
            failure = encode_failure(id_of(asked.frames), ErrorCode.BAD_REQUEST, str(error))
            self._port.reply(asked.identity, failure)
        else:
            self._answer(asked, request)

    def _answer(self, asked: Asked, request: Request) -> None:
        try:
            if self._vault is not None and self._vault.knows(request):
                self._check_rate(asked, PRICES.get(request.verb, 1.0))
                if self._guard is not None:
                    self._check_key(asked.user, permission(request))
                self._vault.take(asked, request)
                return
            result = self._result(asked, request)
        except RequestError as error:
            failure = encode_failure(request.id, ErrorCode(error.code), str(error))
            self._port.reply(asked.identity, failure)
        else:
            if isinstance(result, Later):
                self._waiting.append(_Waiting(asked.identity, asked.user, request.id, result))
            else:
                self._port.reply(asked.identity, _encoded(request.id, result))

    def _result(self, asked: Asked, request: Request) -> Any:
        self._check_rate(asked, PRICES.get(request.verb, 1.0))
        self._check_key(asked.user, request.verb, request.args)
        if request.verb == "clock":
            return self._answers.clock(request.args, asked.user)
        result = self._answers.answer(request.verb, request.args)
        if isinstance(result, Later):
            self._check_waiting(asked)
        return result

    def _check_key(self, user: str, verb: str, args: dict[str, Any] | None = None) -> None:
        try:
            if self._guard is not None:
                self._guard.check_verb(user, verb)
            if self._guard is not None and verb in ("clock", "death"):
                self._guard.check_speaker(user, str((args or {}).get("job")))
        except NotAllowed:
            self._refused["key"] += 1
            raise

    def _check_rate(self, asked: Asked, price: float = 1.0) -> None:
        now = self._clock()
        wait = self._limit.wait(asked.identity, now, price)
        if wait:
            raise self._too_many(_too_often("connection", self._limit.rate / price, wait))
        wait = self._by_key.wait(asked.user.encode(), now, price) if asked.user else 0.0
        if wait:
            raise self._too_many(_too_often("key", self._by_key.rate / price, wait))

    def _check_waiting(self, asked: Asked) -> None:
        if sum(waiting.identity == asked.identity for waiting in self._waiting) >= MAX_WAITING:
            text = f"this connection waits for {MAX_WAITING} answers already; wait for one of them"
            raise self._too_many(text)
        most, user = KEY_SHARE * MAX_WAITING, asked.user
        if user and sum(waiting.user == user for waiting in self._waiting) >= most:
            text = f"connections of this key wait for {most} answers already; wait for one of them"
            raise self._too_many(text)

    def _too_many(self, text: str) -> RequestError:
        self._refused["rate"] += 1
        code = ErrorCode.TOO_MANY_REQUESTS
        return RequestError(code, code.wire_name, f"{code.wire_name}: {text}")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Who waits for which answer."""

    identity: bytes
    user: str
    number: int
    later: Later


def _too_often(who: str, rate: float, wait: float) -> str:
    return f"one {who} may ask {rate:g} times per second; wait {wait:.3f} s"


def _parted(waiting: list[_Waiting]) -> tuple[list[_Waiting], list[_Waiting]]:
    """Those whose answer can be given, and the rest."""
    due: list[_Waiting] = []
    rest: list[_Waiting] = []
    for one in waiting:
        (due if one.later.ready() else rest).append(one)
    return due, rest


def _later_result(number: int, later: Later) -> list[Buffer]:
    try:
        return _encoded(number, later.result())
    except RequestError as error:
        return encode_failure(number, ErrorCode(error.code), str(error))


def _encoded(number: int, result: Any) -> list[Buffer]:
    try:
        return encode_reply(number, result)
    except WireError as error:
        return encode_failure(number, ErrorCode.INTERNAL, f"the answer {error}")
