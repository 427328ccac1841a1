"""A file in use is waited for; what can't be opened says why, and what mends it."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading

import h5py
import pytest

from h5daq.errors import FileBusy, FileDamaged, MissingExtra, StorageError
from h5daq.files.extras import optional
from h5daq.storage.opening import open_for_reading
from h5daq.storage.superblock import marked


@pytest.fixture
def plain(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="v110") as file:
        file["x"] = range(3)
    return path


def test_a_lock_that_is_let_go_is_waited_for(plain, monkeypatch):
    descriptor = os.open(plain, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    tried = threading.Event()
    monkeypatch.setattr("h5daq.storage.opening.time.sleep", lambda seconds: tried.set())

    def let_go() -> None:
        tried.wait(120)
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    thread = threading.Thread(target=let_go)
    thread.start()
    with open_for_reading(plain, patience=120) as file:
        assert list(file["x"]) == [0, 1, 2]
    thread.join()
    os.close(descriptor)


def test_a_lock_that_stays_is_told_as_busy(plain):
    descriptor = os.open(plain, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(FileBusy, match="locked"):
        open_for_reading(plain, patience=0.0)
    os.close(descriptor)


def test_a_file_left_marked_as_open_for_writing_names_the_mend(plain, tmp_path):
    with h5py.File(plain, "r+", libver="v110") as file:
        file["y"] = 1
        file.flush()
        shutil.copy(plain, tmp_path / "killed.h5")
    with pytest.raises(FileBusy, match="h5daq recover"):
        open_for_reading(tmp_path / "killed.h5", patience=0.01)


def test_a_file_whose_writer_died_while_applying_a_checkpoint_names_the_mend(plain):
    data = plain.read_bytes()
    plain.write_bytes(marked(data))
    with pytest.raises(FileBusy, match="h5daq recover"):
        open_for_reading(plain, patience=0.01)
    plain.write_bytes(data[:8] + b"\x77" + data[9:])
    with pytest.raises(FileDamaged, match="superblock version"):
        open_for_reading(plain, patience=0.01)


def test_torn_foreign_missing_and_wrong_things_are_told_apart(plain, tmp_path):
    torn, foreign = tmp_path / "torn.h5", tmp_path / "text.h5"
    torn.write_bytes(plain.read_bytes()[:700])
    foreign.write_text("hello")
    for path in (torn, foreign):
        with pytest.raises(FileDamaged):
            open_for_reading(path)
    with pytest.raises(StorageError, match="No such file") as missing:
        open_for_reading(tmp_path / "none.h5")
    assert missing.value.filename == str(tmp_path / "none.h5")
    with pytest.raises(StorageError, match="directory"):
        open_for_reading(tmp_path)


def test_a_missing_package_is_told_with_the_extra_that_brings_it():
    with pytest.raises(MissingExtra, match=r"h5daq\[frames\]"):
        optional("no_such_package_of_that_name", "frames")
