"""Requests and what comes back: message <-> frames, and the error codes.

A request names a verb and its arguments; large arguments follow as frames of their own. Three
kinds of message come back: a reply, a failure, or, unasked, a note to a context, which comes
before the reply of the request that caused it. A client is known by its session and by the
context it speaks for, not by its socket, so that it can come back on another one.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import msgpack

from h5daq.errors import NotAllowed, RequestError, TooManyRequests, WireError
from h5daq.flow.packing import Buffer, check_size, number_at, pack, read_map

__all__ = [
    "Answer",
    "ErrorCode",
    "Failure",
    "Note",
    "Reply",
    "Request",
    "decode_answer",
    "decode_request",
    "encode_failure",
    "encode_note",
    "encode_reply",
    "encode_request",
    "id_of",
]

VERSION = 1
"""Version of the wire format that this module speaks."""

MAX_FRAMES = 256
"""Most frames that may follow a request or reply."""

_DONE_HEAD, _DONE_END = b"\x84\xa1v\x01\xa2id", b"\xa2ok\xc3\xa6result\xc0"
"""What stands around the number in a reply without a result."""

_VERB = re.compile(r"[a-z][a-z0-9_]{0,63}")
MAX_ID = 1 << 63
"""The number of a request is below it."""

_MAX_SAID = 4096


class ErrorCode(IntEnum):
    """Why a request failed. Those below 100 are the Data Vault's, with its numbers."""

    NO_DATASET = 2
    DATASET_NOT_FOUND = 3
    DIRECTORY_EXISTS = 4
    DIRECTORY_NOT_FOUND = 5
    EMPTY_NAME = 6
    READ_ONLY = 7
    BAD_DATA = 8
    BAD_PARAMETER = 9
    PARAMETER_IN_USE = 10
    DATA_VERSION_MISMATCH = 11
    BAD_REQUEST = 100
    UNKNOWN_VERB = 101
    BAD_ARGUMENT = 102
    CONTEXT_LOST = 103
    NOT_ALLOWED = 104
    NOT_RUNNING = 105
    STORAGE = 106
    INTERNAL = 107
    TOO_MANY_REQUESTS = 108

    @property
    def wire_name(self) -> str:
        """The name on the wire, e.g. ``"context lost"``."""
        return self.name.lower().replace("_", " ")


