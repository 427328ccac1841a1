"""On which line of a TOML text does each key stand?

`tomllib` gives the values and forgets the lines. `key_lines` walks over a text that `tomllib` has
already accepted, so it need not judge anything: it only has to know where a key ends, where a
value ends, and which table a key belongs to.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter

from h5daq.config.mistakes import KeyPath

__all__ = ["key_lines"]

_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:[^"\\]|\\.)*"|' + r"'[^']*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}\n#]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of each key, each table and each entry of a list.

    Parameters
    ----------
    text : str
        TOML that `tomllib` reads.

    >>> key_lines("[run]\\nname = 'a'\\n[[jobs]]\\ncolumns = [\\n { label = 'T' } ]")[
    ...     ("jobs", 0, "columns", 0, "label")
    ... ]
    5
    """
    scan = _Scan(text)
    scan.document()
    return scan.lines


class _Scan:
    """One walk over a text; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._entries: Counter[KeyPath] = Counter()
        self._line = 1
        self._counted = 0

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_GAP)
        while self.at < len(self.text):
            if self._take("[["):
                table = self._header(entry=True)
            elif self._take("["):
                table = self._header(entry=False)
            else:
                self._pair(table)
            self._skip(_GAP)

    def _header(self, entry: bool) -> KeyPath:
        keys = self._keys()
        self._take("]]" if entry else "]")
        place = (*self._place(keys[:-1]), keys[-1])
        if entry:
            self._note(place)
            self._entries[place] += 1
        place = self._newest(place)
        self._note(place)
        return place

    def _place(self, keys: list[str]) -> KeyPath:
        # Below [[jobs]], [jobs.args] means the newest job.
        place: KeyPath = ()
        for key in keys:
            place = self._newest((*place, key))
        return place

    def _newest(self, place: KeyPath) -> KeyPath:
        return (*place, self._entries[place] - 1) if place in self._entries else place

    def _pair(self, table: KeyPath) -> None:
        place = table
        for key in self._keys():
            place = (*place, key)
            self._note(place)
        self._take("=")
        self._skip(_BLANK)
        self._value(place)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self._take("."):
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        self._skip(_BLANK)
        raw = self._match(_KEY)
        self._skip(_BLANK)
        return str(tomllib.loads(f"key = {raw}")["key"]) if raw[0] in "\"'" else raw

    def _value(self, place: KeyPath) -> None:
        if self._take("["):
            self._list(place)
        elif self._take("{"):
            self._inline_table(place)
        elif not self._match(_STRING):
            self._skip(_BARE)

    def _list(self, place: KeyPath) -> None:
        number = 0
        self._skip(_GAP)
        while not self._take("]"):
            self._note((*place, number))
            self._value((*place, number))
            number += 1
            self._next()

    def _inline_table(self, place: KeyPath) -> None:
        self._skip(_GAP)
        while not self._take("}"):
            self._pair(place)
            self._next()

    def _next(self) -> None:
        self._skip(_GAP)
        self._take(",")
        self._skip(_GAP)

    def _note(self, place: KeyPath) -> None:
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        self.lines.setdefault(place, self._line)

    def _take(self, sign: str) -> bool:
        found = self.text.startswith(sign, self.at)
        self.at += len(sign) * found
        return found

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._match(pattern)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found.group()
