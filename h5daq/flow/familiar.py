"""Requests that differ from an earlier one in nothing but their number are not read again.

A client that adds row after row says the same each time, but for the number of the request and the
frames behind it. So what stands behind the number is kept with what it was found to mean; the same
bytes mean the same once more. The arguments are then the very same object, by which who acts on
them may know them again; nobody changes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from h5daq.flow.packing import Buffer, check_size, number_at
from h5daq.flow.requests import MAX_FRAMES, MAX_ID, Request, decode_request

__all__ = ["RequestReader"]

_HEAD = b"\x86\xa1v\x01\xa2id"
"""A map of six, version 1, and then the number: how a request of h5daq's clients begins."""

_AT = len(_HEAD)
_LONGEST = 512
_MOST = 2048


class RequestReader:
    """Decodes requests.

    Examples
    --------
    >>> from h5daq.flow.requests import encode_request
    >>> reader = RequestReader()
    >>> first, again = (reader.read(encode_request(Request(n, "get_name"))) for n in (7, 1000))
    >>> again.id, again.verb, again.args is first.args
    (1000, 'get_name', True)
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Request] = {}

    def read(self, frames: Sequence[Buffer]) -> Request:
        """The request in these frames; as `decode_request` in all."""
        number, rest = _parted(frames)
        if rest is None:
            return decode_request(frames)
        known = self._known.get(rest)
        if known is None:
            request = decode_request(frames)
            if len(self._known) >= _MOST:
                self._known.clear()
            # Without its frames, which may be large, and are another request's affair.
            self._known[rest] = replace(request, frames=())
            return request
        check_size(sum(map(len, frames)))
        return Request(number, known.verb, known.args, known.ctx, known.session, tuple(frames[1:]))


def _parted(frames: Sequence[Buffer]) -> tuple[int, bytes | None]:
    """The number, and what stands behind it; None where that is not to be kept."""
    if not 1 <= len(frames) <= 1 + MAX_FRAMES:
        return 0, None
    head = frames[0]
    if not _AT < len(head) <= _LONGEST or head[:_AT] != _HEAD:
        return 0, None
    number, end = number_at(head, _AT)
    if not 0 <= number < MAX_ID or end >= len(head):
        return 0, None
    return number, bytes(head[end:])
