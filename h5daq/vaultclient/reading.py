"""Reading on in a dataset: pages of rows or comments, none left out and none twice.

The writer keeps the position of a context and moves it when it answers. An answer that was lost
would take its rows with it. So the position is counted here as well, by what has really come; and
where the two may differ, the next reading starts over and passes over what was read already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

__all__ = ["Page", "Position"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of what was asked for: `count` rows, whether there are more, and if it is sure.

    An answer to a request that was sent more than once is not sure: the position may have moved
    twice.
    """

    content: T
    count: int
    more: bool
    sure: bool


class Position:
    """Where a context stands.

    Attributes
    ----------
    at : int
        What was read so far.
    astray : bool
        Whether the writer may think otherwise.
    """

    def __init__(self) -> None:
        self.at, self.astray = 0, False

    def read(
        self,
        ask: Callable[[int | None, bool], Page[T]],
        limit: int | None = None,
        start_over: bool = False,
        *,
        passing: Callable[[int | None, bool], Page[Any]] | None = None,
    ) -> list[T]:
        """Read on.

        Parameters
        ----------
        ask : callable
            Takes a limit and whether to start over, gives the next page.
        limit : int, optional
            At most so many; by default all that there are.
        start_over : bool
            Begin with the first.
        passing : callable, optional
            As `ask`, to pass over what was read already.

        Returns
        -------
        list
            The content of each page; at least one.
        """
        if start_over:
            self.at, self.astray = 0, False
        while True:
            over = start_over
            if self.astray:
                over = self.at == 0
                if not over and not self._pass_over(passing or ask):
                    continue
            found = self._gather(ask, limit, over)
            if found is not None:
                self.at += sum(page.count for page in found)
                return [page.content for page in found]
            start_over = False

    def _pass_over(self, ask: Callable[[int | None, bool], Page[Any]]) -> bool:
        """Start over, and read again what was read already; whether that came out well."""
        found = self._gather(ask, self.at, True)
        if found is not None and sum(page.count for page in found) < self.at:
            # There is less than was read: another dataset has the name, as a new run of the same
            # name gives to its jobs. It is read from its beginning.
            self.at, self.astray, found = 0, True, None
        return found is not None

    def _gather(
        self, ask: Callable[[int | None, bool], Page[T]], limit: int | None, over: bool
    ) -> list[Page[T]] | None:
        """Pages up to the limit; None if one of them is not sure."""
        pages: list[Page[T]] = []
        self.astray = True
        while True:
            page = ask(limit, over)
            if not page.sure:
                return None
            pages.append(page)
            limit, over = None if limit is None else limit - page.count, False
            if not (page.more and page.count) or limit == 0:
                self.astray = False
                return pages
