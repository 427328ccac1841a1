"""Messages on the private pipe between a parent process and a child.

A message is a four-byte big-endian length and one msgpack map. The pipe carries orders and
reports, never rows; its end is how a child learns that its parent is gone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgpack

from h5daq.errors import WireError

__all__ = ["ControlDecoder", "encode_control"]

_LENGTH = struct.Struct(">I")
_MAX_BYTES = 256 << 20


def encode_control(kind: str, **fields: Any) -> bytes:
    """One message as bytes."""
    body: bytes = msgpack.packb({"k": kind, **fields})
    return _LENGTH.pack(len(body)) + body


class ControlDecoder:
    """Takes bytes as they come and gives whole messages."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Messages that are complete with `data`.

        Raises
        ------
        WireError
            If the bytes are no message.
        """
        self._held += data
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > _MAX_BYTES:
                raise WireError(f"a control message of {length} bytes is too large", "size")
            if len(self._held) < _LENGTH.size + length:
                return
            body = bytes(self._held[_LENGTH.size : _LENGTH.size + length])
            del self._held[: _LENGTH.size + length]
            yield self._message(body)

    def _message(self, body: bytes) -> dict[str, Any]:
        try:
            message = msgpack.unpackb(body, strict_map_key=False)
        except (ValueError, msgpack.UnpackException) as error:
            raise WireError(f"a control message that is no msgpack: {error}") from error
        if not isinstance(message, dict) or not isinstance(message.get("k"), str):
            raise WireError("a control message without a kind")
        return message
