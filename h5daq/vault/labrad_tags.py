"""LabRAD's type tags: the short texts that say what flattened data are, as types and back.

A tag is one letter (``i`` int32, ``w`` uint32, ``b`` bool, ``s`` text, ``y`` bytes, ``t`` time,
``v`` float64, ``c`` complex128, ``_`` nothing, ``?`` anything), with a unit for numbers
(``v[mV]``), a list (``*2v``: two-dimensional), a cluster (``(is)``) or an error (``E``).

Spaces and commas don't count, nor does what stands in braces or after a colon: that is comment.
The grammar is that of pylabrad 0.98, the LabRAD project's own Python library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from h5daq.errors import LabradError

__all__ = ["Cluster", "Fault", "LabradType", "List", "Scalar", "parse_tag"]

MOST_NESTED = 64
"""How deep a type may be nested: clusters in lists in clusters."""

MOST_DIMENSIONS = 32
"""Dimensions of a list; numpy has no more."""

_COMMENT = re.compile(r"\{[^{}]*\}")
_BLANK = " ,\t\r\n"
_LETTERS = "_?bwisytvc"


@dataclass(frozen=True, slots=True)
class Scalar:
    """One letter; `unit` is None where the tag has no brackets."""

    kind: str
    unit: str | None = None

    def __str__(self) -> str:
        return self.kind if self.unit is None else f"{self.kind}[{self.unit}]"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Values of different types, as a tuple."""

    items: tuple[LabradType, ...]

    def __str__(self) -> str:
        return f"({''.join(map(_closed, self.items[:-1]))}{''.join(map(str, self.items[-1:]))})"


@dataclass(frozen=True, slots=True)
class List:
    """Values of one type, in `depth` dimensions."""

    element: LabradType
    depth: int = 1

    def __str__(self) -> str:
        return f"*{self.depth if self.depth > 1 else ''}{self.element}"


@dataclass(frozen=True, slots=True)
class Fault:
    """An error: code, text and a payload."""

    payload: LabradType = Scalar("_")

    def __str__(self) -> str:
        return "E" if self.payload == Scalar("_") else f"E{self.payload}"


LabradType = Scalar | Cluster | List | Fault


def _closed(kind: LabradType) -> str:
    """A tag that what follows can't become a part of: an ``E`` would take it as its payload."""
    tag = str(kind)
    return f"{tag}_" if tag.endswith("E") else tag


def parse_tag(tag: str) -> LabradType:
    """The type that a tag names. Several types in a row are a cluster, none is ``_``.

    Raises
    ------
    LabradError
        If it is no tag.

    Examples
    --------
    >>> parse_tag("*2v[mV]")
    List(element=Scalar(kind='v', unit='mV'), depth=2)
    >>> str(parse_tag(" ( i , s ){one row} : of which there are many"))
    '(is)'
    """
    text = _COMMENT.sub("", tag).partition(":")[0].strip(_BLANK)
    found = _Reader(text, tag).all("")
    if not found:
        return Scalar("_")
    return found[0] if len(found) == 1 else Cluster(tuple(found))


class _Reader:
    """Reads one type after the other from a text without comments."""

    def __init__(self, text: str, tag: str) -> None:
        self._text, self._tag = text, tag
        self._at, self._nested = 0, 0

    def all(self, end: str) -> list[LabradType]:
        """Types up to `end`, which is taken too; the empty text is the end of the tag."""
        found: list[LabradType] = []
        while self._peek() != end:
            found.append(self._one())
        self._at += len(end)
        return found

    def _one(self) -> LabradType:
        self._nested += 1
        if self._nested > MOST_NESTED:
            raise self._wrong(f"nested more than {MOST_NESTED} deep")
        try:
            return self._read(self._take())
        finally:
            self._nested -= 1

    def _read(self, letter: str) -> LabradType:
        if letter == "(":
            return Cluster(tuple(self.all(")")))
        if letter == "*":
            return self._list()
        if letter == "E":
            # Without a payload nothing follows, or what belongs to the types around it.
            return Fault() if self._peek() in ("", ")") else Fault(self._one())
        if letter == "" or letter not in _LETTERS:
            raise self._wrong(f"{letter!r} is no type" if letter else "it ends too soon")
        return Scalar(letter, self._unit() if letter in "vc" else None)

    def _list(self) -> List:
        digits = ""
        while "0" <= self._peek() <= "9":
            digits += self._take()
        depth = int(digits[:4]) if digits else 1
        if not 1 <= depth <= MOST_DIMENSIONS:
            raise self._wrong(f"a list has 1 to {MOST_DIMENSIONS} dimensions, not {depth}")
        return List(self._one(), depth)

    def _unit(self) -> str | None:
        if self._peek() != "[":
            return None
        end = self._text.find("]", self._at)
        if end < 0:
            raise self._wrong("a unit without its ]")
        unit, self._at = self._text[self._at + 1 : end], end + 1
        return unit

    def _peek(self) -> str:
        while self._text[self._at : self._at + 1] in tuple(_BLANK):
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        letter = self._peek()
        self._at += len(letter)
        return letter

    def _wrong(self, what: str) -> LabradError:
        return LabradError(f"{self._tag[:80]!r} is no LabRAD type tag: {what}")
