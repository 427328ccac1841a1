"""Who may do what: the roles of keys, as tables and three questions.

A *worker* may send rows of the jobs that it is named for and hear what concerns them; a *monitor*
may read and listen; an *operator* may also command and change. Nobody may do what stands in no
table, but for operators: a verb that is new here is theirs alone until somebody decides.

A job is named by a pattern in which ``*`` stands for any characters, slashes included, ``?`` for
one and ``[abc]`` for one of these: ``tank/*`` means all jobs below ``tank``, and not ``tank``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from h5daq.errors import WireError
from h5daq.flow.topics import parse

__all__ = ["VERBS", "Key", "Role", "exactly", "may_ask", "may_hear", "may_send", "refusal"]


class Role(StrEnum):
    """What a key is for."""

    WORKER = "worker"
    OPERATOR = "operator"
    MONITOR = "monitor"


_ALL = frozenset(Role)
_READ = frozenset({Role.OPERATOR, Role.MONITOR})
_COMMAND = frozenset({Role.OPERATOR})

VERBS: dict[str, frozenset[Role]] = {
    "ping": _ALL,
    "status": _READ,
    "peek": _READ,
    "flush": _COMMAND,
    "trigger": _COMMAND,
    "pause": _COMMAND,
    "resume": _COMMAND,
    "set_write_period": _COMMAND,
    "stop": _COMMAND,
}
"""Who may ask for each verb. One that is not here is an operator's."""

_HEARD_BY_ALL_WORKERS = ("heartbeat", "refused")
_HEARD_FOR_OWN_JOBS = ("position", "command")


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of the allow-list.

    Parameters
    ----------
    name : str
        What people and logs call it.
    public : str
        The public key, 40 characters of Z85.
    role : Role
        What it is for.
    jobs : tuple of str
        Of a worker: patterns of the groups whose rows it may send.
    """

    name: str
    public: str
    role: Role
    jobs: tuple[str, ...] = ()


def may_send(key: Key, job: str) -> bool:
    """Whether a key may send rows of a job, and all else that a worker sends.

    Examples
    --------
    >>> pi = Key("pi1", "", Role.WORKER, ("tank/*",))
    >>> may_send(pi, "tank/temperature"), may_send(pi, "tank"), may_send(pi, "tank2/x")
    (True, False, False)
    """
    return key.role is Role.WORKER and any(fnmatchcase(job, pattern) for pattern in key.jobs)


def may_ask(key: Key, verb: str) -> bool:
    """Whether a key may ask for a verb."""
    return key.role in VERBS.get(verb, _COMMAND)


def may_hear(key: Key, prefix: bytes) -> bool:
    """Whether a key may subscribe to the topics that begin with `prefix`.

    Operators and monitors hear all. A worker hears heartbeats, refusals, and the positions and
    commands of its own jobs; it has to name them whole, since a shorter prefix means others too.
    """
    if key.role is not Role.WORKER:
        return True
    try:
        kind, path = parse(prefix)
    except WireError:
        return False
    return kind in _HEARD_BY_ALL_WORKERS or (kind in _HEARD_FOR_OWN_JOBS and may_send(key, path))


def refusal(key: Key, wish: str) -> str:
    """What to say to a key that may not do what it wants, with the mend.

    Examples
    --------
    >>> refusal(Key("screen", "", Role.MONITOR), "ask for 'stop'")
    "key 'screen' (monitor) may not ask for 'stop'; take another key, or have its role changed \
in the writer's allowed.toml"
    """
    what = key.role.value
    if key.role is Role.WORKER:
        what += f" for {', '.join(key.jobs)}"
    return (
        f"key {key.name!r} ({what}) may not {wish}; take another key, or have its role changed "
        "in the writer's allowed.toml"
    )


def exactly(jobs: Iterable[str]) -> tuple[str, ...]:
    """Patterns that mean these jobs and no others, whatever characters are in their names.

    Examples
    --------
    >>> exactly(["tank", "a[1]*"])
    ('tank', 'a[[]1][*]')
    """
    return tuple(re.sub(r"([*?[])", r"[\1]", job) for job in jobs)
