"""What a directory remembers, in its ``session.ini``: the next number, dates, tags.

The file is the LabRAD project's: that server can read what is written here, and its files can be
read here, also those of its Python 2 days and those that it can't read itself any more. Nothing in
it is evaluated. Characters that one of its versions stumbles over (``%``, ``;``, anything not in
ASCII) are written as escapes in Python's quotes.
"""

from __future__ import annotations

import configparser
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any

from h5daq.errors import LabradError
from h5daq.vault.literal import parse_literal

__all__ = ["Session", "read_session", "write_session"]

TIME_FORMAT = "%Y-%m-%d, %H:%M:%S"
"""Local time."""

_OBJECT = re.compile(r"<[^<>]* object at 0x[0-9a-fA-F]+>")
_OLD_SET = re.compile(r"\bset\(\[['\"]")
_RISKY = re.compile(r"[%;#]")


@dataclass(frozen=True, slots=True)
class Session:
    """A directory's memory.

    Attributes
    ----------
    counter : int
        Number of the next dataset.
    created, accessed, modified : float
        Seconds since 1970-01-01 UTC; the file has whole ones.
    directories, datasets : dict of str to frozenset of str
        Tags.
    damaged : bool
        Whether the file could not be read in full.
    """

    counter: int = 1
    created: float = 0.0
    accessed: float = 0.0
    modified: float = 0.0
    directories: dict[str, frozenset[str]] = field(default_factory=dict)
    datasets: dict[str, frozenset[str]] = field(default_factory=dict)
    damaged: bool = False

    @classmethod
    def begun(cls, now: float) -> Session:
        """Of a new directory."""
        return cls(created=now, accessed=now, modified=now)

    def used(self, now: float) -> Session:
        """After something in it was opened or tagged."""
        return replace(self, accessed=now)

    def grown(self, number: int, now: float) -> Session:
        """After dataset `number` was made in it."""
        return replace(self, counter=number + 1, accessed=now, modified=now)


def read_session(data: bytes) -> Session:
    """The memory in a file; what can't be read is as in a new directory."""
    parser = configparser.RawConfigParser(strict=False, empty_lines_in_values=False)
    try:
        parser.read_string(_text(data))
    except configparser.Error:
        return Session(damaged=True)
    session = Session(
        max(1, _counter(parser)),
        created=_seconds(parser, "created"),
        accessed=_seconds(parser, "accessed"),
        modified=_seconds(parser, "modified"),
    )
    try:
        return replace(
            session,
            directories=_tags(_get(parser, "Tags", "sessions", "{}")),
            datasets=_tags(_get(parser, "Tags", "datasets", "{}")),
        )
    except LabradError:
        return replace(session, damaged=True)


def write_session(session: Session) -> bytes:
    """The memory as a file."""
    sections = {
        "File System": {"counter": str(session.counter)},
        "Information": {
            "created": _date(session.created),
            "accessed": _date(session.accessed),
            "modified": _date(session.modified),
        },
        "Tags": {"sessions": _quoted(session.directories), "datasets": _quoted(session.datasets)},
    }
    lines = []
    for title, options in sections.items():
        lines += [f"[{title}]", *(f"{name} = {value}" for name, value in options.items()), ""]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Written under Windows, in the code page of most of Europe; no byte is an error then.
        return data.decode("cp1252", "replace")


def _get(parser: configparser.RawConfigParser, section: str, name: str, default: str = "") -> str:
    return parser.get(section, name, fallback=default) or default


def _counter(parser: configparser.RawConfigParser) -> int:
    text = _get(parser, "File System", "counter", "1").rstrip("L")
    return int(text) if text.isascii() and text.isdigit() else 1


def _seconds(parser: configparser.RawConfigParser, name: str) -> float:
    try:
        return time.mktime(time.strptime(_get(parser, "Information", name), TIME_FORMAT))
    except (ValueError, OverflowError):
        return 0.0


def _date(seconds: float) -> str:
    return time.strftime(TIME_FORMAT, time.localtime(seconds))


# -- tags ---------------------------------------------------------------------------------------


def _tags(text: str) -> dict[str, frozenset[str]]:
    """Tags from the original's text; an object that it wrote in place of a name is left out."""
    found = parse_literal(_OBJECT.sub("None", text), {"set": set, "frozenset": frozenset})
    if not isinstance(found, dict):
        raise LabradError(f"tags are a dict, not {text[:60]!r}")
    old = _OLD_SET.search(text) is not None
    tags: dict[str, frozenset[str]] = {}
    for name, values in found.items():
        if isinstance(name, str) and isinstance(values, set | frozenset | list | tuple):
            tags[_name(name, old)] = frozenset(_name(tag, old) for tag in values if tag)
    return tags


def _name(value: Any, old: bool) -> str:
    """Python 2 wrote the bytes of UTF-8 where Python 3 writes the characters."""
    text: str = str(value)
    if not old:
        return text
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _quoted(tags: dict[str, frozenset[str]]) -> str:
    pairs = (f"{_quote(name)}: {_quoted_set(values)}" for name, values in sorted(tags.items()))
    return f"{{{', '.join(pairs)}}}"


def _quoted_set(values: frozenset[str]) -> str:
    return f"{{{', '.join(map(_quote, sorted(values)))}}}" if values else "set()"


def _quote(text: str) -> str:
    return _RISKY.sub(lambda found: f"\\x{ord(found.group()):02x}", ascii(text))
