"""The files' thread: rows reach the files once, whatever fails on the way, and nobody is misled."""

import errno
import threading

import h5py
import pytest

from h5daq.errors import StorageError
from h5daq.flow.records import EndRecord, FileRecord, MarkRecord, encode_record
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.storage.layouts.run import RunFile
from h5daq.storage.recovery import replay
from h5daq.writer import store as module
from h5daq.writer.store import Store

SECONDS = 60.0


class Bench:
    """An intake in front, a store behind, a directory for the files."""

    def __init__(self, front, directory):
        self.front, self.directory = front, directory
        self.begin()

    def begin(self):
        self.builder = Builder(self.front.journal, None, 0, BuilderOptions(self.directory, False))
        self.failures, self.done = [], threading.Condition()
        self.store = Store(
            self.builder, write_period=3600.0, jitter=0.0, stream_bytes=1 << 30,
            checkpoint_bytes=1 << 30, checkpointed=self.checkpointed, failed=self.failures.append,
        )  # fmt: skip

    def checkpointed(self):
        with self.done:
            self.done.notify_all()

    def commit(self):
        self.store.committed(self.front.journal.last, 0)

    def reached(self, lsn):
        with self.done:
            return self.done.wait_for(lambda: self.store.done_lsn >= lsn, SECONDS)

    def flush(self):
        lsn = self.front.journal.last
        self.store.flush(lsn)
        self.commit()
        return self.reached(lsn)

    def end(self):
        self.commit()
        self.store.close()
        if self.store.is_alive():
            self.store.join(SECONDS)
        assert not self.store.is_alive()

    def values(self, job="tank"):
        """The times of a job's rows in all files, by name of file."""
        found = []
        for path in sorted(self.directory.glob("*.h5")):
            with h5py.File(path) as file:
                found += list(file[job]["time"][:])
        return found


