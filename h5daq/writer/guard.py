"""The guard: what each key may do here, for each message, from a list that may change meanwhile.

A key is looked up each time that it is used, since taking it off the list touches no connection
that is there already. What is permitted often (a worker's rows) costs one look into a set. A
refusal is logged with the key's name; the key itself is in no log.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from h5daq.errors import ConfigError, NotAllowed, StorageError
from h5daq.flow.requests import ErrorCode
from h5daq.flow.roles import Key, Role, may_ask, may_hear, may_send, refusal
from h5daq.keys import KeyDirectory
from h5daq.transports.locks import Locks

__all__ = ["Guard"]

log = logging.getLogger("h5daq.writer")

_MOST_KEPT = 10_000
"""Of what others choose (names of jobs, keys that were refused) so much is remembered."""


class Guard:
    """Decides by the allow-list. `locks` is for any thread, all else for one.

    Parameters
    ----------
    directory : str
        Of the keys.
    trusted : iterable of mapping
        Keys beside those on the list.

    Attributes
    ----------
    cut : bool
        Whether subscribers are still to be cut off.

    Raises
    ------
    ConfigError
        If there are no keys, or others can read or change them.
    """

    def __init__(self, directory: str, trusted: Iterable[Mapping[str, Any]] = ()) -> None:
        self._directory = KeyDirectory(directory)
        given = [Key(k["name"], k["public"], Role(k["role"]), tuple(k["jobs"])) for k in trusted]
        self._trusted = {key.public: key for key in given}
        listed = self._directory.load().values()
        # It is replaced as a whole, never changed: the door's thread reads it.
        self._keys = {key.public: key for key in listed} | self._trusted
        self.locks = Locks(self._directory.secret, self._admits, self._may_hear)
        self.cut = False
        self._trouble = ""
        self._former: dict[str, str] = {}
        self._permitted: set[tuple[str, str]] = set()
        self._turned_away: dict[tuple[str, str], str] = {}
        self._refusals: Counter[tuple[str, str]] = Counter()

    # -- rows --------------------------------------------------------------------------------

    def may_send(self, user: str, job: str) -> bool:
        """Whether a public key may send a job's messages."""
        return (user, job) in self._permitted or self._may_send(user, job)

    def _may_send(self, user: str, job: str) -> bool:
        key = self._keys.get(user)
        if key is None or not may_send(key, job):
            return False
        if len(self._permitted) >= _MOST_KEPT:
            self._permitted.clear()
        self._permitted.add((user, job))
        return True

    def turn_away(self, user: str, job: str) -> str:
        """Why a job's message is not taken; noted for `turned_away`."""
        key = self._keys.get(user)
        if key is None:
            why = self._gone(user)
            self._count(self._name(user), "rows", why)
            return why
        why = refusal(key, f"send rows of job {job!r}")
        if len(self._turned_away) < _MOST_KEPT:
            self._turned_away[job, key.name] = why
        self._count(key.name, job, why)
        return why

    def turned_away(self) -> list[tuple[str, str, str]]:
        """Job, name of the key and reason of what was turned away since this was last asked."""
        found = [(job, name, why) for (job, name), why in self._turned_away.items()]
        self._turned_away.clear()
        return found

    # -- requests ----------------------------------------------------------------------------

    def knows(self, user: str) -> bool:
        """Whether a public key is on the list."""
        return user in self._keys

    def check_verb(self, user: str, verb: str) -> None:
        """Let a request pass.

        Raises
        ------
        NotAllowed
            If the key may not ask for that.
        """
        key = self._keys.get(user)
        if key is not None and may_ask(key, verb):
            return
        why = self._gone(user) if key is None else refusal(key, f"ask for {verb!r}")
        self._count(self._name(user), verb, why)
        raise NotAllowed(ErrorCode.NOT_ALLOWED, ErrorCode.NOT_ALLOWED.wire_name, why)

    def check_speaker(self, user: str, job: str) -> None:
        """Let a word on the clock of a job's host, or on its dead worker, pass.

        Raises
        ------
        NotAllowed
            If the key may neither send what is that job's nor command it.
        """
        key = self._keys.get(user)
        if self.may_send(user, job) or (key is not None and key.role is Role.OPERATOR):
            return
        why = self._gone(user) if key is None else refusal(key, f"speak for job {job[:200]!r}")
        self._count(self._name(user), "speak", why)
        raise NotAllowed(ErrorCode.NOT_ALLOWED, ErrorCode.NOT_ALLOWED.wire_name, why)

    # -- the door, from its own thread ---------------------------------------------------------

    def _admits(self, user: str, address: str) -> bool:
        if user in self._keys:
            return True
        name = self._former.get(user, "")
        said = f"key {name!r}, which was revoked" if name else "a key that is not on the list"
        self._count(name or address, "connect", f"a connection from {address} by {said}")
        return False

    def _may_hear(self, user: str, prefix: bytes) -> bool:
        key = self._keys.get(user)
        if key is None:
            return False
        if not may_hear(key, prefix):
            self._count(
                key.name, "signals", refusal(key, f"hear {prefix.decode(errors='replace')!r}")
            )
            return False
        return True

    # -- the list ------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Read the list again if it has changed; whether subscribers are to be cut off.

        They are when a key may do less than before, or other things; a new key touches nobody.
        """
        try:
            listed = self._directory.changed()
        except (ConfigError, StorageError) as error:
            # Better the last good list than nobody's rows.
            if str(error) != self._trouble:
                log.error("%s. The keys stay as they were.", error)
            self._trouble = str(error)
            return self.cut
        if listed is not None:
            self._trouble = ""
            self._replace({key.public: key for key in listed.values()} | self._trusted)
        return self.cut

    def _replace(self, keys: dict[str, Key]) -> None:
        before, self._keys = self._keys, keys
        self._permitted.clear()
        self._refusals.clear()
        for user, key in before.items():
            if user not in keys:
                self._former[user] = key.name
                log.warning("key %r was revoked: it gets nothing any more", key.name)
            elif keys[user] != key:
                log.warning("key %r is now: %s", keys[user].name, _said(keys[user]))
        for user in keys.keys() - before.keys():
            self._former.pop(user, None)
            log.info("key %r was added: %s", keys[user].name, _said(keys[user]))
        self.cut = self.cut or any(keys.get(user) != key for user, key in before.items())

    # -- what is said ----------------------------------------------------------------------------

    def _name(self, user: str) -> str:
        key = self._keys.get(user)
        return key.name if key is not None else self._former.get(user, "unknown")

    def _gone(self, user: str) -> str:
        return f"key {self._name(user)!r} is not on the writer's list any more: it was revoked"

    def _count(self, name: str, what: str, why: str) -> None:
        """Log the first refusal of a kind, and then ever fewer."""
        if len(self._refusals) >= _MOST_KEPT:
            self._refusals.clear()
        self._refusals[name, what] += 1
        count = self._refusals[name, what]
        if count in (1, 10, 100) or count % 1000 == 0:
            log.warning("refused (%d so far): %s", count, why)


def _said(key: Key) -> str:
    return key.role.value + (f" for {', '.join(key.jobs)}" if key.jobs else "")
