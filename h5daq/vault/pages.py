"""The pages of a dataset that were read lately: many contexts that follow it read the same ones.

Rows never change, so a page that begins at the same row is the same for all, as long as there are
no more rows and no other columns. Only short ones are kept: those are what is new, and everybody
who was told of it asks for them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from h5daq.flow.often import Often
from h5daq.flow.packing import Buffer

__all__ = ["Page", "Pages", "What"]

_MOST_PAGES = 64
_MOST_ROWS, _MOST_BYTES = 1024, 64 << 10
"""Of one that is kept."""


class What(NamedTuple):
    """What a page was asked for.

    Attributes
    ----------
    verb : str
        By which.
    start : int
        Its first row.
    limit : int, optional
        Most rows of this page and those that follow.
    page : int, optional
        Most rows of this page.
    """

    verb: str
    start: int
    limit: int | None = None
    page: int | None = None


class Page(NamedTuple):
    """Some rows, as a reply has them.

    Attributes
    ----------
    rows : int
        How many.
    more : bool
        Whether others follow that were asked for as well.
    fields, frames
        The reply.
    """

    rows: int
    more: bool
    fields: Often
    frames: Sequence[Buffer]


class Pages:
    """Pages by what they were asked for.

    Examples
    --------
    >>> pages = Pages()
    >>> pages.look(5, None)
    >>> pages.keep(What("get", 3), Page(2, False, Often(n=2), [b"12"]), 0)
    >>> pages.find(What("get", 3)).rows
    2
    >>> pages.look(6, None)
    >>> pages.find(What("get", 3))
    """

    def __init__(self) -> None:
        self._known: dict[What, Page] = {}
        self._rows, self._head = -1, object()

    def look(self, rows: int, head: Any) -> None:
        """Forget everything if the dataset is another one by now."""
        if rows != self._rows or head is not self._head:
            self._known.clear()
            self._rows, self._head = rows, head

    def find(self, what: What) -> Page | None:
        """The page, if it is kept."""
        return self._known.get(what)

    def keep(self, what: What, page: Page, text_bytes: int) -> None:
        """Keep a page, if it is a short one, with all its texts."""
        size = text_bytes + sum(map(len, page.frames))
        if page.rows > _MOST_ROWS or size > _MOST_BYTES:
            return
        if len(self._known) >= _MOST_PAGES:
            self._known.clear()
        # Not where it lies: that may be a slice of much more.
        self._known[what] = page._replace(frames=[bytes(frame) for frame in page.frames])
