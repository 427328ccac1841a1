"""Real workers against a writer that the test plays: nothing lost, nothing twice, all said."""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h5daq.jobs import DAQJob, DAQJobExtern
from h5daq.jobs.starter import WorkerProcess, WorkerStarter
from h5daq.testing.writer import PlayedWriter
from h5daq.worker import WorkerSpec

pytestmark = pytest.mark.processes


class Bench:
    """A played writer, and workers that are started for it."""

    def __init__(self, directory: Path, starter: WorkerStarter) -> None:
        self.writer, self.starter = PlayedWriter(directory), starter
        self.processes: list[WorkerProcess] = []
        self.told: list[dict[str, Any]] = []

    def start(self, job: DAQJob, **more: Any) -> WorkerProcess:
        spec = WorkerSpec(job, self.writer.data, self.writer.signals, "run", **more)
        self.processes.append(self.starter.start(spec.to_bytes()))
        return self.processes[-1]

    def serve(self, until: Callable[[], object], timeout: float = 120.0) -> bool:
        def look() -> object:
            for process in self.processes:
                self.told += process.messages()
            return until()

        return self.writer.serve(look, timeout)

    def has_rows(self, n: int, job: str = "j") -> bool:
        return self.serve(lambda: self.writer.rows(job) >= n)

    def end(self, process: WorkerProcess) -> int | None:
        process.send("stop")
        self.serve(lambda: process.poll() is not None)
        return process.returncode

    def kinds(self) -> list[str]:
        return [message["k"] for message in self.told]

    def status(self, until: Callable[[dict[str, Any]], object]) -> bool:
        return self.serve(lambda: any(until(status) for status in self.writer.statuses))

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.close()
            process.wait(60.0)
        self.writer.close()


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # The paths of ipc sockets are limited to some hundred characters.
    with tempfile.TemporaryDirectory(prefix="h5") as directory:
        # What a worker could not get rid of must not come back in another test.
        monkeypatch.setenv("XDG_STATE_HOME", directory)
        yield Path(directory)


@pytest.fixture(scope="module")
def starter() -> Iterator[WorkerStarter]:
    with WorkerStarter() as starter:
        yield starter


@pytest.fixture
def bench(sockets: Path, starter: WorkerStarter) -> Iterator[Bench]:
    bench = Bench(sockets, starter)
    yield bench
    bench.close()


def counting(**arguments: Any) -> DAQJob:
    state = {"n": -1}

    def count() -> int:
        state["n"] += 1
        return state["n"]

    arguments = {"read_period": 0.002, "dtype": "i8", **arguments}
    return DAQJob("j", "x", count, **arguments)


def in_order(writer: PlayedWriter) -> bool:
    values = [int(x) for x in writer.column("j", 1)]
    return values == list(range(len(values)))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_a_worker_uses_the_memory_of_old_messages_again(bench: Bench) -> None:
    def new_pages() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(8):
            del [b"x" * (3 << 20) for _ in range(4)][:]
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    bench.start(DAQJob("j", "x", new_pages, read_period=0.01, dtype="i8"))
    assert bench.has_rows(3)
    assert min(bench.writer.column("j", 1)) < 8 * 12 * 256 / 10


# -- moving ---------------------------------------------------------------------------------


