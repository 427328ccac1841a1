"""What hosts say of their clocks: whose word counts for which host, and when it is worth a row.

A host measures how far the writer's clock is from its own (`clock_offset`), and tells it with each
question that it asks anyway. Told is much, recorded little: a clock drifts slowly, so a row every
few seconds is enough, and one at once when a clock was set. One speaker per host is believed, until
it has been silent for a while; so a key for one host can't spoil what is known of another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from h5daq.errors import JobValueError
from h5daq.flow.schema import check_group

__all__ = ["CLOCKS_GROUP", "ROW_SECONDS", "HostClock", "HostClocks"]

CLOCKS_GROUP = "h5daq/clocks"
"""Where in a run's files the clocks of its hosts are."""

ROW_SECONDS = 10.0
"""A clock that goes on as it did gets a row so often."""

_SPEAKER_SECONDS = 60.0
"""A speaker that was silent for so long may be followed by another one."""

_MOST_HOSTS = 1000


class HostClock(NamedTuple):
    """The writer's clock minus a host's, by how much that may be wrong, and the round trip; s.

    Examples
    --------
    >>> HostClock.of({"offset": 0.2, "error": 0.001, "delay": 0.002})
    HostClock(offset=0.2, error=0.001, delay=0.002)
    """

    offset: float
    error: float
    delay: float

    @classmethod
    def of(cls, told: dict[str, Any]) -> HostClock:
        """As it stands in a message.

        Raises
        ------
        JobValueError
            If a number is missing, not finite, or below zero that can't be.
        """
        values = [told.get(name) for name in cls._fields]
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(values) or not all(abs(v) < math.inf for v in numbers):
            raise JobValueError("offset, error and delay must be numbers: seconds")
        found = cls(*map(float, numbers))
        if min(found.error, found.delay) < 0:
            raise JobValueError("error and delay can't be below 0")
        return found

    def contradicts(self, other: HostClock) -> bool:
        """Whether the two can't both be true of clocks that nobody has set."""
        return abs(self.offset - other.offset) > self.error + other.error


@dataclass(slots=True)
class _Host:
    speaker: str
    clock: HostClock
    heard: float
    recorded: HostClock | None = None
    recorded_at: float = -math.inf


class HostClocks:
    """The clocks of all hosts of a run (times in seconds, by a clock that nobody sets).

    Examples
    --------
    >>> clocks, clock = HostClocks(), HostClock(0.2, 0.001, 0.002)
    >>> clocks.take("pi1", "key", clock, now=0.0)
    True
    >>> clocks.recorded("pi1", now=0.0)
    >>> clocks.take("pi1", "key", clock, now=2.0)
    False
    >>> clocks.take("pi1", "key", clock._replace(offset=5.2), now=4.0)  # it was set
    True
    """

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    def take(self, name: object, speaker: str, clock: HostClock, now: float) -> bool:
        """Hear of a host's clock; whether that is worth a row.

        Parameters
        ----------
        name : object
            The host's; must be text that can be the name of a group.
        speaker : str
            Who says so, such as a public key.
        clock : HostClock
            What is said.
        now : float
            When.

        Raises
        ------
        JobValueError
            If the name can't be one, another speaks for that host, or there are too many hosts.
        """
        host = self._hosts.get(name) if isinstance(name, str) else None
        if host is None:
            host = self._hosts[_checked(name, self._hosts)] = _Host(speaker, clock, now)
        if host.speaker != speaker and now - host.heard < _SPEAKER_SECONDS:
            raise JobValueError(f"host {name!r}: its clock is told by another key already")
        host.speaker, host.clock, host.heard = speaker, clock, now
        last, since = host.recorded, now - host.recorded_at
        return last is None or since >= ROW_SECONDS or clock.contradicts(last)

    def recorded(self, name: str, now: float) -> None:
        """What was last heard of a host has got its row."""
        host = self._hosts[name]
        host.recorded, host.recorded_at = host.clock, now

    def status(self, now: float) -> dict[str, dict[str, float]]:
        """Per host: ``offset``, ``error``, ``delay``, and ``age``, since it was told; seconds."""
        return {
            name: {**host.clock._asdict(), "age": now - host.heard}
            for name, host in self._hosts.items()
        }


def _checked(name: object, known: dict[str, _Host]) -> str:
    if not isinstance(name, str) or not name or "/" in name:
        raise JobValueError(f"a host's name must be some text without '/', not {name!r:.100}")
    check_group(f"{CLOCKS_GROUP}/{name}")
    if len(known) >= _MOST_HOSTS:
        raise JobValueError(f"there are {_MOST_HOSTS} hosts already, and no clock of another")
    return name
