"""One msgpack map out of bytes that anybody may have sent, within limits.

Every message is one map with text keys. `read_map` walks over its pairs: a large ``bin`` is given
as a view of the message, never copied, and a large text block is only measured. All else is
unpacked under limits on size, nesting and counts, so that a small message can't claim much memory.
A small one, in which there is nothing to object to, is unpacked in one go; so is a large one that
ends with its one ``bin`` after a small beginning, as rows do.

Whatever is wrong with the bytes, the outcome is one `WireError`; nothing else is ever raised.
"""

from __future__ import annotations

import reprlib
from typing import Any, TypeVar

import msgpack

from h5daq.errors import WireError

__all__ = ["MAX_MESSAGE_BYTES", "Buffer", "check_size", "number_at", "pack", "read_map"]

Buffer = bytes | bytearray | memoryview
"""What a transport hands over."""

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""Most bytes of one message."""

MAX_PAIRS = 256
"""Most keys of a message's own map."""

MAX_LENGTH = 16384
"""Most elements of one list or map inside it."""

MAX_ITEMS = 1_000_000
"""Most elements of all lists and maps inside it together."""

MAX_STRINGS = 2_000_000
"""Most strings in the text block of one message."""

_FIRST_BYTES = 64 * 1024

_SMALL_BYTES = MAX_LENGTH
"""A message of so many bytes is within all limits on counts."""

_OPENING_BYTES = 4096
"""Where a large message is looked through for the bin that is all the rest of it."""


# First bytes of msgpack values.
_NEVER_USED = 0xC1
_SHORT_LIST = 0x90
_LISTS = (0xDC, 0xDD)
_WIDTHS = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9}
_BIN_LENGTH_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_EMPTY_BIN, _BIN32 = b"\xc4\0", b"\xc6"

T = TypeVar("T", list[Any], dict[str, Any])


def pack(fields: dict[str, Any]) -> bytes:
    """A map as msgpack; numpy scalars and arrays become numbers and lists.

    Raises
    ------
    WireError
        If a value has no form on the wire, or the message is over `MAX_MESSAGE_BYTES`.
    """
    try:
        packed: bytes = msgpack.packb(fields, default=_plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(f"can't be sent: {error}", cause="value") from error
    check_size(len(packed))
    return packed


def _plain(value: Any) -> Any:
    tolist = getattr(value, "tolist", None)
    if tolist is None:
        raise TypeError(f"{type(value).__name__} has no form on the wire")
    return tolist()


def number_at(message: Buffer, at: int) -> tuple[int, int]:
    """The whole number of 0 or more that stands there, and where it ends; -1 if there is none.

    Examples
    --------
    >>> number_at(msgpack.packb([5, 70_000]), 2)
    (70000, 7)
    """
    mark = message[at]
    if mark < 0x80:
        return mark, at + 1
    width = _WIDTHS.get(mark)
    end = at + (width or 0)
    if width is None or end > len(message):
        return -1, at
    return int.from_bytes(message[at + 1 : end], "big"), end


def check_size(size: int) -> None:
    """Raise `WireError` for a message of more than `MAX_MESSAGE_BYTES`."""
    if size > MAX_MESSAGE_BYTES:
        raise WireError(f"{size} bytes in one message, over {MAX_MESSAGE_BYTES}", cause="size")


def read_map(message: Buffer, *, block: str = "") -> dict[str, Any]:
    """The pairs of a message's map, in their order.

    Parameters
    ----------
    message : bytes-like
        One whole message.
    block : str
        Key whose value, if it is a list, is a text block: lists of strings of any length.

    Returns
    -------
    dict
        Values of type ``bin`` are memoryviews of `message`.

    Raises
    ------
    WireError
        If the bytes are not exactly one map with text keys within the limits.
    """
    found = _read_small(message) if len(message) <= _SMALL_BYTES else _read_opening(message)
    if found is not None and block not in found:
        return found
    try:
        return _Walk(message).pairs(block)
    except WireError:
        raise
    except msgpack.OutOfData as error:
        raise WireError("the message ends too early", cause="truncated") from error
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException) as error:
        raise WireError(f"no message: {error or type(error).__name__}") from error


def _read_small(message: Buffer) -> dict[str, Any] | None:
    """The pairs of a small message, in one go; None if there is anything to object to."""
    # It has too few bytes for more elements than are allowed, wherever they are.
    try:
        found = msgpack.unpackb(
            message, object_pairs_hook=_distinct, ext_hook=_no_extension, max_ext_len=0
        )
    except (ValueError, TypeError, OverflowError, msgpack.UnpackException):
        return None
    if type(found) is not dict or not 0 < len(found) <= MAX_PAIRS:
        return None
    *others, last = found.values()
    if set(map(type, found)) != {str} or bytes in map(type, others):
        return None
    if type(last) is bytes:
        # The last value's bytes are the last of the message.
        whole = memoryview(message).cast("B")
        found[next(reversed(found))] = whole[len(whole) - len(last) :]
    return found


