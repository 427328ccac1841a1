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
from h5daq.flow.requests import Request
from h5daq.flow.topics import parse

__all__ = [
    "VERBS",
    "Key",
    "Role",
    "exactly",
    "may_ask",
    "may_hear",
    "may_send",
    "permission",
    "refusal",
]


class Role(StrEnum):
    """What a key is for."""

    WORKER = "worker"
    OPERATOR = "operator"
    MONITOR = "monitor"


_ALL = frozenset(Role)
_READ = frozenset({Role.OPERATOR, Role.MONITOR})
_COMMAND = frozenset({Role.OPERATOR})

VAULT_READING = (
    "context", "forget", "cd", "dir", "open", "get", "get_ex", "get_ex_t", "variables",
    "variables_ex", "row_type", "transpose_type", "get_version", "get_name", "parameters",
    "get_parameter", "get_parameters", "get_comments", "get_tags", "dump_existing_sessions",
    "signal",
)  # fmt: skip
"""Verbs of the Data Vault that change nothing in it."""

VAULT_CHANGING = (
    "mkdir", "new", "new_ex", "add", "add_ex", "add_ex_t", "add_parameter", "add_parameters",
    "add_comment", "update_tags",
)  # fmt: skip

VERBS: dict[str, frozenset[Role]] = {
    "ping": _ALL,
    "clock": frozenset({Role.WORKER}),
    "death": frozenset({Role.WORKER, Role.OPERATOR}),
    "status": _READ,
    "peek": _READ,
    "glimpse": _READ,
    "flush": _COMMAND,
    "trigger": _COMMAND,
    "pause": _COMMAND,
    "resume": _COMMAND,
    "set_write_period": _COMMAND,
    "stop": _COMMAND,
    **dict.fromkeys(VAULT_READING, _READ),
    **dict.fromkeys(VAULT_CHANGING, _COMMAND),
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


def permission(request: Request) -> str:
    """The verb whose permission a request needs: some verbs do more with one argument.

    Examples
    --------
    >>> permission(Request(1, "cd", {"path": "a", "create": True}))
    'mkdir'
    >>> permission(Request(1, "resume", ctx=1)), permission(Request(1, "resume"))
    ('context', 'resume')
    """
    if request.verb == "cd" and request.args.get("create"):
        return "mkdir"
    if request.verb == "open" and request.args.get("append"):
        return "add"
    return "context" if request.verb == "resume" and request.ctx else request.verb


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
