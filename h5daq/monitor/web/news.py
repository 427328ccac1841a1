"""What has changed since a page was told last. Pure.

`News` is a table of names and values in which each change has a number; a page knows the number up
to which it was told, and gets what came since, each name once. So a page that is slow, or asleep in
somebody's pocket, gets the same state in fewer messages, and nothing is kept for it meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

__all__ = ["Happenings", "News"]


class News:
    """Names and their values, with the number of each one's last change.

    Examples
    --------
    >>> news = News()
    >>> news.put("a", 1); news.put("b", 2); news.put("a", 1)
    >>> news.since(0)
    (2, {'a': 1, 'b': 2})
    >>> news.put("a", 3); news.keep({"a"})
    >>> news.since(2)
    (4, {'a': 3, 'b': None})
    """

    def __init__(self) -> None:
        self._number = 0
        self._values: dict[str, tuple[int, Any]] = {}

    def put(self, name: str, value: Any) -> None:
        """Say what a name means; None means that there is nothing of that name."""
        known = self._values.get(name)
        if known is None or known[1] != value:
            self._number += 1
            self._values[name] = (self._number, value)

    def keep(self, names: Collection[str]) -> None:
        """All other names mean nothing any more."""
        for name in [name for name in self._values if name not in names]:
            self.put(name, None)

    def since(self, number: int) -> tuple[int, dict[str, Any]]:
        """The number of the last change, and what has changed after `number`."""
        if number >= self._number:
            return self._number, {}
        return self._number, {k: v for k, (n, v) in self._values.items() if n > number}


class Happenings:
    """The last things that happened, one after the other, each with a number."""

    def __init__(self, most: int = 300) -> None:
        self.count = 0
        self._kept: deque[tuple[int, dict[str, Any]]] = deque(maxlen=most)

    def add(self, what: dict[str, Any]) -> None:
        """One more."""
        self._kept.append((self.count, what))
        self.count += 1

    def since(self, number: int) -> list[dict[str, Any]]:
        """Those from `number` on that are kept, oldest first."""
        return [what for n, what in self._kept if n >= number]
