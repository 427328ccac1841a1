"""Requests and answers are read as they were written, and nothing else is."""

from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import RequestError, WireError
from h5daq.flow.requests import (
    ErrorCode,
    Failure,
    Note,
    Reply,
    Request,
    decode_answer,
    decode_request,
    encode_failure,
    encode_note,
    encode_reply,
    encode_request,
    id_of,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, (1 << 63) - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | TEXTS | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
FRAMES = st.lists(st.binary(max_size=30), max_size=3).map(tuple)
REQUESTS = st.builds(
    Request,
    NUMBERS,
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    st.dictionaries(TEXTS, VALUES, max_size=3),
    NUMBERS,
    TEXTS,
    FRAMES,
)


@given(REQUESTS)
def test_a_request_is_read_as_it_was_written(request: Request) -> None:
    frames = encode_request(request)
    assert decode_request(frames) == request
    assert id_of(frames) == request.id


@given(NUMBERS, VALUES, FRAMES)
def test_a_reply_is_read_as_it_was_written(
    number: int, result: Any, frames: tuple[bytes, ...]
) -> None:
    encoded = encode_reply(number, result, frames)
    assert decode_answer(encoded) == Reply(number, result, frames)
    assert id_of(encoded) == number


@given(NUMBERS | st.none(), st.sampled_from(ErrorCode), TEXTS)
def test_a_failure_is_read_as_it_was_written(
    number: int | None, code: ErrorCode, text: str
) -> None:
    failure = decode_answer(encode_failure(number, code, text))
    expected = -1 if number is None else number
    assert failure == Failure(expected, int(code), code.wire_name, text)


@given(st.builds(Note, NUMBERS, TEXTS, NUMBERS, VALUES))
def test_a_note_is_read_as_it_was_written_and_has_no_id(note: Note) -> None:
    assert decode_answer(encode_note(note)) == note
    assert id_of(encode_note(note)) is None


def test_a_failure_becomes_the_error_to_raise() -> None:
    failure = decode_answer(encode_failure(1, ErrorCode.CONTEXT_LOST, "register again"))
    assert isinstance(failure, Failure)
    error = failure.error()
    assert isinstance(error, RequestError)
    assert (error.code, error.name, str(error)) == (103, "context lost", "register again")


@given(st.lists(st.binary(max_size=40), max_size=3))
def test_any_bytes_are_a_message_or_one_wire_error(frames: list[bytes]) -> None:
    for decode in (decode_request, decode_answer):
        with pytest.raises(WireError):
            decode(frames)


@given(st.dictionaries(st.sampled_from(["v", "id", "ctx", "verb", "args", "ok", "error"]), VALUES))
def test_any_map_is_a_message_or_one_wire_error(fields: dict[str, Any]) -> None:
    frames = [msgpack.packb({**fields, "v": 1})]
    for decode in (decode_request, decode_answer):
        with contextlib.suppress(WireError):
            decode(frames)


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"v": 2}, "version"),
        ({"v": True}, "version"),
        ({"id": -1}, "field"),
        ({"id": "1"}, "field"),
        ({"verb": "Rm -rf"}, "field"),
        ({"verb": ""}, "field"),
        ({"args": [1]}, "field"),
        ({"session": "s" * 65}, "field"),
        ({"ctx": 1 << 63}, "field"),
    ],
)
def test_a_field_out_of_its_range_is_refused(fields: dict[str, Any], cause: str) -> None:
    sound = {"v": 1, "id": 1, "ctx": 0, "session": "", "verb": "ping", "args": {}}
    with pytest.raises(WireError) as caught:
        decode_request([msgpack.packb({**sound, **fields})])
    assert caught.value.cause == cause


def test_too_many_frames_are_refused() -> None:
    with pytest.raises(WireError, match="frames"):
        decode_request([*encode_request(Request(1, "ping")), *[b""] * 257])


def test_error_numbers_and_names_differ() -> None:
    assert len({code.wire_name for code in ErrorCode}) == len(ErrorCode.__members__)
