"""A mistake in a configuration: where it is, what was found and what would be right.

Whoever finds a mistake tells it as a `Mistake`, with the path of its key; `render` writes all of
them as the one text that a person reads, each with the line of the file where the key stands.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["KeyPath", "Mistake", "key_text", "nearest", "render", "shown"]

KeyPath = tuple[str | int, ...]
"""Keys from the top of the file; an entry of a list by its number, counted from 0."""

_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong.

    Parameters
    ----------
    key : KeyPath
        Where; ``()`` for the file as a whole.
    problem : str
        What is wrong, in a few words.
    found : str
        What stands there; empty where nothing does.
    right : str
        What would be right.
    line : int
        Line of the file, from 1; 0 where there is none.
    job : str
        Group of the job in which it is, if it is in one.
    """

    key: KeyPath
    problem: str
    found: str = ""
    right: str = ""
    line: int = 0
    job: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The mistake as plain values, for JSON."""
        return {
            "line": self.line or None,
            "key": key_text(self.key),
            "job": self.job or None,
            "problem": self.problem,
            "found": self.found,
            "right": self.right,
        }

    def __str__(self) -> str:
        where = [f"line {self.line}"] * bool(self.line) + [key_text(self.key)] * bool(self.key)
        head = ", ".join(where) + f" (job {self.job})" * bool(self.job)
        rows = [f"{head}: {self.problem}" if head else self.problem]
        for name, text in (("found", self.found), ("right", self.right)):
            rows += [f"    {name}: " + text.replace("\n", "\n           ")] * bool(text)
        return "\n".join(rows)


def render(name: str, mistakes: Sequence[Mistake]) -> str:
    """All mistakes of the file `name` as one text, in the order of its lines."""
    count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
    ordered = sorted(mistakes, key=lambda mistake: mistake.line)
    return "\n".join([f"{name}: {count}", *map(str, ordered)])


def key_text(key: Iterable[str | int]) -> str:
    """The path of a key as it is written, e.g. ``jobs[0].columns[1].dtype``.

    >>> key_text(("jobs", 0, "columns", 1, "dtype"))
    'jobs[0].columns[1].dtype'
    """
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a person most likely meant, if any comes near.

    >>> nearest("read_perid", ["read_mode", "read_period"])
    'read_period'
    """
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def shown(value: object) -> str:
    """A value of the file as TOML would have it, cut where it is long.

    >>> shown({"days": 1, "on": True})
    '{ days = 1, on = true }'
    """
    text = _toml(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value)
