"""The allow-list: the text of ``allowed.toml`` <-> the keys that a writer lets in.

One table per key, by name: its public key, its role, and for a worker the jobs. The file may be
edited by hand; so each mistake names the key and what would be right::

    [keys.pi1]
    public = "<40 characters>"
    role = "worker"
    jobs = ["tank/*"]
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from h5daq.errors import ConfigError
from h5daq.flow.roles import Key, Role

__all__ = ["WRITER", "check_key", "check_key_name", "check_public", "format_keys", "parse_keys"]

WRITER = "writer"
"""The name of the writer's own key; nobody else's."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")
_Z85 = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_FIELDS = {"public", "role", "jobs"}
_HEAD = """\
# The keys that the writer lets in, made by `h5daq keys`. It may be edited by hand: a running
# writer notices within a second. role: "worker" (sends rows of the jobs that match its patterns),
# "operator" (commands and changes), "monitor" (reads and listens).
"""


def parse_keys(text: str) -> dict[str, Key]:
    """The keys of an allow-list, by name.

    Raises
    ------
    ConfigError
        Naming the key, what was found and what would be right.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"no TOML: {error}") from error
    entries = tables.pop("keys", {})
    if tables or not isinstance(entries, dict):
        found = next(iter(tables), "keys")
        raise ConfigError(f"{found!r}: only tables such as [keys.pi1] may stand here")
    keys = {name: _entry(name, entry) for name, entry in entries.items()}
    _check_distinct(keys.values())
    return keys


def format_keys(keys: Iterable[Key]) -> str:
    """The text of an allow-list; `parse_keys` reads it."""
    return "\n".join([_HEAD, *(_table(key) for key in sorted(keys, key=lambda key: key.name))])


def check_key(key: Key) -> Key:
    """A key as it may stand in the list.

    Raises
    ------
    ConfigError
        Naming what is wrong with it.
    """
    check_key_name(key.name)
    check_public(key.name, key.public)
    if key.role is Role.WORKER and not key.jobs:
        raise ConfigError(f'key {key.name!r}: a worker needs jobs = ["tank/*"], or ["*"] for all')
    if key.role is not Role.WORKER and key.jobs:
        raise ConfigError(f"key {key.name!r}: jobs are for workers; leave them out")
    if any(not _is_pattern(pattern) for pattern in key.jobs):
        raise ConfigError(f"key {key.name!r}: a pattern of jobs is empty, has a NUL or no UTF-8")
    return key


def check_key_name(name: str) -> str:
    """A name as a key, and its file, may have it.

    Raises
    ------
    ConfigError
        If it may not.
    """
    if not _NAME.fullmatch(name) or name == WRITER:
        raise ConfigError(
            f"{name!r} can't be a key's name: up to 64 letters, digits, '.', '_' or '-', beginning "
            f"with none of '.' and '-', and not {WRITER!r}"
        )
    return name


def check_public(name: str, public: object) -> str:
    """A public key as text.

    Raises
    ------
    ConfigError
        If it is none. The text does not repeat it: it may be a private one by mistake.
    """
    if not isinstance(public, str) or not _Z85.fullmatch(public):
        raise ConfigError(f"key {name!r}: public must be the 40 characters of a public key (Z85)")
    return public


def _is_pattern(pattern: str) -> bool:
    surrogate = any("\ud800" <= character <= "\udfff" for character in pattern)
    return bool(pattern) and "\0" not in pattern and not surrogate


def _entry(name: str, entry: object) -> Key:
    if not isinstance(entry, dict):
        raise ConfigError(f"key {name!r}: write a table [keys.{name}]")
    unknown = sorted(entry.keys() - _FIELDS)
    if unknown:
        raise ConfigError(f"key {name!r}: unknown {unknown[0]!r}; there are public, role and jobs")
    role, jobs = _role(name, entry), entry.get("jobs", [])
    if not isinstance(jobs, list) or not all(isinstance(pattern, str) for pattern in jobs):
        raise ConfigError(f'key {name!r}: jobs must be a list of patterns such as ["tank/*"]')
    return check_key(Key(name, check_public(name, entry.get("public")), role, tuple(jobs)))


def _role(name: str, entry: Mapping[str, Any]) -> Role:
    try:
        return Role(entry.get("role", ""))
    except ValueError:
        roles = ", ".join(Role)
        found = entry.get("role")
        raise ConfigError(f"key {name!r}: role must be one of {roles}, not {found!r}") from None


def _check_distinct(keys: Iterable[Key]) -> None:
    seen: dict[str, str] = {}
    for key in keys:
        if key.public in seen:
            raise ConfigError(f"keys {seen[key.public]!r} and {key.name!r} are the same key")
        seen[key.public] = key.name


def _table(key: Key) -> str:
    # What JSON makes of a text is a text of TOML too, once DEL is written out.
    jobs = json.dumps(list(key.jobs), ensure_ascii=False).replace("\x7f", "\\u007f")
    lines = [f'[keys."{key.name}"]', f'public = "{key.public}"', f'role = "{key.role}"']
    return "\n".join([*lines, *([f"jobs = {jobs}"] if key.jobs else []), ""])
