"""Recovery of a directory, and its dry run, which says the same and leaves no trace."""

import errno
import hashlib
import itertools
import os
import shutil
import subprocess

import h5py
import numpy as np
import pytest

from h5daq.errors import FileBusy, StorageError
from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.ledger import Ledger
from h5daq.flow.records import FileRecord, RunRecord, SealRecord, encode_record
from h5daq.flow.schema import Column, Schema
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.storage.disk import Disk
from h5daq.storage.foresee import foresee
from h5daq.storage.journal import Journal
from h5daq.storage.lock import DirectoryLock
from h5daq.storage.recovery import journal_directory, recover_run

OPTIONS = {"write_period": 60.0, "write_period_jitter": 0.0, "rollover_interval": "1 hours",
           "durability": "fsync", "file_format": "{date_from}_{date_to}.h5"}  # fmt: skip
SEGMENT = 1 << 20


class Life:
    """A writer's directory, from the inside: journal and builder, to be left at any moment."""

    def __init__(self, directory, width=1):
        self.directory, self.end, self.width = directory, 0, width
        self.schema = Schema((Column("time", np.dtype("<f8")),
                              Column("x", np.dtype("<f8"), (width,))))  # fmt: skip
        self.ledger = Ledger()
        self.journal = Journal.open(journal_directory(directory), segment_bytes=SEGMENT,
                                    snapshot=lambda: self.ledger.snapshot())  # fmt: skip
        self.builder = Builder(self.journal, None, 0, BuilderOptions(directory))
        self.enter(encode_record(RunRecord("r", "run", 10.0, {}, OPTIONS)))
        self.enter(encode_record(FileRecord(1, 0, 2, 10.0, 3600.0, "first.h5")))
        self.enter(wire.encode("hello", job="tank", inc=1, schema=self.schema.to_wire()))

    def enter(self, message):
        self.journal.append(message)
        self.ledger.apply(message)

    def rows(self, n, at=20.0):
        time = at + np.arange(self.end, self.end + n)
        values = np.repeat(time[:, None], self.width, 1)
        batch = Batch("tank", 1, self.end, n, (time, values))
        self.enter(wire.encode_rows(batch, self.schema))
        self.end += n

    def checkpoint(self):
        self.journal.sync()
        self.builder.advance(self.journal.last)
        self.builder.checkpoint()

    def roll_over(self):
        self.enter(encode_record(FileRecord(2, 1, 3, 3600.0, 7200.0, "second.h5")))
        self.rows(5, at=3600.0)
        self.enter(encode_record(SealRecord(1, 3600.0, 2)))


@pytest.fixture
def life(tmp_path):
    return Life(tmp_path / "data")


def trace(directory):
    """All that is in a directory, with contents and times."""
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino, path.stat().st_size,
               hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"")
        for path in sorted(directory.rglob("*"))
    }  # fmt: skip


def rows_in(directory):
    found = []
    for path in filter(h5py.is_hdf5, sorted(directory.glob("*.h5"))):
        with h5py.File(path) as file:
            found += list(file["tank/time"]) if "tank" in file else []
    return found


def nothing(life, directory):
    """The run has only begun."""


def journaled(life, directory):
    life.rows(30)


def checkpointed(life, directory):
    life.rows(30)
    life.checkpoint()


def ahead(life, directory):
    checkpointed(life, directory)
    life.rows(12)


def rolled_over(life, directory):
    ahead(life, directory)
    life.roll_over()


def sealed(life, directory):
    rolled_over(life, directory)
    life.checkpoint()
    life.rows(3, at=3600.0)


def in_the_way(life, directory):
    life.rows(30)
    (directory / "first.h5").write_bytes(b"somebody's")


def pending(life, directory):
    checkpointed(life, directory)
    with h5py.File(next(directory.glob("*.h5"))):
        life.rows(12)
        life.checkpoint()
        life.rows(4)


STATES = [nothing, journaled, checkpointed, ahead, rolled_over, sealed, in_the_way, pending]


def left_by(life, state):
    """The directory as a writer leaves it that is killed in this state."""
    state(life, life.directory)
    life.journal.sync()
    for file in life.builder._files.values():
        # Its locks end with a process; everything else stays as it is.
        store = file._session.target._store
        store.log.close()
        store.on_disk.close()
    life.builder._files.clear()
    return life.directory


@pytest.mark.parametrize("state", STATES)
def test_a_dry_run_says_what_recovery_does_and_leaves_no_trace(life, state):
    directory = left_by(life, state)
    before = trace(directory)
    said = foresee(directory)
    assert trace(directory) == before
    done = recover_run(directory)
    assert said.verdicts == done.verdicts
    assert (said.run, said.rows, said.appended) == (done.run, done.rows, done.appended)
    assert (said.sealed, said.left_alone) == (done.sealed, done.left_alone)
    assert rows_in(directory)[: life.end] == sorted(rows_in(directory))
    assert len(rows_in(directory)) == life.end


