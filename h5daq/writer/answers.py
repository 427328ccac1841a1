"""The requests that a writer answers: status, flush, stop, and orders for the workers.

Each verb is one short method. An answer that has to wait (a flush until its rows are in the
files, a stop until the last file is sealed) is kept with its condition and sent when that holds.
"""

from __future__ import annotations

import math
import reprlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from h5daq.errors import JobValueError, RequestError, StorageError
from h5daq.flow.requests import ErrorCode
from h5daq.writer.desk import Desk

__all__ = ["Answers", "Later"]


_MOST_TRIGGERS = 1_000_000
_TRIED_SECONDS = 2.5
"""How long a flush waits for a disk that gives trouble."""


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that is given when `ready` says so; `result` may raise `RequestError`."""

    ready: Callable[[], bool]
    result: Callable[[], Any]


class Answers:
    """Dispatches a verb to the part of the writer that it is about.

    Parameters
    ----------
    desk : Desk
        What can be asked of the writer.
    begin_stop : callable
        Begins the stop; takes the drain timeout in seconds or None, and the jobs whose workers
        are known to be dead.
    stopped : callable
        Whether the last file is sealed.
    """

    def __init__(
        self,
        desk: Desk,
        begin_stop: Callable[[float | None, list[str]], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._desk = desk
        self._begin_stop, self._stopped = begin_stop, stopped
        self._verbs: dict[str, Callable[[dict[str, Any]], Any]] = {
            "ping": lambda _: self._ping(),
            "clock": self.clock,
            "death": self._death,
            "status": lambda _: self._status(),
            "flush": lambda _: self._flush(),
            "stop": self._stop,
            "peek": self._peek,
            "glimpse": self._glimpse,
            "set_write_period": self._set_write_period,
            "trigger": lambda args: self._order("trigger", args),
            "pause": lambda args: self._order("pause", args),
            "resume": lambda args: self._order("resume", args),
        }

    def answer(self, verb: str, args: dict[str, Any]) -> Any:
        """The result of a request, or a `Later`.

        Raises
        ------
        RequestError
            For an unknown verb, an unknown job, or an argument that makes no sense.
        """
        if verb not in self._verbs:
            known = ", ".join(sorted(self._verbs))
            raise _refusal(ErrorCode.UNKNOWN_VERB, f"no verb {verb!r}; this writer knows {known}")
        return self._verbs[verb](args)

    def clock(self, args: dict[str, Any], user: str = "") -> dict[str, Any]:
        """The times of this exchange, and the news of the ones before it are heard.

        Parameters
        ----------
        args : dict
            What the host has found, see `ClockRows.take`.
        user : str
            The public key by which it came.

        Raises
        ------
        RequestError
            If that makes no sense.
        """
        received = time.time()
        try:
            self._desk.hear_clock(args, user)
        except JobValueError as error:
            raise _refusal(ErrorCode.BAD_ARGUMENT, f"clock: {error}") from error
        return {"received": received, **self._ping(), "answered": time.time()}

    def _death(self, args: dict[str, Any]) -> dict[str, str]:
        try:
            return {"state": self._desk.hear_death(args)}
        except JobValueError as error:
            raise _refusal(ErrorCode.BAD_ARGUMENT, f"death: {error}") from error
        except StorageError as error:
            raise _refusal(ErrorCode.STORAGE, f"death: {error}") from error

    def _ping(self) -> dict[str, Any]:
        return {"time": time.time(), **self._desk.endpoints}

    def _status(self) -> dict[str, Any]:
        return self._desk.status()

    def _flush(self) -> Later:
        lsn, asked = self._desk.request_flush(), time.monotonic()

        def fails() -> bool:
            # Trouble that stays while the files' thread tries once more: not one just overcome.
            return bool(self._desk.trouble()) and time.monotonic() - asked > _TRIED_SECONDS

        def result() -> dict[str, Any]:
            if not self._desk.flushed(lsn):
                text = f"not in the files yet: {self._desk.trouble()}"
                raise _refusal(ErrorCode.STORAGE, text)
            return self._desk.file_state()

        return Later(lambda: self._desk.flushed(lsn) or fails(), result)

    def _stop(self, args: dict[str, Any]) -> Later:
        timeout = args.get("drain_timeout")
        if timeout is not None and _number("drain_timeout", timeout) < 0:
            text = f"drain_timeout must be 0 or more, not {timeout}"
            raise _refusal(ErrorCode.BAD_ARGUMENT, text)
        gone = _names("gone", args.get("gone") or [])
        self._begin_stop(None if timeout is None else float(timeout), gone)
        return Later(self._stopped, self._desk.stop_report)

    def _peek(self, args: dict[str, Any]) -> Any:
        (job,) = self._jobs({"jobs": [args.get("job")]})
        return self._desk.newest(job)

    def _glimpse(self, args: dict[str, Any]) -> Any:
        (job,) = self._jobs({"jobs": [args.get("job")]})
        label = args.get("column")
        if not isinstance(label, str):
            text = f"column must be a label, not {reprlib.repr(label)}"
            raise _refusal(ErrorCode.BAD_ARGUMENT, text)
        return self._desk.glimpse(job, label)

    def _set_write_period(self, args: dict[str, Any]) -> None:
        period = _number("period", args.get("period"))
        jitter = _number("jitter", args.get("jitter", 0.0))
        if not period > jitter >= 0:
            raise _refusal(
                ErrorCode.BAD_ARGUMENT, f"period {period} s must be above jitter {jitter} s"
            )
        self._desk.set_write_period(period, jitter)

    def _order(self, verb: str, args: dict[str, Any]) -> dict[str, Any]:
        jobs = self._jobs(args)
        n = int(_number("n", args.get("n", 1)))
        if not 1 <= n <= _MOST_TRIGGERS:
            text = f"n must be between 1 and {_MOST_TRIGGERS}, not {n}"
            raise _refusal(ErrorCode.BAD_ARGUMENT, text)
        for job in jobs:
            self._desk.order(job, verb, n)
        return {"jobs": jobs}

    def _jobs(self, args: dict[str, Any]) -> list[str]:
        known = self._desk.job_names()
        wanted = list(dict.fromkeys(_names("jobs", args.get("jobs") or known)))
        unknown = [job for job in wanted if job not in known]
        if unknown:
            names = ", ".join(known) or "none yet"
            raise _refusal(
                ErrorCode.BAD_ARGUMENT, f"no job {unknown[0][:200]!r}; there are: {names}"
            )
        return wanted


def _names(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        said = reprlib.repr(value)
        raise _refusal(ErrorCode.BAD_ARGUMENT, f"{name} must be a list of names, not {said}")
    return value


def _number(name: str, value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not math.isfinite(value):
        raise _refusal(
            ErrorCode.BAD_ARGUMENT, f"{name} must be a number, not {reprlib.repr(value)}"
        )
    return float(value)


def _refusal(code: ErrorCode, message: str) -> RequestError:
    return RequestError(code, code.wire_name, message)
