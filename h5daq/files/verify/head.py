"""Findings about a file's head: what the bytes and the redo log beside it say, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from h5daq.files.verify.report import ERROR, NOTE, WARNING
from h5daq.files.verify.surroundings import Redo, has_writer, look_at_head, look_at_redo
from h5daq.files.verify.telling import Limited
from h5daq.storage.redo import redo_path

__all__ = ["Outside", "check_head"]


@dataclass(frozen=True, slots=True)
class Outside:
    """What is known of a file that may be opened.

    Attributes
    ----------
    end : int
        Bytes that count.
    has_log : bool
        Whether a redo log lies beside it: it was not closed.
    writer : str
        Who writes into its directory; empty if nobody does.
    """

    end: int
    has_log: bool
    writer: str


def check_head(path: Path, fd: int, limited: Limited, patience: float) -> Outside | None:
    """Look at the head of a file; None if HDF5 need not be asked.

    Raises
    ------
    OSError
        If it can't be read.
    """
    head, redo = look_at_head(fd, patience), look_at_redo(path, fd)
    writer = has_writer(path.parent)
    limited.told.facts({"size": head.size})
    _tell_redo(path, redo, writer, limited)
    if head.state == "whole":
        _tell_rest(path, head.size - head.end, redo, writer, limited)
        return Outside(head.end, redo.state != "none", writer)
    text, mend = _words(path, head.state, head.size, head.end, redo)
    limited.add(ERROR, head.state, text, "", mend)
    return None


def _words(path: Path, state: str, size: int, end: int, redo: Redo) -> tuple[str, str]:
    recover = f"h5daq recover {path.parent}"
    if state == "empty":
        return "the file is empty", "restore it from a copy"
    if state == "cut":
        text = f"its end is missing: it has {size:,} of {end:,} bytes ({end - size:,} too few)"
        return text, "copy it again from where it came from"
    if state == "marked" and redo.state == "pending":
        return "its last checkpoint is applied by half, and no program opens it so", recover
    if state == "marked":
        text = "its last checkpoint is applied by half, and the redo log that would finish it is"
        missing = "not beside it" if redo.state == "none" else "damaged"
        return f"{text} {missing}", f"bring {redo_path(path).name} back beside it, then {recover}"
    if state == "damaged":
        return "its first bytes (HDF5's superblock) are damaged", "restore it from a copy"
    return "it is no HDF5 file", ""


def _tell_redo(path: Path, redo: Redo, writer: str, limited: Limited) -> None:
    name, recover = redo_path(path).name, f"h5daq recover {path.parent}"
    if redo.state == "pending" and writer:
        text = f"a finished checkpoint ({redo.pages} pages) waits until nobody reads the file"
        limited.add(NOTE, "pending", text)
    elif redo.state == "pending":
        text = f"a finished checkpoint ({redo.pages} pages) waits in {name}"
        limited.add(
            WARNING, "pending", f"{text}: rows are missing until it is applied", "", recover
        )
    elif redo.state == "foreign" and not writer:
        text = f"{name} holds a checkpoint of another state: some program changed the file since"
        limited.add(
            ERROR, "redo", text, "", "restore the file from a copy; keep the log until then"
        )
    elif redo.state == "damaged" and not writer:
        text = f"{name} is damaged: the last checkpoint in it is lost"
        limited.add(ERROR, "redo", text, "", recover)


def _tell_rest(path: Path, rest: int, redo: Redo, writer: str, limited: Limited) -> None:
    if rest <= 0 or writer:
        return
    if redo.state == "none":
        text = f"{rest:,} bytes were appended to it by another program; HDF5 passes over them"
        limited.add(NOTE, "rest", text)
    else:
        text = f"{rest:,} bytes behind its end are of a checkpoint that was not finished"
        limited.add(NOTE, "rest", text, "", f"h5daq recover {path.parent}")
