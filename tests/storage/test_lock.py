"""The lock of a directory: one holder, named to the others, and none after a crash."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from h5daq.errors import FileBusy, StorageError
from h5daq.storage.lock import DirectoryLock

_HOLDER = """
import sys
from pathlib import Path
from h5daq.storage.lock import DirectoryLock
DirectoryLock(Path(sys.argv[1])).acquire()
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of ``tmp_path``."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_a_lock_is_taken_and_given_back(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path / "made" / "for it")
    with lock:
        assert lock.held
    assert not lock.held
    with DirectoryLock(tmp_path / "made" / "for it"):
        pass


def test_the_file_names_process_host_and_time(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        text = (tmp_path / ".h5daq" / "lock").read_text()
    assert text.startswith(f"process {os.getpid()} on {socket.gethostname()} since 20")


def test_a_second_lock_of_the_same_process_is_refused(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    with first, pytest.raises(FileBusy, match=f"process {os.getpid()} on"):
        second.acquire()
    second.acquire()
    second.release()


@pytest.mark.processes
def test_another_process_is_named_with_what_to_do(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(FileBusy, match=rf"process {holder.pid} on .*h5daq stop --directory"):
        DirectoryLock(tmp_path).acquire()


@pytest.mark.processes
def test_a_killed_holder_leaves_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait(30)
    with DirectoryLock(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / ".h5daq" / "lock").read_text()


def test_releasing_twice_is_releasing_once(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    lock.release()
    with DirectoryLock(tmp_path):
        lock.release()
        with pytest.raises(FileBusy):
            lock.acquire()


def test_a_place_that_is_no_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="can't be locked") as caught:
        DirectoryLock(tmp_path / "file").acquire()
    assert caught.value.filename == str(tmp_path / "file" / ".h5daq" / "lock")
