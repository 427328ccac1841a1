"""A job whose rows are lines that a command prints: `DAQJobExtern`.

In ``"schedule"`` and ``"trigger"`` mode the command is started for each reading and its lines are
rows at the time of the start. In ``"constant"`` mode it runs on and a line is a row at the time
when it came; with ``extend_mode`` whatever lines have come are taken at once, each with its own
time in front.

A line that starts with the comment sign is logged, and so is standard error. A line that does not
parse is an error of its own; the others are kept.
"""

from __future__ import annotations

import logging
import math
import shlex
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from h5daq.errors import JobTypeError, JobValueError, ReadingError
from h5daq.flow.schema import Column
from h5daq.jobs.collector import Collector
from h5daq.jobs.command import Command
from h5daq.jobs.job import DAQJob
from h5daq.jobs.reading import clock_of

__all__ = ["DAQJobExtern", "LineParser"]

log = logging.getLogger("h5daq.jobs")


class DAQJobExtern(DAQJob):
    """A job that reads the output of a command.

    Parameters
    ----------
    group, label
        As in `DAQJob`.
    getter : str or sequence of str
        The command: split as a shell splits words, found on PATH; no shell runs it.
    delimiter : str
        What stands between two values of a line; a space means any white space.
    comment : str
        Lines that start with it are logged.
    **job
        The other arguments of `DAQJob`.

    Raises
    ------
    JobValueError, JobTypeError
        If an argument is wrong.

    Examples
    --------
    >>> job = DAQJobExtern("host/load", ["now", "5min"], "echo 0.1 0.2")
    >>> [job.read()[label] for label in job.labels]
    [0.1, 0.2]
    """

    def __init__(
        self,
        group: str,
        label: str | Sequence[str],
        getter: str | Sequence[str],
        delimiter: str = " ",
        comment: str = "#",
        **job: Any,
    ) -> None:
        super().__init__(group, label, _not_called, **job)
        self.command = _words(self.group, getter)
        self.delimiter = _sign(self.group, "delimiter", delimiter)
        self.comment = _sign(self.group, "comment", comment)

    def make_reading(self, *, once: bool = False) -> ExternReading:  # noqa: ARG002 - a line is one row
        """What a worker does again and again: read the command's lines."""
        return ExternReading(self)


class LineParser:
    """Makes entries out of a line.

    Parameters
    ----------
    columns : sequence of Column
        In the order in which their values stand in the line, arrays flattened in C order.
    delimiter : str
        Between two values.

    Examples
    --------
    >>> parse = LineParser([Column("a", "i4"), Column("b", "f8", (2,))], ",")
    >>> parse("1, 2.5, 3")
    [1, array([2.5, 3. ])]
    """

    def __init__(self, columns: Sequence[Column], delimiter: str) -> None:
        self._columns = columns
        self._delimiter = delimiter.strip() or None
        self._wanted = sum(math.prod(column.shape) for column in columns)

    def __call__(self, line: str) -> list[Any]:
        """The entries.

        Raises
        ------
        ReadingError
            If the line does not parse; quotes it.
        """
        fields = [field.strip() for field in line.split(self._delimiter)]
        if len(fields) != self._wanted:
            raise ReadingError(
                f"{len(fields)} values instead of {self._wanted} in the line {line[:200]!r}",
                "count",
            )
        try:
            return list(self._entries(iter(fields)))
        except ValueError as error:
            raise ReadingError(f"{error} in the line {line[:200]!r}", "value") from error

    def _entries(self, fields: Iterator[str]) -> Iterator[Any]:
        for column in self._columns:
            values = [_value(column, next(fields)) for _ in range(math.prod(column.shape))]
            yield np.array(values).reshape(column.shape) if column.shape else values[0]


class ExternReading:
    """Takes the lines of a job's command into a `Collector`."""

    def __init__(self, job: DAQJobExtern) -> None:
        self._job = job
        self._constant = job.read_mode == "constant"
        columns = job.schema.columns[0 if job.provide_time else 1 :]
        self._parse = LineParser(columns, job.delimiter)
        self._clock = clock_of(job.schema)
        self._command = Command(job.group, find_command(job.group, job.command))

    def __call__(self, collector: Collector) -> bool:
        """One reading; False if the command had nothing to say.

        Raises
        ------
        ReadingError
            If the command can't be started or failed.
        """
        return self._next(collector) if self._constant else self._whole(collector)

    def pause(self) -> None:
        """Nothing runs while a job is paused: what it printed meanwhile would be late."""
        self._command.close()

    def interrupt(self) -> None:
        """End the wait for a line, from any thread."""
        self._command.interrupt()

    def close(self) -> None:
        """Stop the command."""
        self._command.close()

    def _whole(self, collector: Collector) -> bool:
        start, taken = self._clock(), collector.taken
        self._command.start()
        for line in self._command.all_lines():
            self._take(line, start, collector)
        self._command.end()
        return collector.taken > taken

    def _next(self, collector: Collector) -> bool:
        if self._command.interrupted or not self._command.running:
            self._command.close()
            self._command.start()
        while self._command.waiting:
            self._command.hear(collector.patience(time.monotonic()))
            collector.expire(time.monotonic())
        for line in self._command.take(at_most=None if self._job.extend_mode else 1):
            self._take(line, self._clock(), collector)
        if self._command.exhausted:
            self._command.end()
            raise ReadingError(f"{self._command.name} ended, though nobody asked it to", "command")
        return True

    def _take(self, line: str, now: float, collector: Collector) -> None:
        if line.startswith(self._job.comment):
            log.info("job %s: %s", self._job.group, line)
        elif line.strip():
            try:
                collector.row(None if self._job.provide_time else now, self._parse(line))
            except ReadingError as error:
                collector.failed(error)


def find_command(group: str, words: Sequence[str]) -> list[str]:
    """The command with the full path of its program.

    Raises
    ------
    JobValueError
        If there is no such program.
    """
    program = shutil.which(words[0])
    if program is None:
        raise JobValueError(
            f"job {group}: no program {words[0]!r}: it is not on PATH, or not executable (chmod +x)"
        )
    return [program, *words[1:]]


def _not_called() -> None:
    """Stands for the getter of a job that has a command instead."""


def _words(group: str, command: Any) -> list[str]:
    if isinstance(command, str):
        try:
            command = shlex.split(command)
        except ValueError as error:
            raise JobValueError(f"job {group}: the command {command!r}: {error}") from error
    if not isinstance(command, list | tuple) or not all(isinstance(w, str) for w in command):
        raise JobTypeError(f"job {group}: getter must be a command, not {command!r}")
    if not command or not command[0]:
        raise JobValueError(f"job {group}: the command is empty")
    return list(command)


def _sign(group: str, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise JobTypeError(f"job {group}: {name} must be a text, not {value!r}")
    if not value:
        raise JobValueError(f"job {group}: {name} is empty")
    return value


def _value(column: Column, text: str) -> Any:
    if column.is_text:
        return text
    if column.dtype.kind == "S":
        return text.encode()
    if column.dtype.kind == "b":
        return _bool(text)
    return _number(text)


def _bool(text: str) -> bool:
    known = {"0": False, "false": False, "1": True, "true": True}
    if text.lower() not in known:
        raise ValueError(f"{text!r} is neither true nor false")
    return known[text.lower()]


def _number(text: str) -> int | float | complex:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return complex(text)
