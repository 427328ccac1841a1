"""Which pages of a reading to ask for, so that some are on their way while one is taken in.

The writer says with each page where those that follow best end. They are asked for by their rows,
so it does no harm if one is asked for twice. They are taken in order: one that is shorter than it
was to be (texts can be long) makes those behind it useless, and they are asked for anew.

How many are under way follows from how long they take: on a slow network a page is waited for
alone, since what waits behind others would seem to be lost. Pure: the caller brings the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["Ahead", "Came", "Taken", "Wish"]

_SLOW_SECONDS = 0.5
"""What takes longer from question to answer is on a slow network."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A page to ask for: rows from `first` on, `page` of them if that is known by now.

    `limit` is what is wanted of the rows from `first` on altogether.
    """

    first: int
    limit: int | None = None
    page: int | None = None

    def args(self) -> dict[str, Any]:
        """The arguments of the request."""
        sized = {} if self.page is None else {"page": self.page}
        return {"limit": self.limit, "first": self.first, **sized}


@dataclass(frozen=True, slots=True)
class Came:
    """What an answer says: where its rows begin, how many they are, if there are more, and where
    the pages that follow best end.
    """

    first: int
    count: int
    more: bool
    ends: Sequence[int] = ()


class Taken(Enum):
    """What an answer means."""

    GOES_ON = "it is the next page"
    SHORT = "it is, and the others under way are of no use"
    ANOTHER = "the dataset is another one, with fewer rows: read from its beginning"


class Ahead:
    """A reading.

    Parameters
    ----------
    first : int
        Its first row.
    limit : int, optional
        At most so many rows; by default all that there are.
    most : int
        Pages that may be under way.

    Attributes
    ----------
    at : int
        The next row to take.
    done : bool
        Whether all is there.

    Examples
    --------
    >>> ahead = Ahead(0, None, most=4)
    >>> ahead.wishes(now=0.0), ahead.wishes(now=0.0)
    ([Wish(first=0, limit=None, page=None)], [])
    >>> ahead.take(Came(0, 100, True, [150, 200, 250]), now=0.1)
    <Taken.GOES_ON: 'it is the next page'>
    >>> [(wish.first, wish.page) for wish in ahead.wishes(now=0.1)]
    [(100, 50), (150, 50)]
    """

    def __init__(self, first: int, limit: int | None, most: int) -> None:
        self._limit, self._most = limit, most
        self._begin(first)

    def _begin(self, first: int) -> None:
        self.at, self.done = first, False
        self._stop = None if self._limit is None else first + self._limit
        self._width = 1
        self._ends: deque[int] = deque()
        self._asked: deque[tuple[Wish, float]] = deque()

    @property
    def asked(self) -> int:
        """Pages under way."""
        return len(self._asked)

    def wishes(self, now: float) -> list[Wish]:
        """What is to be asked for now; it counts as asked."""
        found: list[Wish] = []
        if self.asked > self._width // 2:
            # Several at a time: each time the thread that sends them has to be woken.
            return found
        while not self.done and self.asked < self._width:
            wish = self._next()
            if wish is None:
                break
            self._asked.append((wish, now))
            found.append(wish)
        return found

    def _next(self) -> Wish | None:
        first = self._planned()
        if self._ends:
            end = self._ends.popleft()
            return Wish(first, self._left(first), end - first)
        # Of what nobody has named the end, one page is asked for, and waited for.
        return None if self._asked else Wish(first, self._left(first))

    def _planned(self) -> int:
        """The row behind all that is asked for."""
        if not self._asked:
            return self.at
        last, _ = self._asked[-1]
        return last.first + (last.page or 0)

    def _left(self, first: int) -> int | None:
        return None if self._stop is None else max(0, self._stop - first)

    def take(self, came: Came, now: float) -> Taken:
        """The answer to the oldest page under way."""
        wish, then = self._asked.popleft()
        if came.first != wish.first:
            self._begin(0)
            return Taken.ANOTHER
        self._pace(now - then)
        self.at += came.count
        self.done = not (came.more and came.count)
        if wish.page is not None and came.count == wish.page and not self.done:
            self._learn(came.ends)
            return Taken.GOES_ON
        short = bool(self._asked)
        self._asked.clear()
        self._ends.clear()
        self._learn(came.ends)
        return Taken.SHORT if short else Taken.GOES_ON

    def _pace(self, seconds: float) -> None:
        wider = min(self._width + 1, self._most)
        self._width = wider if seconds < _SLOW_SECONDS else max(1, self._width // 2)

    def _learn(self, ends: Sequence[int]) -> None:
        """Plan the pages that are not planned yet."""
        last = self._ends[-1] if self._ends else self._planned()
        for end in ends:
            if end > last:
                self._ends.append(end)
                last = end