def _read_opening(message: Buffer) -> dict[str, Any] | None:
    """The pairs of a large message whose last value is a bin; None if that can't be seen at once.

    An empty bin is put in its place, and what is before it read like a small message: it reads the
    same, since the reader can't know yet what follows.
    """
    view = memoryview(message).cast("B")
    opening = bytes(view[:_OPENING_BYTES])
    at = _bin_to_the_end(opening, len(view))
    if at < 0 or len(view) > MAX_MESSAGE_BYTES:
        return None
    found = _read_small(opening[:at] + _EMPTY_BIN)
    last = next(reversed(found)) if found else ""
    # One that is empty and ends the message is the one that was put there.
    if found is None or not isinstance(found[last], memoryview) or found[last].nbytes:
        return None
    found[last] = view[at + 5 :]
    return found


def _bin_to_the_end(opening: bytes, size: int) -> int:
    """Where a bin seems to begin that ends with the message; below 0 for nowhere."""
    stop = len(opening) - 4
    at = opening.find(_BIN32, 0, stop)
    while at >= 0 and int.from_bytes(opening[at + 1 : at + 5], "big") != size - at - 5:
        at = opening.find(_BIN32, at + 1, stop)
    return at


def _distinct(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    distinct = dict(pairs)
    if len(distinct) < len(pairs):
        raise ValueError("a key twice")
    return distinct


def _read_block(block: memoryview) -> list[list[str]]:
    # Without room for any list or map, an element can't claim memory before it is looked at.
    unpacker = _unpacker(max_array_len=0, max_map_len=0)
    unpacker.feed(block)
    columns, strings = [], 0
    for _ in range(_within(unpacker.read_array_header(), MAX_LENGTH)):
        count = unpacker.read_array_header()
        strings = _within(strings + count, MAX_STRINGS)
        columns.append([_text(unpacker.unpack()) for _ in range(count)])
    return columns


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise WireError("a text is a string without NUL", cause="text")
    return value


def _within(count: int, most: int) -> int:
    if count > most:
        raise WireError(f"{count} elements, over {most}", cause="limit")
    return count


def _unpacker(**limits: Any) -> Any:
    return msgpack.Unpacker(
        read_size=4096,
        max_buffer_size=MAX_MESSAGE_BYTES,
        max_ext_len=0,
        ext_hook=_no_extension,
        **limits,
    )


def _no_extension(code: int, data: bytes) -> object:
    raise ValueError(f"msgpack extension {code} of {len(data)} bytes")


class _Budget:
    """How many elements a message may still have."""

    # An object of its own: an unpacker that calls back into its owner would be a cycle to collect.
    def __init__(self) -> None:
        self._spent = 0

    def spend(self, container: T) -> T:
        self._spent = _within(self._spent + 1 + len(container), MAX_ITEMS)
        return container


class _Walk:
    """A pass over the pairs of one message's map."""

    def __init__(self, message: Buffer) -> None:
        self._view = memoryview(message).cast("B")
        check_size(len(self._view))
        self._budget = _Budget()
        self._begin(0)

    def _begin(self, offset: int) -> None:
        """Start the unpacker anew; it is fed little, as what follows is mostly a large bin."""
        self._base = offset
        self._unpacker = _unpacker(
            max_array_len=MAX_LENGTH,
            max_map_len=MAX_LENGTH,
            object_hook=self._budget.spend,
            list_hook=self._budget.spend,
        )
        self._fed = min(offset + _FIRST_BYTES, len(self._view))
        self._unpacker.feed(self._view[offset : self._fed])

    def pairs(self, block: str) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        for _ in range(_within(self._do("read_map_header"), MAX_PAIRS)):
            key = self._do("unpack")
            if not isinstance(key, str) or key in pairs:
                raise WireError(f"key {reprlib.repr(key)} twice, or no text", cause="key")
            pairs[key] = self._value(is_block=bool(block) and key == block)
        if self._position != len(self._view):
            raise WireError("bytes after the message's end", cause="trailing")
        return pairs

    @property
    def _position(self) -> int:
        return self._base + int(self._unpacker.tell())

    def _do(self, method: str) -> Any:
        # Bound here, since the walk may have begun a new unpacker.
        call = getattr(self._unpacker, method)
        try:
            return call()
        except msgpack.OutOfData:
            if self._fed == len(self._view):
                raise
        self._unpacker.feed(self._view[self._fed :])
        self._fed = len(self._view)
        return call()

    def _value(self, is_block: bool) -> Any:
        start = self._position
        mark = self._view[start] if start < len(self._view) else _NEVER_USED
        if mark in _BIN_LENGTH_BYTES:
            return self._bin(start + 1, _BIN_LENGTH_BYTES[mark])
        if is_block and (mark in _LISTS or mark & 0xF0 == _SHORT_LIST):
            self._do("skip")
            return _read_block(self._view[start : self._position])
        return self._do("unpack")

    def _bin(self, start: int, width: int) -> memoryview:
        begin = start + width
        end = begin + int.from_bytes(self._view[start:begin], "big")
        if end > len(self._view):
            raise msgpack.OutOfData
        if end <= self._fed:
            self._unpacker.skip()
        else:
            self._begin(end)
        return self._view[begin:end]