_ERRORS: dict[int, type[RequestError]] = {
    ErrorCode.NOT_ALLOWED: NotAllowed,
    ErrorCode.TOO_MANY_REQUESTS: TooManyRequests,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A verb with its arguments; `frames` are the large ones."""

    id: int
    verb: str
    args: dict[str, Any] = field(default_factory=dict)
    ctx: int = 0
    session: str = ""
    frames: tuple[Buffer, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """A request was done."""

    id: int
    result: Any = None
    frames: tuple[Buffer, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A request was not done. `id` is -1 if the request could not be read."""

    id: int
    code: int
    name: str
    message: str

    def error(self) -> RequestError:
        """The error to raise where the request was made."""
        kind = _ERRORS.get(self.code, RequestError)
        return kind(self.code, self.name, self.message)


@dataclass(frozen=True, slots=True)
class Note:
    """An unasked-for message to a context: a signal that it registered for under `mid`."""

    ctx: int
    signal: str
    mid: int
    payload: Any = None


Answer = Reply | Failure | Note


def encode_request(request: Request) -> list[Buffer]:
    """A request as frames.

    Raises
    ------
    WireError
        If an argument has no form on the wire or it is too large.
    """
    head = {"v": VERSION, "id": request.id, "ctx": request.ctx, "session": request.session}
    return [pack({**head, "verb": request.verb, "args": request.args}), *request.frames]


def decode_request(frames: Sequence[Buffer]) -> Request:
    """The request in these frames.

    Raises
    ------
    WireError
        If they are none, each field of its type.
    """
    head, rest = _open(frames)
    session, verb, args = head.get("session", ""), head.get("verb"), head.get("args", {})
    _need(isinstance(session, str) and len(session) <= 64, "session")
    _need(isinstance(verb, str) and _VERB.fullmatch(verb) is not None, "verb")
    _need(isinstance(args, dict) and all(isinstance(name, str) for name in args), "args")
    return Request(_number(head, "id"), str(verb), args, _number(head, "ctx", 0), session, rest)


def encode_reply(
    request_id: int, result: Any = None, frames: Sequence[Buffer] = ()
) -> list[Buffer]:
    """The frames that say: done."""
    if result is None and not frames:
        return [b"".join((_DONE_HEAD, msgpack.packb(request_id), _DONE_END))]
    return [pack({"v": VERSION, "id": request_id, "ok": True, "result": result}), *frames]


def encode_failure(request_id: int | None, code: ErrorCode, message: str) -> list[Buffer]:
    """The frames that say: not done, and why. The id is None if the request could not be read."""
    # It may quote what was asked for, of any length; a failure must never be too long to be told.
    error = {"code": int(code), "name": code.wire_name, "message": message[:_MAX_SAID]}
    head = {"v": VERSION, "id": -1 if request_id is None else request_id}
    return [pack({**head, "ok": False, "error": error})]


def encode_note(note: Note) -> list[Buffer]:
    """A note as frames."""
    fields = {"ctx": note.ctx, "signal": note.signal, "mid": note.mid, "payload": note.payload}
    return [pack({"v": VERSION, **fields})]


def decode_answer(frames: Sequence[Buffer]) -> Answer:
    """The reply, failure or note in these frames.

    Raises
    ------
    WireError
        If they are none, each field of its type.
    """
    done = _done(frames)
    if done is not None:
        return done
    head, rest = _open(frames)
    if "signal" in head:
        _need(isinstance(head["signal"], str), "signal")
        payload = _plain(head.get("payload"))
        return Note(_number(head, "ctx"), head["signal"], _number(head, "mid"), payload)
    if head.get("ok") is True:
        return Reply(_number(head, "id"), _plain(head.get("result")), rest)
    return _failure(head)


def id_of(frames: Sequence[Buffer]) -> int | None:
    """The id of a request or answer that may not be readable otherwise; None without one."""
    try:
        return _number(_open(frames)[0], "id")
    except WireError:
        return None


def _done(frames: Sequence[Buffer]) -> Reply | None:
    """The reply without a result, which is how most changes are answered."""
    head = frames[0] if len(frames) == 1 else b""
    if head[: len(_DONE_HEAD)] != _DONE_HEAD or head[-len(_DONE_END) :] != _DONE_END:
        return None
    number, end = number_at(head, len(_DONE_HEAD))
    sound = 0 <= number < MAX_ID and end == len(head) - len(_DONE_END)
    return Reply(number) if sound else None


def _failure(head: dict[str, Any]) -> Failure:
    error = head.get("error")
    _need(head.get("ok") is False and isinstance(error, dict), "ok")
    assert isinstance(error, dict)
    name, message = error.get("name", ""), error.get("message", "")
    _need(isinstance(name, str) and isinstance(message, str), "error")
    request_id = -1 if head.get("id") == -1 else _number(head, "id")
    return Failure(request_id, _number(error, "code"), name, message)


def _open(frames: Sequence[Buffer]) -> tuple[dict[str, Any], tuple[Buffer, ...]]:
    """The map in the first frame, and the frames that follow."""
    if not 1 <= len(frames) <= 1 + MAX_FRAMES:
        raise WireError(f"{len(frames)} frames", cause="frames")
    check_size(sum(len(frame) for frame in frames))
    head = read_map(frames[0])
    version = head.get("v")
    if type(version) is not int or version != VERSION:
        raise WireError(f"version {reprlib.repr(version)}, not {VERSION}", cause="version")
    return head, tuple(frames[1:])


def _plain(value: Any) -> Any:
    # The reader leaves a bin where it lies; what is handed out must outlive the message.
    return bytes(value) if isinstance(value, memoryview) else value


def _number(fields: dict[str, Any], name: str, default: int | None = None) -> int:
    value = fields.get(name, default)
    _need(type(value) is int and 0 <= value < MAX_ID, name)
    assert isinstance(value, int)
    return value


def _need(sound: bool, name: str) -> None:
    if not sound:
        raise WireError(f"a request or answer without a proper {name!r}", cause="field")
