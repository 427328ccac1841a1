"""Jobs of one instrument take turns."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import os
import threading
from pathlib import Path

import pytest

from h5daq.errors import StorageError
from h5daq.jobs import DAQJob
from h5daq.jobs.collector import Collector
from h5daq.jobs.locks import HostLock
from h5daq.jobs.orders import Orders
from h5daq.jobs.readers import Reader
from h5daq.jobs.tally import Tally


def test_two_holders_at_a_time_there_are_not(tmp_path: Path) -> None:
    first, second = HostLock("port/1", tmp_path), HostLock("port/1", tmp_path)
    assert first.acquire(1.0)
    assert not second.acquire(0.01)
    first.release()
    assert second.acquire(1.0)


def test_other_names_are_other_locks(tmp_path: Path) -> None:
    assert HostLock("a", tmp_path).acquire(0.0)
    assert HostLock("b", tmp_path).acquire(0.0)


def test_whoever_reads_without_pause_lets_others_in(tmp_path: Path) -> None:
    greedy, other = HostLock("a", tmp_path), HostLock("a", tmp_path)
    stop, ready = threading.Event(), threading.Event()

    def read() -> None:
        while not stop.is_set():
            if greedy.acquire(5.0):
                ready.set()
                greedy.release()

    thread = threading.Thread(target=read)
    thread.start()
    ready.wait(60.0)
    got = other.acquire(60.0)
    stop.set()
    other.release()
    thread.join()
    assert got


def _hold(directory: Path, held: multiprocessing.synchronize.Event) -> None:
    HostLock("a", directory).acquire(60.0)
    held.set()
    threading.Event().wait(60.0)


def test_a_process_that_is_killed_holds_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path, held))
    process.start()
    assert held.wait(120.0)
    lock = HostLock("a", tmp_path)
    assert not lock.acquire(0.01)
    process.kill()
    process.join()
    assert lock.acquire(60.0)


def test_a_wait_for_the_lock_is_bounded_and_counted() -> None:
    job = DAQJob("j", "x", lambda: 1, read_period=60.0, thread_id="test-bounded", lock_timeout=0.05)
    lock = HostLock("test-bounded")
    assert lock.acquire(60.0)
    tally = Tally(2, lambda failure: None)
    reader = Reader(
        job, job.make_reading(), Collector(job, 1, lambda b: True, tally), tally, Orders()
    )
    reader.step()
    lock.release()
    lock.close()
    assert dict(tally.counts) == {"lock": 1}


def test_the_directory_of_another_user_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    (tmp_path / f"h5daq-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="TMPDIR"):
        HostLock("a")
