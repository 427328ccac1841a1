"""Requests in, replies out: whatever a client sends, it is answered, and nothing is brought down.

An answer that has to wait is kept here with its condition, and sent when that holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from h5daq.errors import RequestError, WireError
from h5daq.flow.packing import Buffer
from h5daq.flow.requests import (
    ErrorCode,
    Request,
    decode_request,
    encode_failure,
    encode_reply,
    id_of,
)
from h5daq.writer.answers import Answers, Later

__all__ = ["Replies"]


class Port(Protocol):
    """The part of the writer's sockets that requests come by."""

    def receive_requests(self) -> list[tuple[bytes, list[bytes]]]:
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
        Counts what is no request, by cause.
    """

    def __init__(self, port: Port, answers: Answers, refused: Counter[str]) -> None:
        self._port, self._answers, self._refused = port, answers, refused
        self._waiting: list[tuple[bytes, int, Later]] = []

    def receive(self) -> None:
        """Take the requests that have come; what can be answered at once is."""
        for identity, frames in self._port.receive_requests():
            self._take(identity, frames)

    def send_ready(self) -> None:
        """Send the answers that can be given by now."""
        due = [waiting for waiting in self._waiting if waiting[2].ready()]
        self._waiting = [waiting for waiting in self._waiting if waiting not in due]
        for identity, number, later in due:
            self._port.reply(identity, _result(number, later))

    def _take(self, identity: bytes, frames: list[bytes]) -> None:
        try:
            request = decode_request(frames)
        except WireError as error:
            self._refused[error.cause] += 1
            failure = encode_failure(id_of(frames), ErrorCode.BAD_REQUEST, str(error))
            self._port.reply(identity, failure)
        else:
            self._answer(identity, request)

    def _answer(self, identity: bytes, request: Request) -> None:
        try:
            result = self._answers.answer(request.verb, request.args)
        except RequestError as error:
            failure = encode_failure(request.id, ErrorCode(error.code), str(error))
            self._port.reply(identity, failure)
        else:
            if isinstance(result, Later):
                self._waiting.append((identity, request.id, result))
            else:
                self._port.reply(identity, _encoded(request.id, result))


def _result(number: int, later: Later) -> list[Buffer]:
    try:
        return _encoded(number, later.result())
    except RequestError as error:
        return encode_failure(number, ErrorCode(error.code), str(error))


def _encoded(number: int, result: Any) -> list[Buffer]:
    try:
        return encode_reply(number, result)
    except WireError as error:
        return encode_failure(number, ErrorCode.INTERNAL, f"the answer {error}")
