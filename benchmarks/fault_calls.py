"""A change of a file, what may become of it, and the name of the point at which it happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["PASS", "Call", "Event", "Judge", "Verdict", "point_name"]

_CONTEXTS = {
    "vault recovery": {"replay.replay_vault"},
    "vault checkpoint": {"live.checkpoint"},
    "vault change": {"changing._perform"},
    "vault close": {"live._settle", "live.apply_pending"},
    "recovery": {
        "recovery.replay", "recovery.end_interrupted", "recover.recover_tree",
        "opening._open_journal",
    },
    "seal": {"checkpoint._finish", "checkpoint._end"},
    "rollover": {"checkpoint._create"},
    "checkpoint": {"checkpoint.checkpoint"},
    "stream": {"checkpoint.advance"},
    "apply": {"checkpoint.apply_pending"},
    "journal sync": {"journal.sync"},
    "journal append": {"journal.append"},
    "close": {"journal.close", "checkpoint.close"},
    "start": {"opening.__init__"},
}  # fmt: skip
"""What a writer is about, by the functions that are under way; the first that fits counts."""

_DISK_MODULES = ("disk.py", "segment_disk.py")


@dataclass(frozen=True, slots=True)
class Call:
    """One change of a file.

    Attributes
    ----------
    number : int
        Counted from 1.
    op : str
        ``write``, ``sync``, ``cut``, ``reserve``, ``make``, ``rename``, ``link``, ``unlink``,
        ``mkdir`` or ``sync-names``.
    path : Path
        The file; for a rename its old name.
    """

    number: int
    op: str
    path: Path

    @property
    def kind(self) -> str:
        """What sort of file it is."""
        name = self.path.name
        if "journal" in self.path.parts:
            return "journal"
        if "session.ini" in name:
            return "session file"
        for suffix, kind in ((".redo", "redo log"), (".part", "new file"), (".hdf5", "run file")):
            if name.endswith(suffix):
                return kind
        return "other"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a call.

    Attributes
    ----------
    kill : str
        ``before``, ``middle`` (of a write) or ``after``; empty to live on.
    error : int
        The errno with which it fails; 0 to let it pass.
    """

    kill: str = ""
    error: int = 0


PASS = Verdict()
Judge: TypeAlias = Callable[[Call], Verdict]
Event: TypeAlias = tuple[Any, ...]
"""What happened, for a diary: op, then what it needs to be done again."""


def point_name(call: Call) -> str:
    """The crash point of a call: what the writer is about, the operation, and where in the code."""
    frame, where, under_way = sys._getframe(1), "", set()
    while frame is not None:
        code = frame.f_code
        if f"{os.sep}h5daq{os.sep}" in code.co_filename:
            name = f"{os.path.basename(code.co_filename)[:-3]}.{code.co_name}"
            under_way.add(name)
            if not where and not code.co_filename.endswith(_DISK_MODULES):
                where = name
        frame = frame.f_back  # type: ignore[assignment]
    context = next(
        (name for name, functions in _CONTEXTS.items() if functions & under_way), "other"
    )
    return f"{context}: {call.op} of {call.kind} in {where}"
