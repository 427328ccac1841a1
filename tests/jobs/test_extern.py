"""Commands as getters: their lines are rows, whatever else they do."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h5daq.errors import JobTypeError, JobValueError, ReadingError
from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column
from h5daq.jobs import DAQJobExtern
from h5daq.jobs.collector import Collector
from h5daq.jobs.extern import LineParser
from h5daq.jobs.orders import Orders
from h5daq.jobs.readers import Reader
from h5daq.jobs.tally import Failure, Tally


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text("import sys, time, os, signal\n" + text)
    return [sys.executable, str(path)]


class Run:
    """A job that is read in a thread until enough rows or failures have come."""

    def __init__(self, job: DAQJobExtern) -> None:
        self.job = job
        self.rows: list[tuple[Any, ...]] = []
        self.failures: list[Failure] = []
        self.orders = Orders()
        self._news = threading.Condition()
        tally = Tally(2, self._fail)
        self.reading = job.make_reading()
        collector = Collector(job, 1, self._ship, tally)
        self._reader = Reader(job, self.reading, collector, tally, self.orders)
        self._thread = threading.Thread(target=self._reader.run, daemon=True)
        self._thread.start()

    def wait(self, enough: Callable[[], bool], timeout: float = 120.0) -> bool:
        with self._news:
            return self._news.wait_for(enough, timeout)

    def stop(self) -> None:
        self.orders.stop()
        self.reading.interrupt()
        self._thread.join(120.0)
        self.reading.close()
        assert not self._thread.is_alive()

    def _ship(self, batch: Batch) -> bool:
        with self._news:
            self.rows += list(zip(*(list(column) for column in batch.columns), strict=True))
            self._news.notify_all()
        return True

    def _fail(self, failure: Failure) -> None:
        with self._news:
            self.failures.append(failure)
            self._news.notify_all()


def constant(command: Any, label: Any = "x", **more: Any) -> Run:
    more.setdefault("constant_read_error_delay", 0.01)
    return Run(DAQJobExtern("j", label, command, read_mode="constant", **more))


def values(run: Run) -> list[float]:
    return [float(row[1]) for row in run.rows]


@pytest.mark.parametrize(
    ("command", "kind"),
    [("", JobValueError), ([], JobValueError), (3, JobTypeError), ("echo 'x", JobValueError)],
    ids=str,
)
def test_a_command_that_is_none_is_refused(command: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        DAQJobExtern("j", "x", command)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(JobValueError, match="no-such-program"):
        DAQJobExtern("j", "x", "no-such-program -v").read()


def test_a_command_is_found_on_path_and_split_like_a_shell_does() -> None:
    job = DAQJobExtern("j", ["a", "b"], "printf '%s,%s' 'one two' 3", ",", dtype=[str, "i4"])
    row = job.read()
    assert (row["a"], row["b"]) == ("one two", 3)


def test_in_schedule_mode_the_time_is_that_of_the_start(tmp_path: Path) -> None:
    before = time.time()
    row = DAQJobExtern("j", "x", script(tmp_path, "time.sleep(0.2); print(1)")).read()
    assert before <= row["time"] < time.time() - 0.15


def test_a_command_that_fails_tells_its_code_and_its_complaint(tmp_path: Path) -> None:
    command = script(tmp_path, "sys.stderr.write('no device\\n'); sys.exit(3)")
    with pytest.raises(ReadingError, match="code 3: no device"):
        DAQJobExtern("j", "x", command).read()


def test_a_line_that_does_not_parse_is_quoted_and_the_others_are_kept(tmp_path: Path) -> None:
    run = constant(script(tmp_path, "print('1\\nx\\n2', flush=True); time.sleep(60)"))
    assert run.wait(lambda: len(run.rows) == 2 and len(run.failures) == 1)
    run.stop()
    assert values(run) == [1.0, 2.0]
    assert "'x'" in run.failures[0].text


def test_in_constant_mode_the_time_is_that_of_the_line(tmp_path: Path) -> None:
    begun = time.time()
    run = constant(script(tmp_path, "time.sleep(0.3); print(1, flush=True); time.sleep(60)"))
    assert run.wait(lambda: len(run.rows) == 1)
    run.stop()
    assert float(run.rows[0][0]) > begun + 0.3


def test_a_partial_line_waits_for_its_rest(tmp_path: Path) -> None:
    text = "sys.stdout.write('12'); sys.stdout.flush(); time.sleep(0.2); print('34', flush=True)\n"
    run = constant(script(tmp_path, text + "time.sleep(60)"))
    assert run.wait(lambda: len(run.rows) == 1)
    run.stop()
    assert values(run) == [1234.0]


def test_comments_and_complaints_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    command = script(tmp_path, "sys.stderr.write('warm\\n'); print('# hello'); print(1)")
    DAQJobExtern("j", "x", command).read()
    assert "hello" in caplog.text
    assert "warm" in caplog.text


def test_a_flood_on_standard_error_stalls_nothing(tmp_path: Path) -> None:
    row = DAQJobExtern(
        "j", "x", script(tmp_path, "sys.stderr.write('x' * 70000 + '\\n'); print(5)")
    ).read()
    assert row["x"] == 5.0


def test_a_command_that_dies_is_started_again(tmp_path: Path) -> None:
    run = constant(script(tmp_path, "print(os.getpid(), flush=True); sys.exit(7)"))
    assert run.wait(lambda: len(run.rows) >= 3 and len(run.failures) >= 2)
    run.stop()
    assert len(set(values(run))) >= 3
    assert "code 7" in run.failures[0].text


def test_stopping_reaches_what_the_command_has_started(tmp_path: Path) -> None:
    text = "pid = os.fork()\nif pid: print(pid, flush=True)\ntime.sleep(60)"
    run = constant(script(tmp_path, text))
    assert run.wait(lambda: len(run.rows) == 1)
    grandchild = int(values(run)[0])
    run.stop()
    assert _gone(grandchild)


def test_a_command_that_ignores_sigterm_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("h5daq.jobs.command.TERM_SECONDS", 0.2)
    text = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(os.getpid(), flush=True)\n"
    run = constant(script(tmp_path, text + "time.sleep(60)"))
    assert run.wait(lambda: len(run.rows) == 1)
    run.stop()
    assert _gone(int(values(run)[0]))


def test_a_paused_command_does_not_run(tmp_path: Path) -> None:
    run = constant(script(tmp_path, "print(os.getpid(), flush=True); time.sleep(60)"))
    assert run.wait(lambda: len(run.rows) == 1)
    run.orders.take(1, "pause")
    run.reading.interrupt()
    assert _gone(int(values(run)[0]))
    run.orders.take(2, "resume")
    assert run.wait(lambda: len(run.rows) == 2)
    run.stop()


def test_extend_mode_takes_whatever_lines_have_come(tmp_path: Path) -> None:
    text = "for i in range(100): print(i, i * 2)\nsys.stdout.flush()\ntime.sleep(60)"
    run = constant(script(tmp_path, text), extend_mode=True)
    assert run.wait(lambda: len(run.rows) == 100)
    run.stop()
    assert run.rows[-1] == (99.0, 198.0)


def test_an_endless_command_in_schedule_mode_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("h5daq.jobs.command.MAX_LINES", 1000)
    with pytest.raises(ReadingError, match="constant"):
        DAQJobExtern("j", "x", script(tmp_path, "while True: print(1)")).read()


def test_a_line_holds_arrays_flattened_in_c_order() -> None:
    parse = LineParser([Column("a", np.dtype("i4"), (2, 2)), Column("s", np.dtype(object))], ";")
    array, text = parse("1; 2;3;4; five ")
    assert array.tolist() == [[1, 2], [3, 4]]
    assert text == "five"


@pytest.mark.parametrize(
    ("dtype", "field", "value"),
    [("f8", "nan", None), ("i8", "9007199254740993", 2**53 + 1), ("c16", "1+2j", 1 + 2j),
     ("?", "true", True), ("S3", "abc", b"abc")],
)  # fmt: skip
def test_fields_become_what_their_column_holds(dtype: str, field: str, value: Any) -> None:
    (found,) = LineParser([Column("a", np.dtype(dtype))], " ")(field)
    assert found != found if value is None else found == value


def _gone(pid: int, timeout: float = 120.0) -> bool:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with contextlib.suppress(OSError):  # it may go just now, or there is no such place
            if " Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        threading.Event().wait(0.02)
    return False
