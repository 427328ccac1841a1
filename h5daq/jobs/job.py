"""A `DAQJob`: which getter is read how often, and what its rows look like.

A job is a description. It holds no buffer, thread or process: a worker reads it, and under a
running `DAQDaemon` the verbs `start`, `stop`, `trigger_read` and `peek` are passed on to that
worker. Alone, at a prompt, `read` runs the getter once and shows the checked row.

All arguments are checked here, so that a wrong one is an error where the job is written, never
one in a process that nobody watches.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from h5daq.errors import JobError, JobTypeError, JobValueError
from h5daq.flow.limits import Limits, check_limits
from h5daq.flow.names import check_job_group
from h5daq.flow.schema import Schema
from h5daq.jobs.columns import check_attrs, labels_of, schema_of
from h5daq.jobs.readers import read_once
from h5daq.jobs.reading import Reading, reading_of
from h5daq.jobs.schedule import check_overrun, collecting

__all__ = ["OVERFLOW_POLICIES", "READ_MODES", "SPOOL_POLICIES", "DAQJob", "JobHost"]

READ_MODES = ("schedule", "constant", "trigger")
OVERFLOW_POLICIES = ("spool", "drop-oldest", "drop-newest", "block")
SPOOL_POLICIES = ("overflow", "always", "never")


class JobHost(Protocol):
    """What a job asks of the daemon that runs it."""

    def job_command(self, group: str, verb: str) -> None:
        """Pass on ``"resume"``, ``"pause"`` or ``"trigger"``."""
        ...

    def job_peek(self, group: str) -> dict[str, Any] | None:
        """The newest row."""
        ...

    def job_is_active(self, group: str) -> bool:
        """Whether the job is being read."""
        ...


class DAQJob:
    """One group of columns and the function that reads a row of them.

    Parameters
    ----------
    group : str
        HDF5 group of the job; ``/`` nests.
    label : str or sequence of str
        Names of the datasets. ``"time"`` is reserved and is added in front.
    getter : callable
        Returns one entry per label (the bare entry where there is one label), or None or an
        empty list to skip this reading. A class or a factory with `getter_args` is built in the
        worker, called for each row, and its ``close()``, if it has one, is called at the end.
    read_period : float
        Seconds between readings in ``"schedule"`` mode.
    thread_id : str or int, optional
        Jobs of one host with the same id never read at the same time.
    shape : tuple or list of tuple
        ``(0, ...)``: the axis along which rows are appended, then the shape of one row. One for
        all labels or one per label.
    dtype : dtype-like or list of dtype-like
        What numpy reads as bool, number or ``S<n>``; ``str`` for text. One for all or one per
        label.
    chunk_length : int, optional
        Rows per HDF5 chunk; by default it follows the rows expected.
    read_mode : {"schedule", "constant", "trigger"}
        Every `read_period`; as fast as the getter returns; or on each `trigger_read`.
    constant_read_error_delay : float
        Seconds to wait in ``"constant"`` mode after a failed or skipped reading.
    error_count_limit : int
        From this many failures in a row on, each failure calls `handle_error_function`.
    handle_error_function : callable, optional
        Called without arguments, in the daemon's process.
    compress : bool
        Fold rows that equal the one before in everything but time: the first and the last of
        a stretch are kept.
    initial_buffer_length : int, optional
        Rows of the buffer in which a batch is collected; by default chosen from the row's size.
    provide_time : bool
        The getter returns the time first (seconds since 1970-01-01 UTC; nanoseconds with
        ``time_dtype="int64"``). Otherwise it is taken just before the getter is called.
    extend_mode : bool
        The getter returns many rows at once: arrays with a common first length, time first.
        Sets `compress` False and `provide_time` True.
    attrs : dict, optional
        Attributes of the job's group.
    units, descriptions : str or list of str, optional
        HDF5 attributes ``units`` and ``long_name`` of the datasets.
    align : bool
        Read on whole multiples of `read_period` of the wall clock.
    time_dtype : {"float64", "int64"}
        Time in seconds or in nanoseconds.
    overrun : {"skip", "catch-up", "shift"}
        What becomes of deadlines missed while a reading took too long.
    lock_timeout : float, optional
        Seconds to wait for `thread_id`; then the reading fails with cause ``"lock"``. By default
        the read period, at least 1 s.
    hang_timeout : float, optional
        Seconds after which a getter that does not return is given up: what was read is shipped,
        and the worker is started again, with the cause "hung for … s in …" in status, log and
        file. By default it is never given up, only said to hang, since when and in which call.
        The time that a command (`DAQJobExtern`) takes until its next line counts as well.
    batch_interval : float, optional
        Seconds for which rows are collected before they are sent. A scheduled job that reads
        less often than this sends each row at once. By default 0.02; where the read period is
        up to 0.1 s, and `spool` is not ``"always"``, at least as long as two readings take, so
        that a row waits for the next one: 0 sends each at once.
    buffer_bytes : int
        Bytes held in the worker's memory while the writer can't take them.
    overflow : {"spool", "block", "drop-oldest", "drop-newest"}
        What is done beyond `buffer_bytes`: rows go to a spool on the worker's disk, the getter
        waits, or rows are lost and counted. A ``"constant"`` job waits as long as the writer is
        alive but slow, whatever stands here. Where there is no spool, the oldest are dropped.
    spool : {"overflow", "always", "never"}
        When rows are written to the worker's disk: only beyond `buffer_bytes` and when the
        writer can't be reached at the end; always, before they are sent, so that a worker that
        is killed loses none but those not yet in a batch; or never. They lie in the user's state
        directory, and the next worker of the job sends them.
    spool_bytes : int
        Most bytes of that. Beyond it the newest rows are lost, counted as ``"spool-full"``.
    getter_args : dict, optional
        Arguments to build `getter` with, in the worker.
    limits : dict, optional
        By label, from where on a value is a warning or an alarm, and after how many seconds
        without a number the column is stale:
        ``{"T": {"warn": {"low": 4, "high": 5}, "alarm": {"high": 6}, "hysteresis": 0.1,
        "stale": 60}}``. The daemon's writer watches them; of arrays each element counts.

    Raises
    ------
    JobTypeError
        (a ``TypeError``) An argument is of the wrong kind.
    JobValueError
        (a ``ValueError``) An argument has a wrong value or length.

    Examples
    --------
    >>> job = DAQJob("tank/temperature", ["T_top", "T_bottom"], lambda: (4.2, 4.3), units="K")
    >>> {label: value for label, value in job.read().items() if label != "time"}
    {'T_top': 4.2, 'T_bottom': 4.3}
    """

    def __init__(
        self,
        group: str,
        label: str | Sequence[str],
        getter: Callable[..., Any],
        read_period: float = 1,
        thread_id: str | int | None = None,
        shape: Any = (0,),
        dtype: Any = np.float64,
        chunk_length: int | None = None,
        read_mode: str = "schedule",
        constant_read_error_delay: float = 1,
        error_count_limit: int = 2,
        handle_error_function: Callable[[], object] | None = None,
        compress: bool = False,
        initial_buffer_length: int | None = None,
        provide_time: bool = False,
        extend_mode: bool = False,
        attrs: Mapping[str, Any] | None = None,
        *,
        units: str | Sequence[str] | None = None,
        descriptions: str | Sequence[str] | None = None,
        align: bool = False,
        time_dtype: Any = "float64",
        overrun: str = "skip",
        lock_timeout: float | None = None,
        hang_timeout: float | None = None,
        batch_interval: float | None = None,
        buffer_bytes: int = 64 << 20,
        overflow: str = "spool",
        spool: str = "overflow",
        spool_bytes: int = 4 << 30,
        getter_args: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        self.group = check_job_group(group)
        with _Named(self.group):
            self.labels = labels_of(label)
            self.schema: Schema = schema_of(
                self.labels, shape, dtype, units, descriptions, time_dtype
            )
            self.attrs = check_attrs(attrs)
            self.getter = _callable("getter", getter)
            self.getter_args = _getter_args(getter_args)
            self.handle_error_function = _optional(_callable, "handle_error_function",
                                                   handle_error_function)  # fmt: skip
            self.read_mode = _one_of("read_mode", read_mode, READ_MODES)
            self.read_period = _seconds("read_period", read_period, above_zero=True)
            self.constant_read_error_delay = _seconds(
                "constant_read_error_delay", constant_read_error_delay
            )
            # What is to be on the disk soon does not wait for company.
            paced = self.read_mode == "schedule" and spool != "always"
            self.batch_interval = (
                collecting(self.read_period if paced else None)
                if batch_interval is None
                else _seconds("batch_interval", batch_interval)
            )
            self.lock_timeout = (
                max(1.0, self.read_period)
                if lock_timeout is None
                else _seconds("lock_timeout", lock_timeout)
            )
            self.hang_timeout = (
                None
                if hang_timeout is None
                else _seconds("hang_timeout", hang_timeout, above_zero=True)
            )
            self.thread_id = _thread_id(thread_id)
            self.error_count_limit = _integer("error_count_limit", error_count_limit, 0)
            self.chunk_length = _optional(_integer, "chunk_length", chunk_length)
            self.initial_buffer_length = _optional(
                _integer, "initial_buffer_length", initial_buffer_length
            )
            self.buffer_bytes = _integer("buffer_bytes", buffer_bytes)
            self.overflow = _one_of("overflow", overflow, OVERFLOW_POLICIES)
            self.spool = _one_of("spool", spool, SPOOL_POLICIES)
            self.spool_bytes = _integer("spool_bytes", spool_bytes)
            self.overrun = check_overrun(overrun)
            self.align = bool(align)
            self.extend_mode = bool(extend_mode)
            self.compress = bool(compress) and not self.extend_mode
            self.provide_time = bool(provide_time) or self.extend_mode
            self.limits = _limits(limits, self.schema, self.compress)
        self._daemon: JobHost | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.group!r}, {list(self.labels)!r})"

    def __getstate__(self) -> dict[str, Any]:
        # The daemon, and what is called in its process, stay with it.
        return {**self.__dict__, "_daemon": None, "handle_error_function": None}

    def make_reading(self, *, once: bool = False) -> Reading:
        """What a worker does again and again; the getter is built here, where it is read."""
        return reading_of(self, once=once)

    def read(self) -> dict[str, Any]:
        """Run the getter once, here, and give the checked row.

        Returns
        -------
        dict
            Label to value, time first; arrays in `extend_mode`. Empty if the getter skipped.

        Raises
        ------
        ReadingError
            If what the getter returned is no row of this job.
        """
        return read_once(self, self.make_reading(once=True))

    # -- under a daemon --------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Whether a daemon runs this job and it is not paused."""
        return self._daemon is not None and self._daemon.job_is_active(self.group)

    def start(self) -> None:
        """Go on reading after `stop`."""
        self._host("start").job_command(self.group, "resume")

    def stop(self) -> None:
        """Pause: the worker stays, but reads nothing until `start`."""
        self._host("stop").job_command(self.group, "pause")

    def trigger_read(self) -> None:
        """Take one reading now."""
        self._host("trigger_read").job_command(self.group, "trigger")

    def peek(self) -> dict[str, Any] | None:
        """The newest row that the writer has committed; None before the first."""
        return self._host("peek").job_peek(self.group)

    def _host(self, verb: str) -> JobHost:
        if self._daemon is None:
            raise JobError(
                f"job {self.group}: {verb}() needs a running DAQDaemon with this job; "
                "alone, job.read() reads once"
            )
        return self._daemon


