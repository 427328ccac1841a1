"""One call of the disk that fails leaves nothing behind that is in the way later."""

import errno
import os
import shutil

import h5py
import numpy as np
import pytest

from h5daq.errors import FileDamaged, StorageError
from h5daq.storage.disk import Disk
from h5daq.storage.find import free_path
from h5daq.storage.journal import Journal
from h5daq.storage.lock import DirectoryLock
from h5daq.storage.redo import redo_path
from h5daq.storage.segment_disk import SegmentDisk
from h5daq.storage.transaction import TransactionFile, recover
from h5daq.storage.writeback import WriteBehind


class Failing(SegmentDisk):
    """The calls named in `failing` fail."""

    def __init__(self):
        self.failing = set()
        self.calls = []

    def _do(self, name, *args):
        self.calls.append(name)
        if name in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return getattr(super(), name)(*args)

    def sync_directory(self, directory):
        self._do("sync_directory", directory)

    def reserve(self, fd, length):
        self._do("reserve", fd, length)

    def unlink(self, path):
        self._do("unlink", path)

    def rename(self, old, new):
        self._do("rename", old, new)


@pytest.fixture
def disk():
    return Failing()


@pytest.mark.parametrize("system", ["modern", "without exclusive rename"])
def test_a_new_file_whose_name_cant_be_synced_is_whole_all_the_same(
    tmp_path, disk, system, monkeypatch
):
    if system != "modern":
        monkeypatch.setattr("h5daq.storage.disk.rename_exclusive", lambda old, new: False)
    target = TransactionFile(tmp_path / "a.h5", create=True, disk=disk)
    target.begin()["x"] = [1, 2, 3]
    disk.failing = {"sync_directory"}
    with pytest.raises(StorageError):
        target.commit()
    disk.failing = set()
    target.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["x"][:].tolist() == [1, 2, 3]
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_a_segment_that_could_not_be_cleared_away_is_not_in_the_way(tmp_path, disk):
    journal = Journal.open(tmp_path / "journal", disk=disk, segment_bytes=1 << 16)
    disk.failing = {"reserve", "unlink"}
    with pytest.raises(StorageError):
        journal.append(b"entry")
    disk.failing = set()
    assert journal.append(b"entry") == 1
    assert journal.sync() == 1
    journal.close()


def test_segments_that_are_released_together_are_put_away_one_by_one(tmp_path, disk):
    journal = Journal.open(tmp_path / "journal", disk=disk, segment_bytes=1 << 16)
    for _ in range(5):
        journal.append(bytes(40_000))
    disk.calls.clear()
    journal.release(journal.sync())
    names = [name for name in disk.calls if name in ("rename", "sync_directory")]
    while names and names[0] == "sync_directory":
        names.pop(0)
    assert names == ["rename", "sync_directory"] * 4
    journal.close()


def test_a_lock_is_let_go_of_on_a_disk_that_takes_nothing(tmp_path, monkeypatch):
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "")))
        lock.release()
    with DirectoryLock(tmp_path) as again:
        assert again.held


def test_a_file_that_was_cut_is_not_grown_again_and_its_log_goes(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = list(range(1000))
    target = TransactionFile(path)
    os.truncate(path, 1000)
    with pytest.raises(FileDamaged, match="cut by another"):
        target.begin()
    target.close()
    assert path.stat().st_size == 1000
    assert not redo_path(path).exists()


def test_a_name_whose_log_holds_a_change_of_a_file_moved_away_is_not_free(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["x"] = [1]
    target = TransactionFile(path)
    with h5py.File(path, "r"):
        target.begin()["y"] = [2]
        target.commit()
        target.close()
        shutil.move(path, tmp_path.parent / "moved.h5")
        assert free_path(path) != path
    redo_path(path).unlink()
    assert free_path(path) == path


def test_a_log_that_cant_be_looked_at_is_let_go_of(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    redo_path(path).touch()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.EROFS, "")))
        with pytest.raises(StorageError, match="can't be recovered"):
            recover(path)
    assert recover(path).action == "unborn"
    assert list(tmp_path.iterdir()) == []


def test_directories_that_are_made_are_synced_in_those_above_them(tmp_path, disk):
    disk.make_directory(tmp_path / "a" / "b")
    assert disk.calls == ["sync_directory", "sync_directory"]
    disk.make_directory(tmp_path / "a" / "b")
    assert len(disk.calls) == 2
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Disk().make_directory(tmp_path / "file")


class LosesWrites(WriteBehind):
    """Is told by the kernel, in its thread, of a write that failed; the fsync then is not."""

    def _move(self, *steps):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_commit_fails_when_only_the_write_behind_was_told_of_a_lost_write(tmp_path):
    class Losing(Disk):
        def write_behind(self, fd):
            behind = LosesWrites(fd, 64 << 10, lambda: self._behind)
            behind.begin()
            return behind

    target = TransactionFile(tmp_path / "a.h5", create=True)
    target.begin()["x"] = 1
    target.commit()
    target.close()
    target = TransactionFile(tmp_path / "a.h5", disk=Losing())
    target.begin()["y"] = np.ones(65 << 10, np.uint8)
    with pytest.raises(StorageError, match="Input/output error"):
        target.commit()
    target.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == ["x"]
