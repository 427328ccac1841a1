"""`check_job`: the exam that every kind of job takes, and any job of your own can take.

It reads the job here, packs it and reads the copy, sends what was read over the wire format and
back, and lets it run until it is told to stop. What it finds wrong is an ``AssertionError`` that
says what a worker would have met.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from h5daq.flow.batch import Batch
from h5daq.flow.wire import decode_head, encode_rows, rows_of
from h5daq.jobs import DAQJob
from h5daq.jobs.carry import pack, unpack
from h5daq.jobs.collector import Collector
from h5daq.jobs.orders import Orders
from h5daq.jobs.readers import Reader
from h5daq.jobs.tally import Failure, Tally

__all__ = ["check_job"]


def check_job(make_job: Callable[[], DAQJob], *, rows: int = 3, timeout: float = 30.0) -> None:
    """See that a job can be read, moved to a worker, and stopped.

    Parameters
    ----------
    make_job : callable
        Gives the job anew each time.
    rows : int
        How many rows the run waits for.
    timeout : float
        Seconds that the run may take for them.

    Raises
    ------
    AssertionError
        If it can't.
    """
    _check_one_reading(make_job())
    moved = unpack(pack("check", make_job()))
    assert isinstance(moved, DAQJob), "what arrives at the worker is no job"
    _check_one_reading(moved)
    _check_run(make_job(), rows, timeout)


def _check_one_reading(job: DAQJob) -> None:
    before = time.time()
    row = job.read()
    after = time.time()
    if not row:
        return
    wanted = list(job.schema.labels)
    assert list(row) == wanted, f"a row has {list(row)} instead of {wanted}"
    if not job.provide_time:
        scale = 1e9 if job.schema.columns[0].dtype.kind == "i" else 1.0
        taken = row["time"] / scale
        assert before - 1 <= taken <= after + 1, f"the time {taken} is not that of the reading"


def _check_run(job: DAQJob, rows: int, timeout: float) -> None:
    batches: list[Batch] = []
    failures: list[Failure] = []
    enough = threading.Event()

    def ship(batch: Batch) -> bool:
        batches.append(batch)
        if batch.end >= rows:
            enough.set()
        return True

    orders = Orders()
    tally = Tally(job.error_count_limit, failures.append)
    collector = Collector(job, 1, ship, tally)
    reading = job.make_reading()
    reader = Reader(job, reading, collector, tally, orders)
    thread = threading.Thread(target=reader.run, name="check-job")
    thread.start()
    if job.read_mode == "trigger":
        orders.take(1, "trigger", rows)
    came = enough.wait(timeout)
    orders.stop()
    reading.interrupt()
    thread.join(timeout)
    reading.close()
    assert not thread.is_alive(), "the job does not stop when it is told to"
    told = failures[0].text if failures else "it skips every reading"
    assert came, f"only {sum(b.n for b in batches)} rows in {timeout} s; the first failure: {told}"
    _check_batches(job, batches)


def _check_batches(job: DAQJob, batches: list[Batch]) -> None:
    wanted = 0
    for batch in batches:
        assert batch.first == wanted, f"row {batch.first} comes where {wanted} is due"
        wanted = batch.end
        arrived = rows_of(decode_head(encode_rows(batch, job.schema)), job.schema)
        for sent, come in zip(batch.columns, arrived.columns, strict=True):
            same = np.array_equal(np.asarray(sent, object), np.asarray(come, object))
            assert same or _has_nan(come), "a row arrives otherwise than it was sent"


def _has_nan(values: object) -> bool:
    array = np.asarray(values)
    return array.dtype.kind in "fc" and bool(np.isnan(array).any())