class _Named:
    """Puts the job's name in front of what its arguments are told."""

    def __init__(self, group: str) -> None:
        self._group = group

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, JobError):
            raise type(error)(f"job {self._group}: {error}") from None


def _limits(told: Any, schema: Schema, folds: bool) -> dict[str, Limits]:
    limits = check_limits(told, schema)
    stale = next((label for label, each in limits.items() if each.stale is not None), None)
    if folds and stale is not None:
        raise JobValueError(
            f"label {stale!r}: stale and compress exclude each other, as a job that folds sends "
            "nothing while nothing changes"
        )
    return limits


def _optional(check: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    return None if value is None else check(name, value)


def _callable(name: str, value: Any) -> Any:
    if not callable(value):
        raise JobTypeError(f"{name} must be callable, not {value!r}: give the function, uncalled")
    return value


def _getter_args(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise JobTypeError(f"getter_args must be a dict of argument names, not {value!r}")
    return dict(value)


def _thread_id(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise JobTypeError(f"thread_id must be a name or a number, not {value!r}")
    return str(value)


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise JobTypeError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    if value not in known:
        raise JobValueError(f"{name}={value!r} must be one of {', '.join(known)}")
    return value


def _seconds(name: str, value: Any, *, above_zero: bool = False) -> float:
    if isinstance(value, bool | str) or not isinstance(value, numbers.Real):
        raise JobTypeError(f"{name} must be a number of seconds, not {value!r}")
    seconds = float(value)
    if not math.isfinite(seconds) or seconds < 0 or (above_zero and seconds == 0):
        bound = "above 0" if above_zero else "at least 0"
        raise JobValueError(f"{name}={value!r} must be {bound} and finite (seconds)")
    return seconds


def _integer(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise JobTypeError(f"{name} must be an integer, not {value!r}")
    if value < least:
        raise JobValueError(f"{name}={value!r} must be at least {least}")
    return int(value)
