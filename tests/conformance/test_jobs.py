"""Every kind of job takes the same exam."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from h5daq.jobs import DAQJob, DAQJobExtern
from h5daq.testing.jobs import check_job

PRINT = "import sys\nfor i in range(1000):\n print(i, i / 2)\n sys.stdout.flush()"


class Instrument:
    """A getter that is built where it is read."""

    def __init__(self, offset: float) -> None:
        self.offset = offset
        self.closed = False

    def __call__(self) -> tuple[float, float]:
        assert not self.closed
        return self.offset, self.offset + 1

    def close(self) -> None:
        self.closed = True


def read_module_level() -> list[float]:
    return [1.0, 2.0]


def closure() -> Callable[[], tuple[int, int]]:
    state = {"n": 0}

    def count() -> tuple[int, int]:
        state["n"] += 1
        return state["n"], -state["n"]

    return count


def many() -> list[np.ndarray[Any, Any]]:
    return [time.time() + np.arange(4) / 1e3, np.arange(4.0), np.ones(4)]


AB = ["a", "b"]
FAST: dict[str, Any] = {"read_period": 0.005}
JOBS: dict[str, Callable[[], DAQJob]] = {
    "function": lambda: DAQJob("j", AB, read_module_level, **FAST),
    "lambda": lambda: DAQJob("j", AB, lambda: (1, 2), **FAST),
    "closure": lambda: DAQJob("j", AB, closure(), **FAST),
    "class": lambda: DAQJob("j", AB, Instrument, getter_args={"offset": 2.0}, **FAST),
    "one label": lambda: DAQJob("j", "a", lambda: 0, **FAST),
    "time given": lambda: DAQJob("j", "a", lambda: (1.5e9, 2), provide_time=True, **FAST),
    "nanoseconds": lambda: DAQJob("j", "a", lambda: 2, time_dtype="int64", **FAST),
    "arrays": lambda: DAQJob("j", AB, lambda: (np.eye(2), 1), shape=[(0, 2, 2), (0,)], **FAST),
    "text": lambda: DAQJob("j", AB, lambda: ("grün", 1), dtype=[str, "i4"], **FAST),
    "nan": lambda: DAQJob("j", "a", lambda: float("nan"), **FAST),
    "folded": lambda: DAQJob("j", AB, closure(), compress=True, **FAST),
    "constant": lambda: DAQJob("j", AB, lambda: (1, 2), read_mode="constant"),
    "extended": lambda: DAQJob("j", AB, many, read_mode="constant", extend_mode=True),
    "trigger": lambda: DAQJob("j", AB, lambda: (1, 2), read_mode="trigger"),
    "shared": lambda: DAQJob("j", AB, lambda: (1, 2), thread_id="conformance", **FAST),
    "command": lambda: DAQJobExtern("j", AB, "echo 1 2", read_period=0.05),
    "running command": lambda: DAQJobExtern(
        "j", AB, [sys.executable, "-c", PRINT], read_mode="constant"
    ),
}


@pytest.mark.parametrize("make_job", JOBS.values(), ids=JOBS.keys())
def test_every_kind_of_job_passes_the_exam(make_job: Callable[[], DAQJob]) -> None:
    check_job(make_job, timeout=120.0)


def test_the_exam_names_what_fails() -> None:
    def make() -> DAQJob:
        return DAQJob("j", AB, lambda: None, **FAST)

    with pytest.raises(AssertionError, match="skips every reading"):
        check_job(make, timeout=0.1)
