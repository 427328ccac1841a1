"""One short run of a writer without sockets: the same operations on the disk each time.

A worker is played that sends again what was not committed, as real ones do; the real journal,
ledger, planner and builder take it in, on one thread and by a clock of their own. So operation
number 217 is the same one in each run, and a process can be killed right there. Each life of the
writer is a forked process; what it has promised stands in the file ``told`` beside the directory.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.fault_calls import PASS, Call, Event, Judge
from benchmarks.fault_shim import Shim
from h5daq.errors import StorageError
from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.planner import Planner
from h5daq.flow.records import EndRecord, RunRecord
from h5daq.flow.rollover import Calendar
from h5daq.flow.schema import Column, Schema
from h5daq.storage import segments
from h5daq.storage.layouts import columns
from h5daq.storage.recovery import mark_kept
from h5daq.writer.intake import Intake
from h5daq.writer.opening import Opened
from h5daq.writer.settings import WriterSettings

__all__ = ["JOBS", "Life", "Perform", "calls_of", "everything", "holding", "live", "perform"]

Perform: TypeAlias = Callable[[Path, str, Callable[[str, int], None]], dict[str, Any]]
"""A life in a directory, of a run; it calls back with what it promises, and ends with a report."""

STEPS, ROWS = 9, 25
START, TICK = 1_000_000.0, 0.1
_PATIENCE = 12
"""How often a writer of the story tries the same thing again."""

WAVE_ROWS, WAVE = 4, 2500
_LARGE_BYTES = 16 << 10
"""From here on the story's writes are large, so that a wave's go past the page cache."""

JOBS = {
    "jobs/slow": Schema((Column("time", np.dtype("<f8")), Column("n", np.dtype("<i8")))),
    "jobs/wave": Schema((Column("time", np.dtype("<f8")), Column("n", np.dtype("<i8")),
                    Column("x", np.dtype("<f8"), shape=(WAVE,)))),
}  # fmt: skip
"""A job of small rows, and one whose messages are larger than what the journal gathers."""


def target(job: str, step: int) -> int:
    """Rows that the job has produced by the end of a step."""
    return (step + 1) * (WAVE_ROWS if job == "jobs/wave" else ROWS)


def everything() -> dict[str, int]:
    """Rows by job of the whole run."""
    return {job: target(job, STEPS - 1) for job in JOBS}


class Worker:
    """Sends the rows of one job from where the writer's ledger stands."""

    def __init__(self, job: str) -> None:
        self.job, self.schema = job, JOBS[job]
        self.seconds = TICK * ROWS / target(job, 0)

    def hello(self) -> bytes:
        """Its columns."""
        chunk = WAVE_ROWS if self.job == "jobs/wave" else 0
        schema = self.schema.to_wire()
        return wire.encode("hello", job=self.job, inc=1, schema=schema, chunk=chunk)

    def rows(self, first: int, end: int) -> Any:
        """Rows `first` to `end`, as one message."""
        n = np.arange(first, end)
        columns = [START + self.seconds * n, n]
        if self.job == "jobs/wave":
            columns.append(np.repeat(n[:, None], WAVE, 1).astype(float))
        return wire.encode_rows(Batch(self.job, 1, first, end - first, tuple(columns)), self.schema)


class Writer:
    """What `h5daq.writer.process` does on three threads, step by step on one."""

    def __init__(self, directory: Path, run: str, told: Callable[[str, int], None]) -> None:
        self.now, self._told = START, told
        self.marked = False
        settings = WriterSettings(
            str(directory), run, "", "", "", run_name="story", rollover={"seconds": 5},
            write_period=1.0, segment_bytes=96 << 10, overlay_bytes=1 << 16,
        )  # fmt: skip
        self.opened = Opened(settings, 1 << 20)
        self.journal, self.builder = self.opened.journal, self.opened.builder
        self.ledger = self.opened.ledger
        ids = itertools.count(1 + len(list(directory.iterdir())) + 1000 * os.getpid())
        planner = Planner(Calendar(settings.rollover), settings.file_format, 0, 1.0, ids.__next__)
        self.intake = Intake(self.journal, self.ledger, planner, "story", lambda: self.now)
        if self.ledger.ended or self.ledger.run is None:
            self.intake.record(RunRecord(run, "story", START, {}, settings.run_options()))
            self.intake.record(planner.first(START))

    def positions(self) -> dict[str, int]:
        """Rows by job that are known to be committed, in this run or an earlier one."""
        earlier = {job: known.get(1, 0) for job, known in self.ledger.archive.items()}
        return earlier | {job: state.next.get(1, 0) for job, state in self.ledger.jobs.items()}

    def take(self, worker: Worker, end: int) -> None:
        """Take a worker's hello, and its rows up to `end`; what is not taken is sent again."""
        for _ in range(_PATIENCE):
            self._take(worker, end)
            job = self.ledger.jobs.get(worker.job)
            if job is not None and job.next.get(1, 0) >= end:
                return
        raise RuntimeError(f"rows are not taken: {self.intake.stalled}")

    def _take(self, worker: Worker, end: int) -> None:
        self.intake.take(memoryview(worker.hello()))
        job = self.ledger.jobs.get(worker.job)
        first = job.next[1] if job is not None else end
        if first < end:
            self.now = max(self.now, START + worker.seconds * end)
            self.intake.take(memoryview(worker.rows(first, end)))

    def commit(self) -> None:
        """Sync, and only then promise."""
        self._endure(self.journal.sync)
        for job, state in self.ledger.jobs.items():
            self._told(job, state.next[1])

    def follow(self, *, checkpoint: bool) -> None:
        """Bring what is committed into the files."""
        self._endure(lambda: self._follow(checkpoint))
        self.intake.tick(self.builder.checkpoint_lsn, self.kept())

    def kept(self) -> int:
        """The entry up to which the vault needs no recovery; there is none here."""
        return 0

    def _follow(self, checkpoint: bool) -> None:
        self.builder.advance(self.journal.synced)
        if checkpoint:
            self.builder.checkpoint()
        self.builder.apply_pending()

    def _endure(self, work: Callable[[], object]) -> None:
        """Try again while the disk fails, from the last checkpoint on; as committer and store."""
        for attempt in range(_PATIENCE):
            try:
                work()
                return
            except StorageError:
                if self.journal.failed or attempt == _PATIENCE - 1:
                    raise
                if work != self.journal.sync:
                    self.builder.rewind()

    def end(self) -> None:
        """Stop in order."""
        self._endure(lambda: self.intake.record(EndRecord(self.now)))
        self.commit()
        self.follow(checkpoint=True)
        self.builder.close()
        with suppress(StorageError):
            # Everything is in the files; without the mark, the next start looks at them once more.
            mark_kept(self.journal, self.builder, self.kept())
            self.journal.close()
            self.marked = True
        self.opened.lock.release()


