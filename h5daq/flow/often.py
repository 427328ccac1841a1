"""Answers and notes that many get alike: what they have in common is packed once.

A thousand contexts that look at one dataset are told the same of its news, and read the same rows
then. What differs among those messages is a number near the head of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from h5daq.flow.packing import Buffer, check_size, pack
from h5daq.flow.requests import VERSION, Note

__all__ = ["NotePacker", "Often"]

_VERSION = msgpack.packb("v") + msgpack.packb(VERSION)
_REPLY = b"\x84" + _VERSION + msgpack.packb("id")
_DONE = msgpack.packb("ok") + msgpack.packb(True) + msgpack.packb("result")
_NOTE = b"\x85" + _VERSION + msgpack.packb("ctx")


class Often(dict[str, Any]):
    """A result that is given again and again, and does not change.

    Examples
    --------
    >>> from h5daq.flow.requests import encode_reply
    >>> Often(n=3).reply(7) == encode_reply(7, {"n": 3})
    True
    """

    _packed: bytes | None = None

    def reply(self, request_id: int, frames: Sequence[Buffer] = ()) -> list[Buffer]:
        """The frames of a reply with it."""
        if self._packed is None:
            self._packed = _DONE + pack(self)
            check_size(len(self._packed) + len(_REPLY) + 9)
        return [b"".join((_REPLY, msgpack.packb(request_id), self._packed)), *frames]


class NotePacker:
    """Packs notes; those that differ in their context alone are best packed in a row.

    Examples
    --------
    >>> from h5daq.flow.requests import encode_note
    >>> note = Note(7, "data-available", 1, {"name": "scan"})
    >>> NotePacker().pack(note) == encode_note(note)
    True
    """

    def __init__(self) -> None:
        self._known: Note | None = None
        self._end = b""

    def pack(self, note: Note) -> list[Buffer]:
        """A note as frames."""
        known = self._known
        if (
            known is None
            or note.payload is not known.payload
            or note.mid != known.mid
            or note.signal != known.signal
        ):
            fields = {"signal": note.signal, "mid": note.mid, "payload": note.payload}
            # Without the mark of its own map.
            self._end, self._known = pack(fields)[1:], note
        return [b"".join((_NOTE, msgpack.packb(note.ctx), self._end))]
