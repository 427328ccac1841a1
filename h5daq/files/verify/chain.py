"""The files of a run, as links of a chain: each names the one before it and the one after it.

Only files that were given are looked at, so what is not among them may just lie elsewhere. A file
that is missing between two others is damage; one that is missing at an end of the chain may have
been archived, and is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h5daq.files.times import iso
from h5daq.files.verify.report import ERROR, WARNING, FileReport

__all__ = ["check_chain"]

_ELSEWHERE = "bring it back, or verify it together with these, if it lies elsewhere"


@dataclass(frozen=True, slots=True)
class _Link:
    """A file and its ids; 0 where it names none."""

    report: FileReport
    id: int
    previous: int
    following: int

    @property
    def name(self) -> str:
        return Path(self.report.path).name

    @property
    def head(self) -> dict[str, Any]:
        return self.report.head

    @property
    def run(self) -> tuple[Any, Any]:
        return self.head.get("run_id"), self.head.get("run_start")


def check_chain(reports: Iterable[FileReport]) -> None:
    """Compare the run files among the reports with each other; findings go into them."""
    links = [link for link in map(_link, reports) if link is not None]
    by_id = _without_copies(links)
    for link in by_id.values():
        _check_following(link, by_id)
        _check_previous(link, by_id)
    _check_forks(by_id)
    _check_loops(by_id)


def _link(report: FileReport) -> _Link | None:
    if report.what != "run file" or not report.head.get("file_id"):
        return None
    head = report.head
    previous, following = head.get("previous_file_id") or 0, head.get("following_file_id") or 0
    return _Link(report, int(head["file_id"]), int(previous), int(following))


def _without_copies(links: list[_Link]) -> dict[int, _Link]:
    by_id: dict[int, _Link] = {}
    for link in links:
        first = by_id.setdefault(link.id, link)
        if first is not link:
            text = f"it is a copy of {first.name}: both have the file_id {link.id}"
            mend = "move one of them out of this directory"
            link.report.add(WARNING, "copy", text, "", mend)
    return by_id


def _check_following(link: _Link, by_id: dict[int, _Link]) -> None:
    following = by_id.get(link.following)
    if following is not None:
        _check_pair(link, following)
        return
    if not link.following or link.report.state == "recording":
        return
    if _later(link, by_id):
        text = f"the file after it (file_id {link.following}) is missing, and later ones are here"
        link.report.add(ERROR, "missing-file", text, "", _ELSEWHERE)
    elif link.report.state == "sealed":
        text = f"the file after it (file_id {link.following}) is not here"
        mend = f"{_ELSEWHERE}; if it never was, h5daq recover {Path(link.report.path).parent}"
        link.report.add(WARNING, "missing-file", text, "", mend)


def _check_pair(link: _Link, following: _Link) -> None:
    if following.previous != link.id:
        text = f"{following.name} follows it, but says that another one (file_id "
        text += f"{following.previous}) comes before it"
        link.report.add(ERROR, "chain", text, "", "restore the files from a copy")
    if following.run != link.run:
        text = f"{following.name} follows it, but belongs to another run"
        link.report.add(ERROR, "chain", text, "", "restore the files from a copy")
    end, start = link.head.get("file_end"), following.head.get("file_start")
    begun = link.head.get("file_start")
    if start is not None and begun is not None and start < begun:
        text = f"{following.name} follows it, but begins before it ({iso(start)})"
        link.report.add(ERROR, "chain-order", text, "", "restore the files from a copy")
    elif end is not None and start is not None and start < end and link.report.state == "sealed":
        text = f"{following.name} follows it, but begins ({iso(start)}) before its end ({iso(end)})"
        link.report.add(WARNING, "chain-order", text)


def _check_previous(link: _Link, by_id: dict[int, _Link]) -> None:
    previous = by_id.get(link.previous)
    if not link.previous or (previous is not None and previous.following == link.id):
        return
    if previous is not None:
        text = f"it says that {previous.name} comes before it, but that one names another successor"
        link.report.add(ERROR, "chain", text, "", "restore the files from a copy")
    elif _earlier(link, by_id):
        text = f"the file before it (file_id {link.previous}) is missing, and earlier ones are here"
        link.report.add(ERROR, "missing-file", text, "", _ELSEWHERE)
    else:
        text = f"the file before it (file_id {link.previous}) is not here"
        link.report.add(WARNING, "missing-file", text, "", _ELSEWHERE)


def _later(link: _Link, by_id: dict[int, _Link]) -> bool:
    start = link.head.get("file_start") or 0.0
    return any(_is_run(o, link) and (o.head.get("file_start") or 0.0) > start
               for o in by_id.values())  # fmt: skip


def _earlier(link: _Link, by_id: dict[int, _Link]) -> bool:
    start = link.head.get("file_start") or 0.0
    return any(_is_run(o, link) and (o.head.get("file_start") or 0.0) < start
               for o in by_id.values())  # fmt: skip


def _is_run(other: _Link, link: _Link) -> bool:
    return other is not link and other.run == link.run


def _check_forks(by_id: dict[int, _Link]) -> None:
    after: dict[int, _Link] = {}
    for link in by_id.values():
        first = after.setdefault(link.previous, link) if link.previous else link
        if first is not link:
            text = f"it and {first.name} both say that they follow file_id {link.previous}"
            link.report.add(ERROR, "fork", text, "", "one of them is from elsewhere: move it away")


def _check_loops(by_id: dict[int, _Link]) -> None:
    told: set[int] = set()
    for link in by_id.values():
        ring = _ring(link, by_id)
        if ring and not told.intersection(ring):
            told.update(ring)
            names = " → ".join(by_id[file_id].name for file_id in ring)
            text = f"the files go round in a circle: {names} → {link.name}"
            link.report.add(ERROR, "loop", text, "", "restore the files from a copy")


def _ring(link: _Link, by_id: dict[int, _Link]) -> list[int]:
    """The ids on the way from a file back to itself; empty if there is none."""
    way = [link.id]
    while (following := by_id.get(by_id[way[-1]].following)) is not None:
        if following.id == link.id:
            return way
        if following.id in way:
            return []
        way.append(following.id)
    return []
