"""What `verify` found, in words: findings, one report per file, and all of them together.

A finding says what is wrong, where, and what to do about it. An *error* is damage: bytes, rows or
names are not what was written. A *warning* may have an innocent reason that the file can't tell
(a clock that was set back, an older file that was moved away). A *note* tells what the run itself
recorded, say losses or restarts.

All of it turns into plain values and back, since it comes from another process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ERROR", "NOTE", "WARNING", "FileReport", "Finding", "Report"]

ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Parameters
    ----------
    severity : {"error", "warning", "note"}
        How bad it is.
    kind : str
        A word for programs, e.g. ``"checksum"``.
    text : str
        What is wrong.
    where : str
        Path of the object in the file; empty for the file as a whole.
    mend : str
        What to do about it; empty where there is nothing to do.
    """

    severity: str
    kind: str
    text: str
    where: str = ""
    mend: str = ""


@dataclass(slots=True)
class FileReport:
    """One file.

    Attributes
    ----------
    path : str
        Its name.
    what : {"run file", "foreign", "unreadable", "session"}
        Whose it is. ``"foreign"`` is HDF5, but not made by h5daq; ``"session"`` is what a
        directory of the vault remembers.
    state : str
        ``"sealed"``, ``"recording"`` or ``"unsealed"``; empty unless it is a run file.
    size : int
        Bytes of the file.
    chunks, checked_bytes : int
        Chunks and contiguous stretches whose stored bytes were checked, and these bytes.
    rows : dict of str to int
        Rows by job.
    head : dict
        Its place in the chain of files: ids, run, times in UTC seconds.
    findings : list of Finding
        In the order in which they were found.
    """

    path: str
    what: str = "unreadable"
    state: str = ""
    size: int = 0
    chunks: int = 0
    checked_bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    head: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: str, kind: str, text: str, where: str = "", mend: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(severity, kind, text, where, mend))

    def count(self, severity: str) -> int:
        """How many findings are of that severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def ok(self) -> bool:
        """Whether no damage was found."""
        return not self.count(ERROR)

    def take(self, facts: Mapping[str, Any]) -> None:
        """Take over facts by the names of attributes."""
        for name, value in facts.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values."""
        return {**asdict(self), "ok": self.ok}


@dataclass(slots=True)
class Report:
    """All files that were verified.

    Attributes
    ----------
    files : list of FileReport
        In the order in which they were asked for; those of a directory by name.
    quick : bool
        Whether stored bytes were left unchecked.
    """

    files: list[FileReport] = field(default_factory=list)
    quick: bool = False

    @property
    def ok(self) -> bool:
        """Whether no damage was found in any file."""
        return all(file.ok for file in self.files)

    @property
    def clean(self) -> bool:
        """Whether there is neither damage nor a warning."""
        return not any(finding.severity != NOTE for _, finding in self.findings())

    def findings(self) -> Iterator[tuple[FileReport, Finding]]:
        """All findings, each with its file."""
        for file in self.files:
            for finding in file.findings:
                yield file, finding

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        files = [file.as_dict() for file in self.files]
        return {"ok": self.ok, "quick": self.quick, "files": files}
