"""The parent's side: keeps a child at work until all files are checked, whatever becomes of it.

A child that is killed by a signal, or says nothing for too long, has met an object that HDF5 can't
cope with. That is a finding like any other; a new child begins with the same file and leaves that
object out. After some of these the file is given up and the next one comes.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from h5daq.files.verify.report import ERROR, FileReport, Finding
from h5daq.files.verify.telling import Collected

__all__ = ["SILENCE", "check_in_child"]

SILENCE = 60.0
"""Seconds without a word after which HDF5 is taken to go round in circles."""

MOST_CRASHES = 20
"""Objects of one file that a child may die of."""

Progress = Callable[[str, int], object]
"""Called with a file's name and the bytes of it that were just checked."""

_RESTORE = "restore the file from a copy; what else it holds was checked all the same"


@dataclass(slots=True)
class _Job:
    """What is left to do."""

    paths: list[str]
    quick: bool
    patience: float
    silence: float
    command: Sequence[str]
    progress: Progress | None
    skip: dict[str, list[str]] = field(default_factory=dict)
    crashes: dict[str, list[Finding]] = field(default_factory=dict)
    reports: dict[str, FileReport] = field(default_factory=dict)


def check_in_child(
    paths: Sequence[Path],
    *,
    quick: bool,
    patience: float,
    progress: Progress | None = None,
    silence: float = SILENCE,
    command: Sequence[str] = (),
) -> list[FileReport]:
    """Check files in a process of its own.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    quick : bool
        Leave the values alone.
    patience : float
        Seconds to wait for a file that is busy.
    progress : callable, optional
        Called with the name of a file and the bytes that were just checked.
    silence : float
        Seconds without a word after which a child is given up.
    command : sequence of str
        Another child, for tests.

    Returns
    -------
    list of FileReport
        One per file, in the same order.
    """
    own = (sys.executable, "-m", "h5daq.files.verify.child")
    names = [str(path) for path in paths]
    job = _Job(list(names), quick, patience, silence, tuple(command) or own, progress)
    while job.paths:
        _run_child(job)
    return [job.reports[name] for name in names]


def _run_child(job: _Job) -> None:
    with tempfile.TemporaryFile() as errors, _started(job, errors) as process:
        try:
            current = _listen(process, job)
            process.wait()
        finally:
            process.kill()
        if current is None and job.paths:
            # It never got to a file: the first one must not be tried for ever.
            current = Collected(FileReport(job.paths[0]))
        if current is not None:
            _note_death(job, current, process.returncode, _last_line(errors))


def _started(job: _Job, errors: IO[bytes]) -> subprocess.Popen[str]:
    # The same tree as this process has, also where it is not installed.
    places = os.pathsep.join(path or os.getcwd() for path in sys.path)
    process = subprocess.Popen(
        job.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        encoding="utf-8", env={**os.environ, "PYTHONPATH": places, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    asked = {"paths": job.paths, "quick": job.quick, "patience": job.patience, "skip": job.skip}
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            json.dump(asked, pipe)
    except BrokenPipeError:
        # It died at once; its end says why.
        return process
    return process


def _listen(process: subprocess.Popen[str], job: _Job) -> Collected | None:
    """Take in what the child says; gives the file that it died at, if it did."""
    lines: queue.Queue[str | None] = queue.Queue(1000)
    threading.Thread(target=_read_lines, args=(process, lines), daemon=True).start()
    current: Collected | None = None
    patience = max(SILENCE, job.silence)
    while True:
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            process.kill()
            _drain(lines)
            return current
        if line is None:
            return current
        current = _take(json.loads(line), current, job)
        # Only the imports before its first word may take longer, on a busy machine.
        patience = job.silence


def _read_lines(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        # The last line of one that was killed may be torn.
        if line.endswith("\n"):
            lines.put(line)
    lines.put(None)


def _drain(lines: queue.Queue[str | None]) -> None:
    while lines.get() is not None:
        pass


def _take(word: dict[str, Any], current: Collected | None, job: _Job) -> Collected | None:
    if "file" in word:
        return Collected(FileReport(word["file"]))
    if current is None:
        return None
    if "at" in word:
        current.at(word["at"])
    elif "bytes" in word:
        if job.progress is not None:
            job.progress(current.report.path, word["bytes"])
    elif "finding" in word:
        current.finding(Finding(**word["finding"]))
    elif "facts" in word:
        current.facts(word["facts"])
    elif "done" in word:
        _finish(job, current.report)
        return None
    return current


def _finish(job: _Job, report: FileReport) -> None:
    report.findings += job.crashes.pop(report.path, [])
    job.reports[report.path] = report
    job.paths.remove(report.path)


def _note_death(job: _Job, current: Collected, code: int, said: str) -> None:
    path, where = current.report.path, current.where
    crashes = job.crashes.setdefault(path, [])
    text = f"HDF5 itself {_how(code, said)} while reading {where or 'its head'}"
    crashes.append(Finding(ERROR, "crash", text, where, _RESTORE))
    skipped = job.skip.setdefault(path, [])
    if not where or where == "/" or where in skipped or len(crashes) >= MOST_CRASHES:
        _finish(job, current.report)
    else:
        skipped.append(where)


def _how(code: int, said: str) -> str:
    if code == -signal.SIGKILL:
        return "came to no end (or took all memory) and was stopped"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        return f"crashed ({name})"
    return f"gave up ({said or f'exit code {code}'})"


def _last_line(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:200] if lines else ""