@pytest.fixture
def bench(front, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_RETRY_SECONDS", 0.01)
    bench = Bench(front, tmp_path)
    yield bench
    bench.end()


@pytest.fixture
def running(bench):
    bench.store.start()
    return bench


def test_a_flush_returns_when_its_rows_are_in_the_file(running, worker):
    tank = worker()
    running.front.take(tank.hello(), tank.rows(11.0, 12.0))
    assert running.flush()
    assert running.values() == [11.0, 12.0]


def test_a_flush_that_comes_before_the_commit_waits_for_it_and_no_longer(running, worker):
    tank = worker()
    running.front.take(tank.hello(), tank.rows(11.0))
    lsn = running.front.journal.last
    running.store.flush(lsn)
    running.store.committed(lsn, 0)
    assert running.reached(lsn)


@pytest.mark.parametrize(
    ("stream_bytes", "seen"), [(1 << 30, [11.0, 12.0]), (1, [11.0, 12.0, 13.0])]
)
def test_a_checkpoint_that_waited_for_a_reader_is_seen_soon_after_it_has_gone(
    bench, worker, wait_until, stream_bytes, seen
):
    bench.store._stream_bytes = stream_bytes
    bench.store.start()
    tank = worker()
    bench.front.take(tank.hello(), tank.rows(11.0))
    assert bench.flush()
    with h5py.File(next(bench.directory.glob("*.h5"))):
        bench.front.take(tank.rows(12.0))
        assert bench.flush()
        bench.front.take(tank.rows(13.0))
        bench.store.committed(bench.front.journal.last, 1)
        # In full flow the next transaction has begun by then.
        wait_until(lambda: stream_bytes > 1 or bench.builder.lsn == bench.front.journal.last)
        assert bench.builder.pending
    wait_until(lambda: bench.values() == seen)


def test_what_is_in_the_files_is_released_from_the_journal(running, worker):
    tank = worker()
    running.front.take(tank.hello(), tank.rows(11.0))
    assert running.front.journal.waiting_bytes
    running.flush()
    assert running.front.journal.waiting_bytes == 0


def test_a_file_that_was_sealed_in_a_quiet_hour_learns_that_it_was_the_last(running, worker):
    tank = worker()
    running.front.take(tank.hello(), tank.rows(11.0))
    running.front.now = 3661.0
    running.front.intake.tick()
    assert running.flush()
    (path,) = running.directory.glob("*.h5")
    with h5py.File(path) as file:
        assert (file.attrs["following_file_id"] != 0, file.attrs["run_end"] > 0) == (True, False)
    running.front.intake.record(EndRecord(3700.0))
    running.end()
    with h5py.File(path) as file:
        assert (file.attrs["following_file_id"], file.attrs["run_end"]) == (0, 3700.0)
    assert running.values() == [11.0]
    assert running.builder.sealed == [path]


def test_the_end_seals_the_file_with_every_row(running, worker):
    tank = worker()
    running.front.take(tank.hello(), tank.rows(11.0))
    running.front.intake.record(EndRecord(20.0))
    running.end()
    assert running.values() == [11.0]
    (path,) = running.builder.sealed
    assert path.name == "19700101T000010.000Z_19700101T000019.999Z.h5"


def test_a_file_that_cant_be_written_is_tried_again_and_no_row_is_lost(
    running, worker, monkeypatch
):
    errors = [StorageError(errno.ENOSPC, "no space")] * 3
    checkpoint = RunFile.checkpoint

    def fails_at_first(self, *args, **more):
        if errors:
            raise errors.pop()
        return checkpoint(self, *args, **more)

    monkeypatch.setattr(RunFile, "checkpoint", fails_at_first)
    tank = worker()
    running.front.take(tank.hello(), tank.rows(11.0), tank.rows(12.0))
    assert running.flush()
    running.end()
    assert running.values() == [11.0, 12.0]
    assert running.store.trouble == ""


def test_rows_that_hdf5_refuses_are_put_aside_and_the_rest_goes_on(running, worker, monkeypatch):
    append = RunFile.append

    def refuses(self, job, batch, **more):
        append(self, job, batch, **more)
        if 13.0 in batch.times():
            raise ValueError("HDF5 says no")

    monkeypatch.setattr(RunFile, "append", refuses)
    tank = worker()
    running.front.take(tank.hello(), *(tank.rows(11.0 + i) for i in range(6)))
    assert running.flush()
    assert running.values() == [11.0, 12.0, 14.0, 15.0, 16.0]
    assert len(list((running.directory / ".h5daq" / "refused").iterdir())) == 1
    running.front.take(tank.rows(17.0))
    assert running.flush()
    with h5py.File(next(running.directory.glob("*.h5"))) as file:
        assert file["tank"].attrs["lost_refused"] == 1


def test_an_unforeseen_error_is_told_and_ends_the_thread(bench, worker, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    monkeypatch.setattr(bench.builder, "advance", lambda *_: 1 / 0)
    bench.store.start()
    bench.end()
    assert isinstance(bench.failures[0], ZeroDivisionError)


def test_a_rewind_after_a_seal_doubles_no_row(bench, worker):
    tank = worker()
    bench.front.take(tank.hello(), tank.rows(11.0))
    bench.front.intake.record(EndRecord(20.0))
    bench.builder.advance(bench.front.journal.last)
    bench.builder.rewind()
    bench.builder.advance(bench.front.journal.last)
    bench.builder.checkpoint()
    assert bench.values() == [11.0]
    assert len(list(bench.directory.glob("*.h5"))) == 1


def test_a_replay_finds_sealed_files_under_any_name_and_doubles_no_row(bench, worker):
    tank = worker()
    bench.front.take(tank.hello(), tank.rows(11.0))
    bench.front.intake.record(EndRecord(20.0))
    bench.builder.advance(bench.front.journal.last)
    bench.builder.close()
    bench.builder.sealed[0].rename(bench.directory / "renamed.h5")
    replay(bench.front.journal, BuilderOptions(bench.directory, False)).close()
    assert bench.values() == [11.0]


def test_a_replay_does_not_bring_back_files_that_people_have_moved_away(bench, worker):
    tank = worker()
    bench.front.take(tank.hello(), tank.rows(11.0))
    bench.front.intake.record(EndRecord(20.0))
    kept = bench.front.journal.last
    bench.builder.advance(kept)
    bench.builder.close()
    bench.front.journal.append(encode_record(MarkRecord(kept)))
    bench.builder.sealed[0].unlink()
    replay(bench.front.journal, BuilderOptions(bench.directory, False)).close()
    assert list(bench.directory.glob("*.h5")) == []


def test_a_name_that_is_taken_is_left_alone_and_another_one_is_used(running, worker):
    tank = worker()
    taken = running.directory / running.front.intake.ledger.files[0].name
    taken.write_text("a text of somebody")
    running.front.take(tank.hello(), tank.rows(11.0))
    assert running.flush()
    assert taken.read_text() == "a text of somebody"
    taken.unlink()
    assert running.values() == [11.0]


def test_files_that_are_open_at_once_may_be_planned_under_one_name(running, worker):
    tank = worker()
    running.front.take(tank.hello(), tank.rows(11.0))
    first = running.front.intake.ledger.files[0]
    running.front.intake.record(
        FileRecord(first.following, first.id, 99, 12.0, first.end, first.name, cross_all=True)
    )
    running.front.take(tank.rows(13.0))
    assert running.flush()
    assert sorted(running.values()) == [11.0, 13.0]


def test_after_trouble_the_journal_is_taken_in_by_steps(running, worker, monkeypatch):
    held, released = [StorageError(errno.ENOSPC, "no space")], []
    append, release = RunFile.append, running.front.journal.release

    def fails_once(self, *args, **more):
        if held:
            raise held.pop()
        append(self, *args, **more)

    monkeypatch.setattr(RunFile, "append", fails_once)
    monkeypatch.setattr(
        running.builder._journal, "release", lambda lsn: released.append(lsn) or release(lsn)
    )
    running.store._stream_bytes = 1
    tank = worker()
    running.front.take(tank.hello(), *(tank.rows(11.0 + i) for i in range(5)))
    assert running.flush()
    assert len(released) >= 5
    assert running.values() == [11.0, 12.0, 13.0, 14.0, 15.0]


def test_a_store_that_is_abandoned_ends_with_its_files_at_their_last_checkpoint(
    bench, worker, monkeypatch
):
    monkeypatch.setattr(
        RunFile, "checkpoint", lambda *_, **__: (_ for _ in ()).throw(StorageError(28, "full"))
    )
    bench.store.start()
    bench.front.take((tank := worker()).hello(), tank.rows(11.0))
    bench.commit()
    bench.store.close()
    bench.store.abandon()
    bench.store.join(SECONDS)
    assert not bench.store.is_alive()
    assert bench.builder.checkpoint_lsn == 0
    assert bench.front.journal.waiting_bytes
