"""The fields of each kind of message, and what may stand in them: a table and its check.

A kind lists the fields that a receiver relies on. A field that isn't listed is let through, since
a newer peer may send more; one that is listed has the right type, or the message is refused.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from h5daq.errors import JobTypeError, JobValueError, WireError
from h5daq.flow.clockwatch import MOST_JUMPS
from h5daq.flow.schema import check_group

__all__ = ["MOST_ROWS", "PUBLISHED", "WORKER", "Kinds", "check_fields"]

MOST_ROWS = 1 << 62
"""Most that a count may be."""

_MOST_ORDERS = 1 << 53
_MOST_CHARACTERS = 64 * 1024
_MOST_DEPTH = 8


def _is_uint64(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 64


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_ROWS


def _is_some(value: object) -> bool:
    return type(value) is int and 0 < value <= MOST_ROWS


def _is_seq(value: object) -> bool:
    # The next order's number is above it, and must be one too.
    return type(value) is int and 0 <= value <= _MOST_ORDERS


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_map(value: object) -> bool:
    return isinstance(value, dict)


def _is_bin(value: object) -> bool:
    return isinstance(value, memoryview)


def _is_cause(value: object) -> bool:
    # It becomes part of the name of an attribute.
    return isinstance(value, str) and 0 < len(value) <= 64 and value.isprintable()


def _is_group(value: object) -> bool:
    try:
        return check_group(value) == value
    except (JobValueError, JobTypeError):
        return False


def _is_counts(value: object) -> bool:
    if not isinstance(value, dict) or len(value) > 256:
        return False
    return all(_is_cause(cause) and _is_count(n) for cause, n in value.items())


def _is_jumps(value: object) -> bool:
    if not isinstance(value, list) or len(value) > MOST_JUMPS:
        return False
    pairs = (jump for jump in value if isinstance(jump, list) and len(jump) == 2)
    return sum(all(map(_is_number, jump)) for jump in pairs) == len(value)


def _is_positions(value: object) -> bool:
    # Each worker gets those of all: so this is one pass after the other, and none in Python.
    if not isinstance(value, dict) or set(map(type, value.values())) - {list}:
        return False
    numbers = list(chain.from_iterable(value.values()))
    if set(map(type, value)) - {str} or set(map(len, value.values())) - {2}:
        return False
    whole = not set(map(type, numbers)) - {int}
    return whole and (not numbers or (min(numbers) >= 0 and max(numbers) < 1 << 64))


def _is_attrs(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and 0 < len(name) < 256 and "\0" not in name and _is_attr(attr)
        for name, attr in value.items()
    )


def _is_attr(value: object, depth: int = 0) -> bool:
    if isinstance(value, list):
        return depth < _MOST_DEPTH and all(_is_attr(v, depth + 1) for v in value)
    if isinstance(value, str):
        return "\0" not in value
    return isinstance(value, bool | int | float | bytes)


@dataclass(frozen=True, slots=True)
class _Type:
    test: Callable[[object], bool]
    said: str
    required: bool = False


_UINT64 = _Type(_is_uint64, "a whole number of 64 bits without sign")
_COUNT = _Type(_is_count, "a whole number from 0")
_SEQ = _Type(_is_seq, "a whole number from 0 to 2^53")
_NUMBER = _Type(_is_number, "a finite number")
_TEXT = _Type(_is_text, f"a text of up to {_MOST_CHARACTERS} characters")
_BOOL = _Type(_is_bool, "true or false")
_LIST = _Type(_is_list, "a list")
_MAP = _Type(_is_map, "a map")


def _must(kind: _Type) -> _Type:
    return _Type(kind.test, kind.said, required=True)


_JOB = _Type(_is_group, "a group without '/' at its ends", required=True)
_SOME = _Type(_is_some, "a whole number from 1", required=True)
_BIN = _Type(_is_bin, "a bin", required=True)
_LOSS = _Type(_is_cause, "a short name", required=True)
_COUNTS = _Type(_is_counts, "a map of short names to whole numbers")
_JUMPS = _Type(_is_jumps, f"a list of up to {MOST_JUMPS} pairs of finite numbers")
_POSITIONS = _Type(_is_positions, "a map of jobs to [inc, next]")
_ATTRS = _Type(_is_attrs, "a map of names to numbers, texts and lists of them")

_FROM = {"job": _JOB, "inc": _must(_UINT64)}

Fields = Mapping[str, _Type]
"""The listed fields of one kind."""

Kinds = Mapping[str, Fields]
"""All kinds that go one way."""

WORKER: Kinds = {
    "hello": {
        **_FROM, "schema": _must(_LIST), "attrs": _ATTRS, "host": _TEXT, "pid": _COUNT,
        "period": _NUMBER, "mode": _TEXT, "chunk": _COUNT, "hash": _TEXT, "time": _NUMBER,
        "cause": _TEXT, "spooled": _BOOL, "interval": _NUMBER, "rest": _NUMBER,
    },
    "rows": {**_FROM, "first": _must(_COUNT), "n": _SOME, "data": _BIN, "text": _LIST},
    "skip": {**_FROM, "first": _must(_COUNT), "n": _SOME, "cause": _LOSS},
    "status": {
        **_FROM, "state": _TEXT, "counts": _COUNTS, "overruns": _COUNT, "held": _COUNT,
        "late": _NUMBER, "cmd": _SEQ, "message": _TEXT, "held_bytes": _COUNT,
        "late_median": _NUMBER, "cpu": _NUMBER, "rss": _COUNT, "jumps": _JUMPS,
        "end": _COUNT, "earlier": _COUNT, "spooled": _COUNT, "spooled_bytes": _COUNT,
    },
    "log": {
        "job": _JOB, "inc": _UINT64, "level": _TEXT, "name": _TEXT, "time": _NUMBER, "text": _TEXT,
    },
    "bye": {**_FROM, "end": _must(_COUNT), "spooled": _BOOL},
}  # fmt: skip
"""Kinds that a worker sends to the writer."""

PUBLISHED: Kinds = {
    "position": {
        "boot": _must(_TEXT), "run": _must(_TEXT), "inc": _must(_UINT64), "next": _must(_COUNT),
        "window": _must(_COUNT), "need": _TEXT, "bye": _BOOL,
    },
    "heartbeat": {
        "boot": _must(_TEXT), "run": _must(_TEXT), "time": _NUMBER, "positions": _POSITIONS,
        "ended": _BOOL,
    },
    "command": {"seq": _must(_COUNT), "verb": _must(_TEXT), "n": _COUNT},
    "refused": {"cause": _must(_TEXT), "key": _TEXT},
    "new-dir": {"path": _must(_TEXT), "name": _must(_TEXT)},
    "new-dataset": {"path": _must(_TEXT), "name": _must(_TEXT), "columns": _LIST},
    "data-available": {
        "path": _must(_TEXT), "rows": _COUNT, "total": _COUNT, "last_time": _NUMBER, "last": _MAP,
    },
    "tags-updated": {"path": _TEXT},
    "new-parameter": {"path": _TEXT},
    "comments-available": {"path": _TEXT},
    "status": {},
    "log": {},
    "alarm": {
        "id": _COUNT, "time": _NUMBER, "job": _TEXT, "column": _TEXT, "kind": _TEXT,
        "level": _TEXT, "value": _NUMBER, "limit": _NUMBER, "text": _TEXT,
    },
}  # fmt: skip
"""Kinds that the writer publishes to all."""


def check_fields(kind: str, wanted: Fields, given: Mapping[str, Any]) -> None:
    """See that the fields of a message have the types of its kind.

    Raises
    ------
    WireError
        With the cause ``"field"``, naming the field.
    """
    for name, rule in wanted.items():
        if name not in given:
            if rule.required:
                raise WireError(f"{kind} without {name!r}", cause="field")
        elif not rule.test(given[name]):
            raise WireError(
                f"{kind}: {name!r} is {rule.said}, not {reprlib.repr(given[name])}", cause="field"
            )
