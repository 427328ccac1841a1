"""Where Python code is: the call that a getter hangs in, or in which it died, in one line.

A stack comes from a frame, or from the text that `faulthandler` writes without Python's help, when
a call holds the interpreter's lock or a signal kills the process. What belongs to the reading loop
is left out: the words name the innermost call and, if that is another one, the getter's own line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

from h5daq.flow.store import ROW_STORE

__all__ = ["Place", "call_of", "in_words", "of_dump", "of_frame"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LOOP = tuple(os.path.join(_PACKAGE, part) + os.sep for part in ("flow", "jobs", "worker"))
"""Where the code lies that calls a getter."""

_CALLERS = tuple(os.path.join(_PACKAGE, *names) for names in
                 (("jobs", "readers.py"), ("worker", "life.py")))  # fmt: skip

_THREAD = re.compile(r"^(Current thread|Thread) 0x([0-9a-f]+)[^\n]*:$", re.MULTILINE)
_LINE = re.compile(r'^  File "(.*)", line (\d+) in (.+)\n', re.MULTILINE)
_FATAL = "Fatal Python error"
_DEEPEST = 200


@dataclass(frozen=True, slots=True)
class Place:
    """One call of a stack."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.function} ({self.file}:{self.line})"


def of_frame(frame: FrameType | None) -> list[Place]:
    """The calls of a stack, innermost first."""
    places: list[Place] = []
    while frame is not None and len(places) < _DEEPEST:
        code = frame.f_code
        places.append(Place(code.co_filename, frame.f_lineno or 0, code.co_name))
        frame = frame.f_back
    return places


def of_dump(text: str, thread: int = 0) -> list[Place]:
    """The calls of one thread in what `faulthandler` wrote last, innermost first.

    Parameters
    ----------
    text : str
        One or more dumps.
    thread : int
        Which thread, by its ident; but where a signal has killed the process, the one it met, if
        that ran Python code.

    Examples
    --------
    >>> dump = 'Thread 0x2a (most recent call first):\\n  File "lab.py", line 7 in read\\n'
    >>> [str(place) for place in of_dump(dump, 42)]
    ['read (lab.py:7)']
    """
    end = text.rfind(_FATAL)
    asked, met = dict[int, list[Place]](), list[Place]()
    for kind, ident, body in _threads(text[max(0, end) :]):
        # The last dump may just be written: what is not there yet is as the one before has it.
        asked[int(ident, 16)] = body or asked.get(int(ident, 16), [])
        if kind.startswith("Current") and end >= 0:
            met = body
    return met or asked.get(thread, [])


def _threads(text: str) -> Iterator[tuple[str, str, list[Place]]]:
    heads = list(_THREAD.finditer(text))
    ends = [head.start() for head in heads[1:]]
    for head, end in zip(heads, [*ends, len(text)], strict=False):
        lines = _LINE.findall(text[head.end() : end])
        yield head[1], head[2], [Place(file, int(line), name) for file, line, name in lines]


def in_words(places: Sequence[Place]) -> str:
    """The innermost call, and the getter's own line if that is another; empty without any.

    Examples
    --------
    >>> in_words([Place("serial.py", 565, "read"), Place("lab.py", 7, "temperature")])
    'in read (serial.py:565), called by temperature (lab.py:7)'
    """
    inside = list(_inside(places)) or list(places[:1])
    if not inside:
        return ""
    inner, getter = inside[0], next((p for p in reversed(inside) if not _in_loop(p.file)), None)
    return f"in {inner}" + (f", called by {getter}" if getter not in (None, inner) else "")


def _inside(places: Sequence[Place]) -> Iterator[Place]:
    """What the reading loop has called, or the worker where it builds and closes the getter."""
    for place in places:
        if place.file.endswith(_CALLERS):
            return
        yield place


def call_of(frame: FrameType | None) -> FrameType | None:
    """The getter's own frame, of which `frame` is a call; None if the loop itself made the call."""
    own = None
    while frame is not None and not _in_loop(frame.f_code.co_filename):
        own, frame = frame, frame.f_back
    return own


def _in_loop(file: str) -> bool:
    return file.startswith(_LOOP) or file == ROW_STORE
