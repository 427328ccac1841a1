"""Rows that differ from earlier ones in nothing but their numbers and data are read in one look.

All rows messages of a worker begin with the same bytes, and end in the same way: the first row, the
count, the data. So their beginning is kept with the job and incarnation that it was found to name;
what stands behind it is matched in one go. Whatever looks otherwise (text columns, another order of
the keys, anything wrong) is read as any message is.
"""

from __future__ import annotations

import re

from h5daq.flow.fields import MOST_ROWS
from h5daq.flow.packing import MAX_MESSAGE_BYTES, pack
from h5daq.flow.wire import VERSION, Head, decode_head

__all__ = ["HeadReader"]

_NUMBER = rb"([\x00-\x7f]|\xcc.|\xcd.{2}|\xce.{4}|\xcf.{8})"
_BIN = rb"(\xc4.|\xc5.{2}|\xc6.{4})"
_ROWS = re.compile(
    rb"(\x87.{1,512}?)\xa5first" + _NUMBER + rb"\xa1n" + _NUMBER + rb"\xa4data" + _BIN, re.DOTALL
)
"""A map of seven that begins somehow, and then has the numbers and a bin."""

_MOST = 8192
"""Beginnings that are kept: more than there are jobs."""


class HeadReader:
    """Decodes messages of workers.

    Examples
    --------
    >>> from h5daq.flow.wire import encode
    >>> reader = HeadReader()
    >>> message = encode("rows", job="tank", inc=7, first=70, n=1, data=bytes(8))
    >>> first, again = reader.read(memoryview(message)), reader.read(memoryview(message))
    >>> again == first, again.job is first.job, again.first
    (True, True, 70)
    """

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, int]] = {}

    def read(self, message: memoryview) -> Head:
        """The head of a message of bytes; as `decode_head` in all."""
        match = _ROWS.match(message)
        if match is None:
            return decode_head(message)
        beginning, *numbers = match.groups()
        known = self._known.get(beginning)
        if known is None:
            return self._learn(beginning, decode_head(message))
        first, n, length = map(_number, numbers)
        data = message[match.end() :]
        whole = length == len(data) and len(message) <= MAX_MESSAGE_BYTES
        if not (whole and 0 < n <= MOST_ROWS and first <= MOST_ROWS):
            return decode_head(message)
        return Head(VERSION, "rows", *known, first, n, data=data)

    def _learn(self, beginning: bytes, head: Head) -> Head:
        """Keep a beginning, if it is all that stands before the numbers, and nothing else."""
        if beginning[1:] == pack({"v": VERSION, "k": "rows", "job": head.job, "inc": head.inc})[1:]:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[beginning] = head.job, head.inc
        return head


def _number(packed: bytes) -> int:
    return packed[0] if len(packed) == 1 else int.from_bytes(packed[1:], "big")
