"""Where a context is, as far as its client knows: directory, dataset, what was read.

It makes ways absolute, so that going there twice is going there once; and it is what `restore`
needs to take up in a new context where the old one was.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, SupportsIndex

from h5daq.errors import BadArgument
from h5daq.vaultclient.reading import Position

__all__ = ["Opened", "Place"]


@dataclass(frozen=True, slots=True)
class Opened:
    """The dataset that is open, and whether for writing."""

    path: tuple[str, ...]
    name: str
    append: bool


@dataclass(slots=True)
class Place:
    """A place in the vault; `width` is the number of the dataset's columns, once it is known.

    Examples
    --------
    >>> place = Place(("", "a", "b"))
    >>> place.way("c"), place.way(1), place.way(["", "d"])
    (['', 'a', 'b', 'c'], ['', 'a'], ['', 'a', 'b', '', 'd'])
    """

    path: tuple[str, ...] = ("",)
    opened: Opened | None = None
    width: int | None = None
    rows: Position = field(default_factory=Position)
    comments: Position = field(default_factory=Position)

    def way(self, target: str | int | Sequence[str]) -> list[str]:
        """The way from the root to what a user asks for: down by names, up by a number."""
        if isinstance(target, str):
            return [*self.path, target]
        try:
            return [*self.path, *target] if isinstance(target, Iterable) else self._up(target)
        except TypeError:
            raise BadArgument(
                f"the way to a directory is a name, a list of names, or a number of levels up, not "
                f"{target!r:.60}"
            ) from None

    def _up(self, levels: SupportsIndex) -> list[str]:
        return list(self.path[: max(1, len(self.path) - max(0, operator.index(levels)))])

    def take(self, verb: str, result: Any) -> None:
        """What an answer says of it."""
        if verb == "cd":
            self.path = tuple(result)
        elif verb in ("new", "new_ex"):
            self.enter(result, append=True)

    def enter(self, result: Any, *, append: bool) -> None:
        """A dataset was opened, and is read from its beginning."""
        path, name = result
        self.opened = Opened(tuple(path), name, append)
        self.rows, self.comments, self.width = Position(), Position(), None
