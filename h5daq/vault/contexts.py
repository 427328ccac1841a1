"""The contexts of the vault's clients: where each stands, what it has open, and how long it lives.

A context is known by its client's session and a number, not by a socket, so that a client can come
back on another one. It lives while its client shows life: any request of a session renews the
leases of all its contexts. Nothing here is kept over a restart: who had a context before is told
that it is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h5daq.errors import RequestError
from h5daq.flow.ratelimit import MAX_CONTEXTS
from h5daq.flow.requests import ErrorCode
from h5daq.vault.described import Cursor
from h5daq.vault.names import VaultPath

if TYPE_CHECKING:
    from h5daq.vault.adding import AddPlan

__all__ = ["LEASE", "Context", "ContextKey", "Contexts", "DatasetKey", "check_room"]

LEASE = 60.0
"""Seconds for which a context outlives its client's last request."""

_LEASES = (1.0, 86400.0)
"""The shortest and the longest lease that is given, in seconds."""

_MOST_SESSIONS = 10_000

ContextKey = tuple[str, int]
"""Session and number of a context."""

DatasetKey = tuple[VaultPath, str]
"""Directory and full name of a dataset."""


@dataclass(slots=True)
class Context:
    """One context.

    Attributes
    ----------
    key : (session, number)
        Which.
    lease : float
        Seconds that it lives without a sign of its client.
    path : tuple of str
        The directory that it is in.
    dataset : (path, name), optional
        The dataset that it has open, and where it stands in that: `cursor`.
    listens : dict of str to int
        Signals of directories that it registered for, with the id that it gave.
    plan : AddPlan, optional
        What is known of the next add, if it is like the last.
    """

    key: ContextKey
    lease: float = LEASE
    path: VaultPath = ("",)
    dataset: DatasetKey | None = None
    cursor: Cursor = field(default_factory=Cursor)
    listens: dict[str, int] = field(default_factory=dict)
    plan: AddPlan | None = None


class Contexts:
    """All contexts. Times are monotonic seconds that the caller brings.

    Examples
    --------
    >>> contexts = Contexts()
    >>> anna = contexts.make(("anna", 1), now=0.0)
    >>> contexts.find(("anna", 1), now=50.0) is anna
    True
    >>> contexts.expired(now=100.0), [context.key for context in contexts.expired(now=111.0)]
    ([], [('anna', 1)])
    """

    def __init__(self) -> None:
        self._sessions: dict[str, dict[int, Context]] = {}
        self._heard: dict[str, float] = {}

    def find(self, key: ContextKey, now: float) -> Context | None:
        """The context, if there is one; a sign of life of its session."""
        if key[0] in self._sessions:
            self._heard[key[0]] = now
        return self._sessions.get(key[0], {}).get(key[1])

    def make(self, key: ContextKey, now: float, lease: float = LEASE) -> Context:
        """A new context, at the root, or the one that is there, with this lease.

        Raises
        ------
        RequestError
            If the session has too many of them.
        """
        known = self._sessions.get(key[0], {})
        if key[1] not in known:
            check_room(len(known) < MAX_CONTEXTS, f"{MAX_CONTEXTS} contexts of one session")
            many = f"{_MOST_SESSIONS} clients of the vault"
            check_room(bool(known) or len(self._sessions) < _MOST_SESSIONS, many)
        self._heard[key[0]] = now
        context = self._sessions.setdefault(key[0], {}).setdefault(key[1], Context(key))
        context.lease = min(max(lease, _LEASES[0]), _LEASES[1])
        return context

    def forget(self, key: ContextKey) -> None:
        """The context has ended."""
        known = self._sessions.get(key[0], {})
        known.pop(key[1], None)
        if not known:
            self._sessions.pop(key[0], None)
            self._heard.pop(key[0], None)

    def expired(self, now: float) -> list[Context]:
        """Contexts whose clients have shown no life for too long; they are to be forgotten."""
        return [one for one in self if now - self._heard[one.key[0]] > one.lease]

    def at(self, path: VaultPath) -> list[Context]:
        """The contexts that are in a directory."""
        return [context for context in self if context.path == path]

    def count(self, sessions: Iterable[str]) -> int:
        """How many contexts these sessions have."""
        return sum(len(self._sessions.get(session, ())) for session in sessions)

    def has(self, key: ContextKey) -> bool:
        """Whether there is this context; no sign of life."""
        return key[1] in self._sessions.get(key[0], ())

    def holds(self, session: str) -> bool:
        """Whether a session has any context."""
        return session in self._sessions

    def __iter__(self) -> Iterator[Context]:
        for known in self._sessions.values():
            yield from known.values()


def check_room(free: bool, what: str) -> None:
    """Refuse a context more where there are enough. Raises `RequestError`."""
    if not free:
        code = ErrorCode.TOO_MANY_REQUESTS
        raise RequestError(
            code, code.wire_name, f"{code.wire_name}: there are {what} already; end one of them"
        )
