"""What may be appended to a journal: one buffer, or several that stand one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from h5daq.storage.segment_disk import Part

__all__ = ["Message", "gathered", "parts_of"]

Message = Part | Sequence[Part]
"""A message in one piece or in several. It is kept, not copied: it must not change afterwards."""


def parts_of(message: Message) -> list[bytes | memoryview]:
    """The pieces of a message, each a flat stretch of bytes."""
    if isinstance(message, bytes):
        return [message]
    if isinstance(message, (bytearray, memoryview)):
        return [_flat(message)]
    return [_flat(part) for part in message]


def gathered(message: Message) -> bytes | memoryview:
    """The message in one piece."""
    parts = parts_of(message)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _flat(part: Part) -> bytes | memoryview:
    if isinstance(part, memoryview):
        return part if part.format == "B" and part.ndim == 1 and part.contiguous else _cast(part)
    # A bytearray is likely to be used again by its owner.
    return part if isinstance(part, bytes) else bytes(part)


def _cast(view: memoryview) -> bytes | memoryview:
    # Only a plain stretch of memory can be looked at as bytes.
    return view.cast("B") if view.c_contiguous and view.nbytes else view.tobytes()
