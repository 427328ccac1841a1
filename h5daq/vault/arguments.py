"""The arguments of the vault's verbs, as they came from anybody: each of its type, or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from h5daq.errors import BadArgument

__all__ = ["flag", "number", "pairs", "seconds", "text", "texts", "whole"]

Args = Mapping[str, Any]


def text(args: Args, name: str, default: str | None = None) -> str:
    """A text."""
    value = args.get(name)
    value = default if value is None else value
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    return value


def texts(args: Args, name: str, default: Any = ()) -> list[str]:
    """One text or a list of them, as a list."""
    value = args.get(name)
    value = list(default) if value is None else value
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise _wrong(name, "a text or a list of texts", value)
    return found


def flag(args: Args, name: str, default: bool = False) -> bool:
    """True or false."""
    value = args.get(name)
    value = default if value is None else value
    if not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return value


def whole(args: Args, name: str) -> int | None:
    """A whole number of 0 or more, or nothing."""
    value = args.get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise _wrong(name, "a whole number of 0 or more, or none", value)
    return value


def number(args: Args, name: str) -> int:
    """A whole number."""
    value = args.get(name)
    if type(value) is not int:
        raise _wrong(name, "a whole number", value)
    return int(value)


def seconds(args: Args, name: str, default: float) -> float:
    """A time span."""
    value = args.get(name)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(name, "a number of seconds", value)
    return float(value)


def pairs(args: Args, name: str) -> list[tuple[Any, Any]]:
    """A list of pairs."""
    value = args.get(name)
    if not isinstance(value, list) or not all(
        isinstance(one, list | tuple) and len(one) == 2 for one in value
    ):
        raise _wrong(name, "a list of pairs", value)
    return [(first, second) for first, second in value]


def _wrong(name: str, wanted: str, value: Any) -> BadArgument:
    return BadArgument(f"{name} must be {wanted}, not {value!r:.80}")