def test_of_what_is_pending_the_dry_run_counts_nothing_twice(life):
    said = foresee(left_by(life, pending))
    assert said.appended == {"tank": 4}
    assert [found.action for found in said.verdicts] == ["applied"]


def test_after_a_recovery_there_is_nothing_to_do(life):
    recover_run(left_by(life, rolled_over))
    said = foresee(life.directory)
    assert (said.run, said.appended, said.sealed, said.verdicts) == ("", {}, [], [])


def test_a_torn_tail_of_the_journal_is_foreseen_as_lost(life):
    directory = left_by(life, journaled)
    life.rows(10)
    life.journal.sync()
    (segment,) = journal_directory(directory).glob("*.seg")
    data = segment.read_bytes()
    torn = data.rstrip(b"\0")[:-9]
    segment.write_bytes(torn.ljust(len(data), b"\0"))
    before = trace(directory)
    assert foresee(directory).appended == {"tank": 30}
    assert trace(directory) == before
    assert recover_run(directory).appended == {"tank": 30}


@pytest.mark.parametrize("way", [foresee, recover_run])
def test_while_a_writer_has_the_directory_it_is_named_and_left_alone(life, way):
    with DirectoryLock(life.directory), pytest.raises(FileBusy, match=f"process {os.getpid()}"):
        way(life.directory)


def test_progress_is_told_in_bytes_of_the_journal(life):
    for _ in range(200):
        life.rows(50)
    told = []
    recover_run(left_by(life, nothing), lambda done, total: told.append((done, total)))
    assert told
    assert all(done <= total for done, total in told)
    assert told == sorted(told)


def killed_at(directory, call):
    """Recover in a process that dies at its n-th sync or cut; whether it came that far."""
    child = os.fork()
    if not child:
        left = itertools.count(call, -1)
        for name in ("sync", "truncate", "rename", "unlink"):
            setattr(Disk, name, dying(getattr(Disk, name), left))
        try:
            recover_run(directory)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def dying(method, left):
    def call(*arguments):
        if next(left) <= 0:
            os._exit(9)
        return method(*arguments)

    return call


def test_a_recovery_that_is_killed_at_any_call_is_finished_by_the_next(life):
    directory = left_by(life, sealed)
    calls = itertools.count()
    # Each goes on where the one before was killed, a call further.
    while killed_at(directory, next(calls)):
        said = foresee(directory)
        assert not any(found.action == "damaged" for found in said.verdicts)
    assert next(calls) > 10
    assert rows_in(directory) == sorted(rows_in(directory))
    assert len(rows_in(directory)) == life.end
    assert recover_run(directory).appended == {}


# -- a disk that is nearly full --------------------------------------------------------------------

MIB = 1 << 20


@pytest.fixture
def small(tmp_path):
    """A disk of 24 MiB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(place)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can make a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place, leave):
    """Take all room but `leave` bytes."""
    free = shutil.disk_usage(place).free
    with open(place / "other", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - leave)


def written(place):
    life = Life(place / "data", width=1000)
    for _ in range(100):
        life.rows(10)
    left_by(life, nothing)
    life.journal.close()
    return life


def test_a_disk_without_room_for_a_segment_is_recovered(small):
    life = written(small)
    fill(small, leave=5 * MIB)
    assert recover_run(life.directory).appended == {"tank": 1000}
    assert len(rows_in(life.directory)) == 1000
    assert not list(journal_directory(life.directory).glob("*.spare"))


def test_a_full_disk_says_what_is_missing_and_the_next_recovery_goes_on(small):
    life = written(small)
    fill(small, leave=64 << 10)
    with pytest.raises(StorageError, match=r"the disk is full: with \d+ MiB more") as caught:
        recover_run(life.directory)
    assert caught.value.errno == errno.ENOSPC
    (small / "other").unlink()
    recover_run(life.directory)
    assert len(rows_in(life.directory)) == 1000


def test_room_that_comes_bit_by_bit_is_enough(small):
    life = written(small)
    for leave in (64 << 10, MIB):
        fill(small, leave=leave)
        with pytest.raises(StorageError, match="the disk is full"):
            recover_run(life.directory)
        (small / "other").unlink()
    fill(small, leave=5 * MIB)
    recover_run(life.directory)
    assert sorted(rows_in(life.directory)) == rows_in(life.directory)
    assert len(rows_in(life.directory)) == 1000