def test_a_worker_that_is_sent_to_another_writer_brings_it_all_that_is_not_committed(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    process = bench.start(counting())
    assert bench.has_rows(20)
    bench.writer.silent = True
    taken = bench.writer.rows("j")
    with (
        tempfile.TemporaryDirectory(prefix="h5") as place,
        contextlib.closing(PlayedWriter(Path(place))) as other,
    ):
        other.restart()
        # Twice, the first time to nowhere: only the last place counts, and nonsense does no harm.
        for data, signals in (("no endpoint", "no endpoint"), (other.data, other.signals)):
            assert process.send("endpoints", data=data, signals=signals)
        assert other.serve(lambda: other.rows("j") > 50)
        values = [int(x) for x in other.column("j", 1)]
        assert values == list(range(values[0], values[0] + len(values)))
        assert values[0] <= taken
        process.send("stop")
        assert other.serve(lambda: process.poll() is not None)
    assert process.returncode == 0


# -- a life -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fork", [True, False], ids=["fork", "subprocess"])
def test_from_hello_to_bye_every_row_comes_once_and_in_order(sockets: Path, fork: bool) -> None:
    with WorkerStarter(fork) as starter, contextlib.closing(Bench(sockets, starter)) as bench:
        process = bench.start(counting())
        assert bench.has_rows(50)
        assert bench.end(process) == 0
        bench.serve(lambda: process.closed)
        assert in_order(bench.writer)
        assert bench.writer.byes[0].fields["end"] == bench.writer.rows("j")
        assert bench.kinds() == ["ready", "done"]


def test_hello_says_who_reads_what(bench: Bench) -> None:
    process = bench.start(counting(attrs={"gain": 2}, chunk_length=7), cause="killed by signal 9")
    assert bench.serve(lambda: bench.writer.hellos)
    fields = bench.writer.hellos[0].fields
    assert fields["pid"] == process.pid
    assert fields["attrs"] == {"gain": 2}
    assert (fields["period"], fields["mode"], fields["chunk"]) == (0.002, "schedule", 7)
    assert fields["cause"] == "killed by signal 9"
    assert (fields["interval"], fields["rest"]) == (0.02, 1.5)


def test_a_worker_never_loads_what_only_a_writer_needs(bench: Bench) -> None:
    def heavy() -> int:
        return sum(name in sys.modules for name in ("h5py", "pydantic", "rich", "multiprocessing"))

    bench.start(DAQJob("j", "x", heavy, read_period=0.1))
    assert bench.has_rows(1)
    assert bench.writer.column("j", 1)[0] == 0.0


def test_a_class_is_built_in_the_worker_and_closed_at_the_end(bench: Bench, tmp_path: Path) -> None:
    class Instrument:
        def __init__(self, path: str) -> None:
            self.pid, self.path = os.getpid(), path
            self.lock = threading.Lock()

        def __call__(self) -> int:
            return self.pid

        def close(self) -> None:
            Path(self.path).write_text("closed")

    path = str(tmp_path / "closed")
    process = bench.start(DAQJob("j", "x", Instrument, 0.05, getter_args={"path": path}))
    assert bench.has_rows(1)
    assert bench.end(process) == 0
    assert bench.writer.column("j", 1)[0] == process.pid
    assert Path(path).read_text() == "closed"


def test_a_getter_that_can_not_be_built_fails_with_its_reason(bench: Bench) -> None:
    def broken(port: str) -> Any:
        raise OSError("no such device")

    process = bench.start(DAQJob("j", "x", broken, getter_args={"port": "usb"}))
    assert bench.serve(lambda: process.poll() is not None)
    assert process.returncode == 1
    bench.serve(lambda: process.closed)
    assert "no such device" in bench.told[-1]["text"]
    assert bench.kinds() == ["failed"]


def test_a_command_is_read_by_a_worker(bench: Bench) -> None:
    process = bench.start(DAQJobExtern("j", ["a", "b"], "echo 1 2", read_period=0.1))
    assert bench.has_rows(2)
    assert bench.end(process) == 0
    assert bench.writer.column("j", 2)[0] == 2.0


# -- links and writers that fail ----------------------------------------------------------------


def test_lost_positions_cost_no_row_and_double_none(bench: Bench) -> None:
    process = bench.start(counting())
    assert bench.has_rows(20)
    bench.writer.silent = True
    assert bench.serve(lambda: bench.writer.repeated > 0)
    bench.writer.silent = False
    assert bench.end(process) == 0
    assert in_order(bench.writer)


def test_large_rows_that_are_sent_again_are_what_was_read(bench: Bench) -> None:
    count, shape = itertools.count(), (0, 40_000)
    process = bench.start(
        DAQJob("j", "x", lambda: np.full(shape[1], next(count)), read_period=0.02, dtype="i8",
               shape=shape, initial_buffer_length=1, overflow="block")
    )  # fmt: skip
    assert bench.has_rows(10)
    bench.writer.silent = True
    assert bench.serve(lambda: bench.writer.repeated > 0)
    bench.writer.silent = False
    assert bench.end(process) == 0
    waves = np.array(bench.writer.column("j", 1))
    assert np.array_equal(waves, np.arange(len(waves))[:, None].repeat(shape[1], axis=1))


def test_another_writer_gets_hello_and_what_was_not_committed(bench: Bench) -> None:
    process = bench.start(counting())
    assert bench.has_rows(20)
    bench.writer.restart()
    assert bench.serve(lambda: len(bench.writer.hellos) >= 2)
    before = bench.writer.rows("j")
    assert bench.has_rows(before + 20)
    assert bench.end(process) == 0
    assert in_order(bench.writer)


def test_a_writer_that_has_moved_is_followed(bench: Bench, sockets: Path) -> None:
    process = bench.start(counting())
    assert bench.status(lambda status: status["held"] < status["end"])  # it knows of a commit
    old = bench.writer
    taken = old.rows("j")
    (sockets / "new").mkdir()
    bench.writer = PlayedWriter(sockets / "new")
    bench.writer.restart()
    process.send("endpoints", data=bench.writer.data, signals=bench.writer.signals)
    assert bench.has_rows(20)
    # The new one knows nothing, and what the old one has committed is not sent again.
    assert 0 < sum(bench.writer.skips.values()) <= taken + 50
    assert bench.end(process) == 0
    old.close()


def test_a_killed_worker_leaves_whole_rows_and_the_next_one_another_number(bench: Bench) -> None:
    process = bench.start(counting())
    assert bench.has_rows(20)
    process.kill()
    assert process.wait(60.0) == -signal.SIGKILL
    bench.serve(lambda: False, timeout=0.2)
    assert in_order(bench.writer)
    bench.start(counting())
    assert bench.serve(lambda: len({head.inc for head in bench.writer.hellos}) == 2)


def test_what_does_not_fit_is_given_up_oldest_first_and_counted(bench: Bench) -> None:
    process = bench.start(counting(buffer_bytes=8_000, overflow="drop-oldest"))
    assert bench.has_rows(5)
    bench.writer.full = True
    assert bench.status(lambda status: status["end"] > 1000)  # more than fit
    bench.writer.full = False
    assert bench.serve(lambda: bench.writer.skips["overflow"] > 0)
    assert bench.end(process) == 0
    values = [int(x) for x in bench.writer.column("j", 1)]
    assert values == sorted(set(values))
    refused = bench.writer.statuses[-1]["counts"].get("overflow", 0)
    assert len(values) < values[-1] + 1 <= len(values) + bench.writer.skips["overflow"] + refused


def test_what_does_not_fit_is_not_taken_where_the_newest_are_to_go(bench: Bench) -> None:
    process = bench.start(counting(buffer_bytes=20_000, overflow="drop-newest"))
    assert bench.has_rows(5)
    bench.writer.full = True
    assert bench.status(lambda status: status["counts"].get("overflow", 0) > 100)
    bench.writer.full = False
    assert bench.end(process) == 0
    lost = bench.writer.statuses[-1]["counts"]["overflow"]
    values = [int(x) for x in bench.writer.column("j", 1)]
    assert values[-1] + 1 <= len(values) + lost
    assert not bench.writer.skips


def test_a_constant_getter_waits_for_a_writer_that_is_alive_but_slow(bench: Bench) -> None:
    bench.start(counting(read_mode="constant", buffer_bytes=1 << 20))
    assert bench.has_rows(5)
    bench.writer.full = True
    told = len(bench.writer.statuses)
    assert bench.serve(lambda: len(bench.writer.statuses) >= told + 3)
    held = bench.writer.statuses[-1]["held"]
    assert held * 16 < 3 << 20
    bench.writer.full = False
    before = bench.writer.rows("j")
    assert bench.has_rows(before + held + 1000)
    assert in_order(bench.writer)
    assert not bench.writer.skips


def test_a_worker_that_nobody_takes_rows_from_ends_all_the_same(bench: Bench) -> None:
    process = bench.start(counting(), drain_timeout=1.0)
    assert bench.has_rows(5)
    bench.writer.full = True
    assert bench.status(lambda status: status["held"])
    assert bench.end(process) == 3


# -- who stops it -------------------------------------------------------------------------------


def test_sigterm_stops_and_drains(bench: Bench) -> None:
    process = bench.start(counting())
    assert bench.has_rows(20)
    process.terminate()
    assert bench.serve(lambda: process.poll() is not None)
    assert process.returncode == 0
    assert bench.writer.byes
    assert in_order(bench.writer)


def test_a_key_press_in_the_terminal_stops_nothing(bench: Bench) -> None:
    process = bench.start(counting())
    assert bench.has_rows(5)
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(process.pid, number)
    assert bench.has_rows(bench.writer.rows("j") + 20)
    assert process.poll() is None


def test_when_its_parent_is_gone_it_drains_and_ends(bench: Bench) -> None:
    process = bench.start(counting())
    assert bench.has_rows(20)
    process.close()
    assert bench.serve(lambda: bench.writer.byes)
    assert bench.writer.byes[0].fields["end"] == bench.writer.rows("j")


SCRIPT = """
import os, sys
from h5daq.jobs import DAQJob
from h5daq.jobs.starter import WorkerStarter
from h5daq.worker import WorkerSpec
print("the script runs", flush=True)
offset = 40
def helper(x):
    return x + offset
def read():
    print("read", flush=True)
    return helper(2)
job = DAQJob("j", "x", read, read_period=0.02)
starter = WorkerStarter()
process = starter.start(WorkerSpec(job, sys.argv[1], sys.argv[2]).to_bytes())
print(process.pid, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def script(bench: Bench, tmp_path: Path, directory: Path) -> Iterator[subprocess.Popen[str]]:
    path = tmp_path / "experiment.py"
    path.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(path), bench.writer.data, bench.writer.signals],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with process:
        yield process
        process.kill()


def test_a_script_without_a_main_guard_is_not_run_again(bench: Bench, tmp_path: Path) -> None:
    # A file of the working directory must not be taken for a module of the library.
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd" / "random.py").write_text("raise SystemExit('wrong module')")
    with script(bench, tmp_path, tmp_path / "cwd") as process:
        assert bench.has_rows(3)
        assert bench.writer.column("j", 1)[0] == 42.0
        process.kill()
        assert bench.serve(lambda: bench.writer.byes)
        assert process.stdout is not None
        assert process.stdout.read().count("the script runs") == 1


def test_printing_where_nobody_reads_any_more_costs_no_reading(
    bench: Bench, tmp_path: Path
) -> None:
    with script(bench, tmp_path, tmp_path) as process:
        assert bench.has_rows(3)
        assert process.stdout is not None
        process.stdout.close()
        assert bench.has_rows(bench.writer.rows("j") + 10)
        assert all(not status["counts"] for status in bench.writer.statuses)


# -- orders -------------------------------------------------------------------------------------


def test_a_trigger_is_one_reading_however_often_it_is_said(bench: Bench) -> None:
    bench.start(counting(read_mode="trigger"))
    assert bench.serve(lambda: "ready" in bench.kinds())
    assert bench.status(lambda status: True)

    def said_until_two_rows_came():
        # Again and again, as a writer does: the first ones may come before it listens.
        bench.writer.order("j", 5, "trigger", n=2)
        return bench.writer.rows("j") >= 2

    assert bench.serve(said_until_two_rows_came)
    bench.writer.order("j", 5, "trigger", n=2)
    assert bench.status(lambda status: status["cmd"] == 5)
    bench.writer.order("j", 6, "trigger", n=1)
    assert bench.has_rows(3)
    assert bench.writer.rows("j") == 3


def test_a_pause_stops_rows_and_a_resume_brings_them_back(bench: Bench) -> None:
    bench.start(counting())
    assert bench.has_rows(5)
    bench.writer.order("j", 1, "pause")
    assert bench.status(lambda status: status["state"] == "paused" and not status["held"])
    before = bench.writer.rows("j")
    bench.serve(lambda: False, timeout=0.3)
    assert bench.writer.rows("j") == before
    bench.writer.order("j", 2, "resume")
    assert bench.has_rows(before + 5)
    assert in_order(bench.writer)


def test_the_writers_stop_ends_a_worker(bench: Bench) -> None:
    process = bench.start(counting())
    assert bench.has_rows(5)
    bench.writer.order("j", 9, "stop")
    assert bench.serve(lambda: process.poll() is not None)
    assert process.returncode == 0


# -- what it says -----------------------------------------------------------------------------


def test_failures_are_counted_told_and_logged_and_the_handler_is_asked_for(bench: Bench) -> None:
    def fail() -> float:
        raise OSError("the sensor is dead")

    bench.start(DAQJob("j", "x", fail, read_period=0.05, error_count_limit=2))
    assert bench.serve(lambda: bench.kinds().count("reading-error") >= 3)
    handled = [message["handle"] for message in bench.told if message["k"] == "reading-error"]
    assert handled[:3] == [False, True, True]
    assert bench.status(lambda status: status["counts"].get("getter", 0) >= 3)
    assert bench.serve(lambda: any("sensor is dead" in log["text"] for log in bench.writer.logs))


def test_overruns_and_lateness_are_told(bench: Bench) -> None:
    def slow() -> int:
        time.sleep(0.05)
        return 1

    bench.start(DAQJob("j", "x", slow, read_period=0.01))
    assert bench.status(lambda status: status["overruns"] >= 8 and status["late"] > 0)


def test_a_getter_that_hangs_stops_neither_the_status_nor_the_end(bench: Bench) -> None:
    calls = iter([1, 2])

    def hang() -> int:
        try:
            return next(calls)
        except StopIteration:
            threading.Event().wait()
            return 0

    process = bench.start(DAQJob("j", "x", hang, read_period=0.005), stop_grace=0.5)
    # Both rows wait for company in a batch when the third reading begins to hang.
    assert bench.has_rows(2)
    assert bench.status(lambda status: status["state"] == "hanging" and "s" in status["message"])
    assert bench.end(process) == 0
    assert bench.writer.byes


def test_messages_of_a_getter_reach_the_writer_and_a_flood_is_held_back(bench: Bench) -> None:
    def chatter() -> int:
        import logging

        for n in range(1000):
            logging.getLogger("lab").warning("reading %d \udcff", n)
        return 1

    bench.start(DAQJob("j", "x", chatter, read_period=0.2))
    assert bench.has_rows(2)
    bench.start(replace_getter(counting()))
    assert all(len(log["text"]) < 200 for log in bench.writer.logs)
    assert len(bench.writer.logs) < 100 * bench.writer.rows("j")


def replace_getter(job: DAQJob) -> DAQJob:
    job.group = "other"
    return job


def test_without_a_parent_the_handler_is_called_in_the_worker(bench: Bench, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from h5daq.jobs import DAQJob\n"
        "from h5daq.worker.life import Worker\n"
        "from h5daq.worker import WorkerSpec\n"
        "def read(): raise ValueError('no')\n"
        "def handle(): open(sys.argv[3], 'a').write('x')\n"
        "job = DAQJob('j', 'x', read, 0.02, error_count_limit=3, handle_error_function=handle)\n"
        "sys.exit(Worker(WorkerSpec(job, sys.argv[1], sys.argv[2])).run())\n"
    )
    path = tmp_path / "handled"
    process = subprocess.Popen(
        [sys.executable, "-c", code, bench.writer.data, bench.writer.signals, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert bench.serve(lambda: path.exists() and len(path.read_text()) >= 2)
    process.send_signal(signal.SIGINT)
    assert bench.serve(lambda: process.poll() is not None)
    assert process.returncode == 0


def test_a_description_survives_the_pipe() -> None:
    spec = WorkerSpec(counting(), "ipc:///a", "ipc:///b", "run", log_level="DEBUG")
    back = WorkerSpec.from_bytes(spec.to_bytes())
    assert back.job.schema == spec.job.schema
    assert replace(back, job=spec.job) == spec
