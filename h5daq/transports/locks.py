"""The two sides of a lock: what a writer checks, and what who comes to it shows.

Keys are texts of 40 characters (Z85), as CURVE's tools write them. A secret is never part of a
`repr`, so that none gets into a log with the object that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["ClientKeys", "Locks"]


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What a worker, client or subscriber shows, and whom it trusts.

    Parameters
    ----------
    name : str
        The key's name on the writer's list.
    public, secret : str
        Its own pair.
    writer : str
        The writer's public key: nobody else can take its place.
    """

    name: str
    public: str = field(repr=False)
    secret: str = field(repr=False)
    writer: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Locks:
    """What the writer's end asks before it lets anybody in. Both are called from any thread.

    Parameters
    ----------
    secret : str
        The writer's own secret key.
    admits : callable
        Whether a public key, which came from an address, may connect.
    may_hear : callable
        Whether a public key may subscribe to a prefix.
    """

    secret: str = field(repr=False)
    admits: Callable[[str, str], bool]
    may_hear: Callable[[str, bytes], bool]
