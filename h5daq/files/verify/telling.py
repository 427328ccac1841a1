"""How a check tells what it finds, while it is at it.

`Told` is what the checks know: where they are, how far they are, what they found. `Collected` keeps
it in a report; the child process sends it to its parent instead. `Limited` stands before either,
so that a disk that lost a gigabyte gives some findings and a count, not a million lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from h5daq.files.verify.report import ERROR, FileReport, Finding

__all__ = ["HDF5_ERRORS", "MOST_ALIKE", "Collected", "Limited", "Told", "brief"]

HDF5_ERRORS = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)
"""What h5py raises on damaged files: whatever the place that stumbled over them makes of it."""

MOST_ALIKE = 8
"""Findings of one kind about one object that are told one by one."""

_MOST_TEXT = 300


class Told(Protocol):
    """Who is told."""

    def at(self, where: str) -> None:
        """HDF5 is about to be asked for this object."""
        ...

    def progress(self, nbytes: int) -> None:
        """So many more bytes are checked."""
        ...

    def finding(self, finding: Finding) -> None:
        """Something was found."""
        ...

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Values of the file's report, by the names of its attributes."""
        ...


class Collected:
    """Keeps what is told in a report.

    Parameters
    ----------
    report : FileReport
        Of the file that is checked.
    progress : callable, optional
        Told the bytes of each step.
    """

    def __init__(self, report: FileReport, progress: Callable[[int], object] | None = None) -> None:
        self.report, self.where = report, ""
        self._progress = progress

    def at(self, where: str) -> None:
        """Remember the object."""
        self.where = where

    def progress(self, nbytes: int) -> None:
        """Pass it on."""
        if self._progress is not None:
            self._progress(nbytes)

    def finding(self, finding: Finding) -> None:
        """Keep it."""
        self.report.findings.append(finding)

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Keep them."""
        self.report.take(facts)


class Limited:
    """Tells findings in words, and only so many of a kind about one object."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self._alike: Counter[tuple[str, str, str]] = Counter()

    def add(self, severity: str, kind: str, text: str, where: str = "", mend: str = "") -> None:
        """Tell a finding, or count it where there were many like it."""
        key = (severity, kind, where)
        self._alike[key] += 1
        if self._alike[key] <= MOST_ALIKE:
            self.told.finding(Finding(severity, kind, text, where, mend))

    def broken(self, where: str, doing: str, error: BaseException) -> None:
        """Tell that HDF5 could not do something."""
        text = f"{doing}: {brief(error)}"
        self.add(ERROR, "hdf5", text, where, "restore this file from a copy; the rest is readable")

    def told_of(self, where: str) -> bool:
        """Whether anything was found about this object."""
        return any(place == where for _, _, place in self._alike)

    def finish(self) -> None:
        """Tell how many were left out."""
        for (severity, kind, where), count in self._alike.items():
            if count > MOST_ALIKE:
                text = f"and {count - MOST_ALIKE:,} more of this kind"
                self.told.finding(Finding(severity, kind, text, where))


def brief(error: BaseException) -> str:
    """The error in one line; HDF5's texts go on for several."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "…"
