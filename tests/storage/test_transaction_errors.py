"""A failing disk: said once, with path and cause; nothing leaked, the file as before."""

import errno
import os
from contextlib import closing

import h5py
import numpy as np
import pytest

from h5daq.errors import StorageError
from h5daq.storage.disk import Disk
from h5daq.storage.transaction import TransactionFile, recover, transaction


class FailingDisk(Disk):
    """Does `times` calls of `kind` well; the one after raises."""

    def __init__(self, kind="write", times=10**9, error=None, lasting=False):
        self.kind, self.left, self.lasting = kind, times, lasting
        self.error = error or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _count(self, kind):
        if kind == self.kind:
            self.left -= 1
            if self.left == -1 or (self.left < 0 and self.lasting):
                raise self.error

    def write(self, fd, offset, data):
        self._count("write")
        super().write(fd, offset, data)

    def read_into(self, fd, offset, buffer):
        self._count("read")
        super().read_into(fd, offset, buffer)

    def sync(self, fd):
        self._count("sync")
        super().sync(fd)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.h5"
    with h5py.File(path, "w", libver="v110") as f:
        f.create_dataset("rows", data=np.arange(5000.0), maxshape=(None,), chunks=(1000,))
    return path


def change(f):
    f["rows"].resize((9000,))
    f["rows"][-6000:] = -1
    for number in range(5):
        f.create_dataset(f"g{number}/d", data=np.ones(3000), compression="gzip")
    f.create_dataset("words", data=["a" * 100] * 20, dtype=h5py.string_dtype())


def open_objects():
    f = h5py.h5f
    # Not data types: a traceback can hold one of memory's for a while.
    return f.get_obj_count(f.OBJ_ALL, f.OBJ_FILE | f.OBJ_DATASET | f.OBJ_GROUP | f.OBJ_ATTR)


def attempt(path, disk):
    """A transaction on a failing disk; the error that came out of it."""
    try:
        with closing(TransactionFile(path, disk=disk)) as target:
            try:
                change(target.begin())
            except Exception:
                target.check()
                raise
            target.commit()
    except (StorageError, KeyboardInterrupt, SystemExit) as error:
        return error
    return None


def state(path):
    with h5py.File(path) as f:
        return f["rows"][:].tolist(), sorted(f)


def attempts(path, kind, error, lasting=False):
    """One attempt for each call of `kind` that can fail, until one goes through untouched."""
    image, log = path.read_bytes(), path.with_name(".run.h5.redo")
    for times in range(1, 300):
        disk = FailingDisk(kind, times, error, lasting)
        raised = attempt(path, disk)
        if disk.left >= 0:
            assert raised is None
            return
        yield raised, image
        recover(path)
        assert not log.exists()
        path.write_bytes(image)
    raise AssertionError("the disk never stopped failing")


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_every_failing_write_is_said_once_and_leaves_the_file_as_before(path, number, lasting):
    objects, failures = open_objects(), 0
    for error, image in attempts(path, "write", OSError(number, os.strerror(number)), lasting):
        assert open_objects() == objects
        if error is not None:
            failures += 1
            assert isinstance(error, StorageError)
            assert (error.errno, error.filename) == (number, str(path))
            assert path.read_bytes() == image
        else:
            # Beyond the commit point: what fails is only the way into the file.
            assert recover(path) is None or state(path) != state_of(image, path)
    assert failures > 10


def state_of(image, path):
    copy = path.with_name("copy.h5")
    copy.write_bytes(image)
    return state(copy)


def test_every_failing_read_is_said_once_and_leaves_the_file_as_before(path):
    objects, failures = open_objects(), 0
    for error, image in attempts(path, "read", OSError(errno.EIO, "no")):
        assert open_objects() == objects
        if error is not None:
            failures += 1
            assert isinstance(error, StorageError)
            assert (error.errno, error.filename) == (errno.EIO, str(path))
            assert path.read_bytes() == image
    assert failures > 5


def test_a_failing_sync_leaves_the_state_before_or_after(path):
    before = state(path)
    after = None
    outcomes = []
    for error, _ in attempts(path, "sync", OSError(errno.EIO, "no")):
        recover(path)
        now = state(path)
        assert isinstance(error, StorageError) or now != before
        after = after or (now if now != before else None)
        assert now in (before, after)
        outcomes.append(error is None)
    assert False in outcomes
    assert True in outcomes


def test_after_a_failing_sync_the_file_must_be_opened_anew(path):
    # The log's first sync is the first, the data's the second.
    target = TransactionFile(path, disk=FailingDisk("sync", 1, OSError(errno.EIO, "no")))
    change(target.begin())
    with pytest.raises(StorageError, match="can't be committed"):
        target.commit()
    with pytest.raises(StorageError, match="open it anew"):
        target.begin()
    target.close()
    with transaction(path) as f:
        change(f)
    assert len(state(path)[0]) == 9000


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_a_signal_in_a_callback_ends_the_transaction_cleanly(path, signal):
    objects, image = open_objects(), path.read_bytes()
    error = attempt(path, FailingDisk("write", 10, signal()))
    assert isinstance(error, signal)
    assert open_objects() == objects
    assert path.read_bytes() == image


def test_a_full_disk_shows_during_the_block_when_asked(path):
    target = TransactionFile(path, disk=FailingDisk("write", 2))
    f = target.begin()
    target.check()
    f["big"] = np.ones(10_000)
    f.flush()
    with pytest.raises(StorageError, match="No space left"):
        target.check()
    target.close()


def test_a_disk_that_has_room_again_takes_the_next_transaction(path):
    target = TransactionFile(path, disk=FailingDisk("write", 5))
    change(target.begin())
    with pytest.raises(StorageError):
        target.commit()
    change(target.begin())
    assert target.commit().applied
    target.close()
    assert len(state(path)[0]) == 9000


def test_after_an_error_memory_stays_bounded(path):
    target = TransactionFile(path, overlay_bytes=1 << 20, disk=FailingDisk("write", 3))
    f = target.begin()
    d = f.create_dataset("big", (64, 1 << 20), "u1", chunks=(1, 1 << 20))
    for row in range(64):
        d.id.write_direct_chunk((row, 0), bytes(1 << 20))
    held = target._overlay.held_bytes
    with pytest.raises(StorageError):
        target.commit()
    target.close()
    assert held < 4 << 20


@pytest.mark.parametrize("times", [1, 2, 3, 5, 10, 20, 30])
def test_a_new_file_on_a_full_disk_leaves_nothing(tmp_path, times):
    with closing(
        TransactionFile(tmp_path / "new.h5", create=True, disk=FailingDisk("write", times))
    ) as target:
        target.begin().create_dataset("x", data=np.arange(3000), chunks=(100,))
        with pytest.raises(StorageError, match="No space left"):
            target.commit()
    assert os.listdir(tmp_path) == []


def test_a_name_too_long_for_the_disk_is_an_error_of_ours_that_names_it(tmp_path):
    with pytest.raises(StorageError, match=r"can.t be made: File name too long.*xxx"):
        TransactionFile(tmp_path / ("x" * 300), create=True)
