"""Who subscribes to what, as far as a publisher knows: what nobody hears need not be made.

A subscription is a prefix of topics. Whether one is for a kind of signals at all is a question that
a writer asks a thousand times per second, and its answer changes when a listener comes or goes.
"""

from __future__ import annotations

from h5daq.flow.fields import PUBLISHED

__all__ = ["Audience"]


class Audience:
    """The subscriptions at hand, each counted once however many have it.

    Examples
    --------
    >>> audience = Audience()
    >>> audience.add(b"data-available tank/")
    >>> audience.hears("data-available"), audience.hears("new-dir")
    (True, False)
    >>> audience.add(b"")   # all of it
    >>> audience.hears("new-dir")
    True
    """

    def __init__(self) -> None:
        self._prefixes: set[bytes] = set()
        self._known: dict[str, bool] = {}

    def add(self, prefix: bytes) -> None:
        """Somebody subscribes."""
        if prefix not in self._prefixes:
            self._prefixes.add(prefix)
            self._known.clear()

    def add_for_good(self, prefix: bytes) -> None:
        """Somebody subscribes, and nobody will say when that is over: only the kind is noted."""
        kind = prefix.partition(b" ")[0].partition(b"/")[0].decode("ascii", "replace")
        self.add(kind.encode() if kind in PUBLISHED else b"")

    def discard(self, prefix: bytes) -> None:
        """Nobody does so any more."""
        if prefix in self._prefixes:
            self._prefixes.discard(prefix)
            self._known.clear()

    def hears(self, kind: str) -> bool:
        """Whether somebody subscribes to signals of this kind, at whatever path."""
        known = self._known.get(kind)
        if known is None:
            name = kind.encode()
            known = any(name.startswith(p) or p.startswith(name) for p in self._prefixes)
            self._known[kind] = known
        return known