def perform(directory: Path, run: str, told: Callable[[str, int], None]) -> dict[str, Any]:
    """The whole run, from whatever an earlier life has left; what the start found to do."""
    writer, workers = Writer(directory, run, told), [Worker(job) for job in JOBS]
    found = writer.opened.recovered
    report = {
        "entries": found.entries,
        "finished": len(found.finished),
        "run": found.run,
        "positions": writer.positions(),
    }
    for step in range(STEPS):
        for worker in workers:
            writer.take(worker, target(worker.job, step))
        writer.commit()
        with holding(_newest(directory)) if step == 3 else nullcontext():
            writer.follow(checkpoint=step % 2 == 1)
    writer.end()
    report["marked"] = writer.marked
    return report


def _newest(directory: Path) -> Path:
    return max(directory.glob("*.hdf5"), key=lambda path: path.name)


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Somebody keeps the file open, as HDF5 does, so that a checkpoint has to wait."""
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@dataclass
class Life:
    """One forked process, and what became of it."""

    killed: bool
    report: dict[str, Any] = field(default_factory=dict)

    def forgot(self, told: Mapping[str, int]) -> Iterator[str]:
        """What it should have known at its start, `told` being what others had promised."""
        found = self.report.get("positions", {})
        for job, end in told.items():
            if found.get(job, 0) < end:
                yield f"{job}: {end} rows were committed, the next start knew of {found.get(job)}"
        if told and not (self.report.get("entries") or self.report.get("finished")):
            yield f"the next start does not say what it found: {self.report}"

    @property
    def error(self) -> str:
        """What it died of, if not of a kill."""
        return str(self.report.get("error", ""))


def live(
    folder: Path,
    run: str,
    judge: Judge = lambda _: PASS,
    diary: str = "",
    before: Callable[[Shim], None] = lambda _: None,
    work: Perform = perform,
) -> Life:
    """Let a process do `work` in ``folder/data`` under a judge.

    `diary` names a file for events; `before` may change the shim before it is put in place.
    """
    (folder / "report").unlink(missing_ok=True)
    with warnings.catch_warnings():
        # Tests run beside a thread that talks to their runner; it holds no lock that matters here.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        _perform_and_exit(folder, run, judge, diary, before, work)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return Life(os.WTERMSIG(status) == signal.SIGKILL, {"error": f"signal {status}"})
    return Life(False, json.loads((folder / "report").read_text()))


def _perform_and_exit(
    folder: Path,
    run: str,
    judge: Judge,
    diary: str,
    before: Callable[[Shim], None],
    work: Perform,
) -> None:
    events: list[Event] = []
    log = os.open(folder / "told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def told(job: str, end: int) -> None:
        os.write(log, f"{job} {end}\n".encode())
        events.append(("told", job, end))

    logging.disable()
    segments.LARGE_BYTES = columns.LARGE_BYTES = _LARGE_BYTES
    try:
        note = events.append if diary else lambda _: None
        shim = Shim(folder / "data", judge, note)
        before(shim)
        shim.install()
        report = work(folder / "data", run, told)
    except BaseException as error:  # noqa: BLE001 (told to the parent, whatever it is)
        text = "".join(traceback.format_exception(error))
        report = {"error": text, "storage": isinstance(error, StorageError)}
    if diary:
        (folder / diary).write_bytes(pickle.dumps(events))
    (folder / "report").write_text(json.dumps(report))
    os._exit(0)


def calls_of(
    folder: Path,
    namer: Callable[[Call], str],
    before: Callable[[Shim], None] = lambda _: None,
    work: Perform = perform,
) -> list[tuple[str, str]]:
    """Point and operation of each change that an undisturbed run makes."""
    seen = folder / "seen"

    def judge(call: Call) -> Any:
        with open(seen, "a") as file:
            file.write(f"{namer(call)}\t{call.op}\n")
        return PASS

    life = live(folder, "run", judge, before=before, work=work)
    if life.error:
        raise RuntimeError(life.error)
    lines = seen.read_text().splitlines()
    return [(point, op) for point, op in (line.split("\t") for line in lines)]
