"""Signals <-> PUB topics: what a subscriber asks for, as bytes that the socket compares.

A topic is ``<kind> <path>/``, and ``<kind>/`` where there is no path. The closing slash is always
there: a subscription is a prefix, and ``tank/`` must not mean ``tank2/`` as well, while it does
mean all that lies below ``tank``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from h5daq.errors import WireError

__all__ = ["parse", "prefixes", "topic"]

_TOPIC = re.compile(rb"([a-z][a-z-]*)(?: ((?s:.+)))?/")


def topic(kind: str, path: str = "") -> bytes:
    """The topic of a signal.

    Examples
    --------
    >>> topic("data-available", "tank/temperature")
    b'data-available tank/temperature/'
    >>> topic("heartbeat")
    b'heartbeat/'
    """
    path = path.strip("/")
    return f"{kind} {path}/".encode() if path else f"{kind}/".encode()


def parse(topic: bytes) -> tuple[str, str]:
    """Kind and path of a topic.

    Raises
    ------
    WireError
        If it is none.

    Examples
    --------
    >>> parse(b"position tank/")
    ('position', 'tank')
    """
    match = _TOPIC.fullmatch(topic)
    try:
        kind, path = (part.decode() for part in (match or _refuse(topic)).groups(b""))
    except UnicodeDecodeError:
        _refuse(topic)
    return kind, path


def prefixes(kinds: Iterable[str], path: str = "") -> list[bytes]:
    """What to subscribe to for signals of `kinds` at `path` and below it; "" is everything.

    Examples
    --------
    >>> prefixes(["new-dir"], "tank")
    [b'new-dir tank/']
    >>> prefixes(["alarm"])
    [b'alarm/', b'alarm ']
    """
    if path.strip("/"):
        return [topic(kind, path) for kind in kinds]
    return [kind.encode() + end for kind in kinds for end in (b"/", b" ")]


def _refuse(topic: bytes) -> re.Match[bytes]:
    raise WireError(f"not a topic: {topic!r:.80}", cause="topic")
