"""The files of a run, one behind the other.

Each file names the one before it and the one after it, and that is the order: clocks may be set
back, names may be changed. Files without such ids (or whose neighbours are not at hand) begin a
chain of their own, and chains follow each other by the start of their first file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from h5daq.storage.runs.contents import FileHead

__all__ = ["Run", "in_order", "runs_of"]


@dataclass(frozen=True, slots=True)
class Run:
    """The files of one run that are at hand, in order."""

    id: str
    name: str
    start: float | None
    files: tuple[FileHead, ...]


def in_order(heads: Iterable[FileHead]) -> list[FileHead]:
    """Files in the order in which they were begun; of two with one id only the first."""
    by_id = {head.key: head for head in reversed(list(heads))}
    following = {h.previous_id: h for h in by_id.values() if h.previous_id is not None}
    firsts = [head for head in by_id.values() if head.previous_id not in by_id]
    ordered: dict[object, FileHead] = {}
    # What is left over when the ids go round in a circle still comes, each file once.
    for first in [*sorted(firsts, key=_by_start), *sorted(by_id.values(), key=_by_start)]:
        _follow(first, following, ordered)
    return list(ordered.values())


def _follow(
    head: FileHead | None, following: dict[int, FileHead], ordered: dict[object, FileHead]
) -> None:
    while head is not None and head.key not in ordered:
        ordered[head.key] = head
        head = following.get(head.file_id) if head.file_id is not None else None


def _by_start(head: FileHead) -> tuple[float, float, str]:
    start = head.file_start if head.file_start is not None else float("inf")
    return (head.run_start if head.run_start is not None else start, start, str(head.path))


def runs_of(heads: Iterable[FileHead]) -> list[Run]:
    """The runs that the files belong to, oldest first."""
    together: dict[str, list[FileHead]] = {}
    for head in in_order(heads):
        together.setdefault(_run_key(head), []).append(head)
    return [Run(key, files[0].name, files[0].run_start, tuple(files))
            for key, files in together.items()]  # fmt: skip


def _run_key(head: FileHead) -> str:
    if head.run_id:
        return head.run_id
    # Files of the lineage have no run id, but all of one run have the same start.
    return str(head.path) if head.run_start is None else f"{head.name}@{head.run_start!r}"
