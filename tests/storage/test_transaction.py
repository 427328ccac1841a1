"""Transactions on real files: commit, abort, readers, locks, names."""

import fcntl
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from h5daq.errors import FileBusy, FileDamaged, StorageError
from h5daq.storage.transaction import TransactionFile, recover, recover_directory, transaction

READER = """
import sys, h5py
with h5py.File(sys.argv[1], "r") as f:
    for line in sys.stdin:
        # A new look each time: nothing of the dataset is kept in the reader's caches.
        rows = f["rows"]
        print(sorted(f), rows.shape[0], float(rows[:].sum()), f.attrs["step"], flush=True)
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.h5"
    with transaction(path, "x") as f:
        f.create_dataset("rows", data=np.zeros(10), maxshape=(None,), chunks=(1000,))
        f.attrs["step"] = 0
    return path


def step(f, number):
    rows = f["rows"]
    rows.resize((10 * (number + 1),))
    rows[-10:] = number
    f.create_group(f"group{number}").attrs["text"] = "x" * 500
    f.attrs["step"] = number


def names(directory):
    return sorted(os.listdir(directory))


def test_a_transaction_is_there_as_a_whole_and_leaves_nothing_beside(path):
    with transaction(path) as f:
        step(f, 1)
    with h5py.File(path) as f:
        assert (f.attrs["step"], f["rows"].shape, "group1" in f) == (1, (20,), True)
    assert names(path.parent) == ["run.h5"]


def test_an_exception_in_the_block_leaves_the_file_as_before(path):
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), transaction(path) as f:
        fail_midway(f)
    assert path.read_bytes() == before


def fail_midway(f):
    step(f, 1)
    f["big"] = np.ones(100_000)
    raise ZeroDivisionError


def test_a_file_that_is_made_gets_its_name_with_the_first_commit(tmp_path):
    target = TransactionFile(tmp_path / "new.h5", create=True)
    target.begin()["x"] = 1
    assert not target.path.exists()
    target.commit()
    assert target.path.exists()
    target.close()
    assert names(tmp_path) == ["new.h5"]


def test_a_file_that_is_never_committed_leaves_nothing(tmp_path):
    target = TransactionFile(tmp_path / "new.h5", create=True)
    target.begin()["x"] = 1
    target.close()
    assert names(tmp_path) == []


def test_making_a_file_whose_name_is_taken_is_refused(path):
    with pytest.raises(StorageError, match="there already"):
        TransactionFile(path, create=True)
    assert names(path.parent) == ["run.h5"]


def test_two_makers_of_one_name_meet(tmp_path):
    first = TransactionFile(tmp_path / "new.h5", create=True)
    with pytest.raises(FileBusy):
        TransactionFile(tmp_path / "new.h5", create=True)
    first.close()


def test_a_transaction_without_changes_writes_nothing(path):
    target = TransactionFile(path)

    def pages():
        target.begin()
        return target.commit().pages

    # In a new second HDF5 has a new time for its own record of the free space.
    assert any(pages() == 0 for _ in range(50))
    target.close()


def test_freed_space_is_used_again_by_a_later_transaction(path):
    target = TransactionFile(path)
    for number in range(8):
        f = target.begin()
        if "block" in f:
            del f["block"]
        f["block"] = np.full(50_000, number, "u1")
        target.commit()
    target.close()
    assert path.stat().st_size < 4 * 50_000


def test_a_file_that_shrinks_is_as_long_as_its_state(path):
    with transaction(path) as f:
        f["block"] = np.ones(500_000, "u1")
    target = TransactionFile(path)
    del target.begin()["block"]
    target.commit()
    assert path.stat().st_size == target.committed_bytes < 100_000
    target.close()


def test_a_commit_says_what_it_did(path):
    target = TransactionFile(path)
    target.begin()["more"] = np.arange(50_000)
    info = target.commit()
    assert info.applied
    assert info.bytes >= 400_000
    assert 1 <= info.pages <= 5
    assert info.seconds > 0
    target.close()


def test_a_reader_sees_one_state_for_as_long_as_it_holds_the_file(path):
    with Reader(path) as reader:
        first = reader.look()
        target = TransactionFile(path)
        for number in range(1, 10):
            step(target.begin(), number)
            assert not target.commit().applied
            assert reader.look() == first
            with h5py.File(path) as late:
                assert late.attrs["step"] == 0
    assert target.apply_pending()
    target.close()
    assert content(path) == (9, 100, 10.0 * sum(range(10)))


class Reader:
    """A process that holds the file open and looks at it when asked."""

    def __init__(self, path):
        command = [sys.executable, "-c", READER, str(path)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self):
        self.look()
        return self

    def look(self):
        self.process.stdin.write("look\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def __exit__(self, *exc):
        self.process.communicate(timeout=60)


def content(path):
    with h5py.File(path) as f:
        return int(f.attrs["step"]), f["rows"].shape[0], float(f["rows"][:].sum())


def test_what_waits_for_a_reader_survives_the_end_of_the_process_that_wrote_it(path):
    with h5py.File(path):
        target = TransactionFile(path)
        step(target.begin(), 1)
        target.commit()
        assert target.pending
        target.close()
        assert recover(path).action == "pending"
    assert content(path)[0] == 0
    assert recover(path).action == "applied"
    assert content(path)[0] == 1
    assert names(path.parent) == ["run.h5"]


def test_a_transaction_goes_on_from_what_another_one_left_waiting(path):
    with h5py.File(path):
        for number in (1, 2, 3):
            target = TransactionFile(path)
            step(target.begin(), number)
            target.commit()
            target.close()
    assert recover_directory(path.parent)[0].action == "applied"
    assert content(path)[0] == 3


def test_more_than_may_wait_is_applied_under_the_reader_and_said(path, caplog):
    with h5py.File(path):
        target = TransactionFile(path, overlay_bytes=4096)
        step(target.begin(), 1)
        f_info = target.commit()
        step(target.begin(), 2)
        f_info = target.commit()
    assert f_info.applied
    assert "applied under it" in caplog.text
    target.close()
    assert content(path)[0] == 2


def test_a_foreign_writer_is_refused_while_we_build_and_readers_are_not(path):
    target = TransactionFile(path)
    step(target.begin(), 1)
    with pytest.raises(OSError, match="lock"):
        h5py.File(path, "r+")
    assert content(path)[0] == 0
    target.close()


def test_a_foreign_writer_that_holds_the_file_keeps_us_out(path):
    with h5py.File(path, "r+"), pytest.raises(FileBusy, match="another program"):
        TransactionFile(path)
    assert names(path.parent) == ["run.h5"]


def test_a_second_process_of_ours_is_refused(path):
    target = TransactionFile(path)
    with pytest.raises(FileBusy, match="another process"):
        TransactionFile(path)
    target.close()


def test_a_file_that_another_program_left_open_for_writing_is_refused(path):
    with h5py.File(path, "r+", libver="v110") as f:
        f.flush()
        image = path.read_bytes()
    path.write_bytes(image)
    with pytest.raises(FileBusy, match="h5clear"):
        TransactionFile(path)


def test_a_file_that_is_replaced_behind_our_back_is_noticed(path):
    target = TransactionFile(path)
    other = path.with_name("other.h5")
    other.write_bytes(path.read_bytes())
    other.replace(path)
    with pytest.raises(FileDamaged, match="replaced"):
        target.begin()
    target.close()


def test_a_file_that_is_removed_behind_our_back_is_noticed(path):
    target = TransactionFile(path)
    path.unlink()
    with pytest.raises(FileDamaged, match="removed"):
        target.begin()
    target.close()


def test_a_file_that_is_cut_behind_our_back_is_noticed(path):
    target = TransactionFile(path)
    os.truncate(path, 1000)
    with pytest.raises(FileDamaged, match="cut"):
        target.begin()
    target.close()


def test_a_file_that_ignores_locks_and_changes_is_noticed(path):
    target = TransactionFile(path)
    with h5py.File(path, "r+", locking=False) as f:
        f["foreign"] = np.arange(5000)
    with pytest.raises(FileDamaged, match="changed"):
        target.begin()
    target.close()


def test_a_file_that_changed_while_a_transaction_waited_is_never_overwritten(path):
    with h5py.File(path), transaction(path) as f:
        step(f, 1)
    with h5py.File(path, "r+") as f:
        f["foreign"] = np.arange(5000)
    before = path.read_bytes()
    with pytest.raises(FileDamaged, match=r"\.run\.h5\.redo"):
        recover(path)
    assert recover_directory(path.parent)[0].action == "damaged"
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", [b"", b"plain text, not HDF5" * 500])
def test_what_is_no_hdf5_file_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_bytes(text)
    with pytest.raises(FileDamaged, match="not an HDF5 file"), transaction(path):
        pass
    assert path.read_bytes() == text
    assert names(tmp_path) == ["notes.txt"]


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with (
        pytest.raises(StorageError, match=r"gone\.h5") as caught,
        transaction(tmp_path / "gone.h5", "r+"),
    ):
        pass
    assert caught.value.filename == str(tmp_path / "gone.h5")


def test_what_an_aborted_transaction_left_is_cut_off(path):
    size = path.stat().st_size
    with open(path, "ab") as f:
        f.write(bytes(100_000))
    with transaction(path) as f:
        f.attrs["step"] = 7
    assert path.stat().st_size < size + 5000
    assert content(path)[0] == 7


def test_a_rename_takes_a_waiting_transaction_along(path):
    new = path.with_name("sealed.h5")
    with h5py.File(path):
        target = TransactionFile(path)
        step(target.begin(), 1)
        target.commit()
        target.rename(new)
        assert names(path.parent) == [".sealed.h5.redo", "sealed.h5"]
    assert target.path == new
    target.close()
    assert content(new)[0] == 1
    assert names(path.parent) == ["sealed.h5"]


def test_a_rename_onto_another_file_is_refused(path):
    other = path.with_name("other.h5")
    other.write_bytes(b"mine")
    target = TransactionFile(path)
    with pytest.raises(StorageError, match="other"):
        target.rename(other)
    target.close()
    assert other.read_bytes() == b"mine"


def test_the_log_of_a_deleted_file_is_kept_and_named(path):
    with h5py.File(path), transaction(path) as f:
        step(f, 1)
    path.unlink()
    assert [found.action for found in recover_directory(path.parent)] == ["orphan"]
    assert names(path.parent) == [".run.h5.redo"]


def test_nothing_pending_is_no_news(path):
    assert recover(path) is None
    assert recover_directory(path.parent) == []


def test_a_lock_that_is_gone_for_a_moment_comes_back(path):
    target = TransactionFile(path)
    with open(path, "rb") as foreign:
        fcntl.flock(target._store.on_disk.fd, fcntl.LOCK_UN)
        fcntl.flock(foreign, fcntl.LOCK_EX)
        with pytest.raises(FileBusy):
            target.begin()
    step(target.begin(), 1)
    assert target.commit().applied
    target.close()


def test_a_link_and_the_file_that_it_means_are_one(path):
    link = path.with_name("link.h5")
    link.symlink_to(path)
    target = TransactionFile(link)
    assert target.path == path
    with pytest.raises(FileBusy):
        TransactionFile(path)
    target.close()


def test_a_file_that_is_gone_at_the_commit_is_noticed(path):
    target = TransactionFile(path)
    step(target.begin(), 1)
    path.unlink()
    with pytest.raises(FileDamaged, match="removed"):
        target.commit()
    target.close()


def test_a_path_stays_the_same_file_when_the_working_directory_changes(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    target = TransactionFile(path.name)
    monkeypatch.chdir("/")
    step(target.begin(), 1)
    assert target.commit().applied
    target.close()


def test_the_file_has_its_name_inside_h5py(path):
    with transaction(path) as f:
        assert f.filename == str(path)
