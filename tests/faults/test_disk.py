"""Disks that are full, limited, broken, and files that others change: nothing committed is lost.

A selection, always the same; `python -m benchmarks.faults` does all of it at random. Disks that
fail for a while under a living system are in `test_campaign.py`.
"""

import errno
import itertools
import logging
import os
import random
import subprocess
import sys
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5daq
from benchmarks.fault_disk import Breakable, Limited, Mount, may_mount
from benchmarks.fault_points import enumerate_kills, fail_and_recover, sample
from benchmarks.faults import Campaign
from h5daq.storage.recovery import recover_run

pytestmark = pytest.mark.processes
needs_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
needs_mount = pytest.mark.skipif(not may_mount(), reason="needs root, to mount a file system")


@pytest.fixture
def folder():
    # Not tmp_path: the names of ipc sockets must be short.
    with tempfile.TemporaryDirectory(prefix="h5daq-") as name:
        yield Path(name)


# -- calls that fail ------------------------------------------------------------------------------


@needs_linux
def test_whichever_call_fails_the_writer_or_its_successor_has_every_row_once(folder):
    dice, met, wrong = random.Random(1), set(), []
    numbers = {kill.number for kill in sample(enumerate_kills(folder / "box"), dice, 16)}
    for number in sorted(numbers):
        error = dice.choice([errno.EIO, errno.ENOSPC, errno.EROFS])
        done = fail_and_recover(folder / "box", number, error, dice.choice([1, 2, 8]))
        met |= set(done.points)
        wrong += done.wrong
    assert wrong == []
    assert len(met) >= 12


# -- a living system ------------------------------------------------------------------------------


@contextmanager
def small_disk(folder):
    disk = Mount(folder / "disk", 64 << 20)
    assert disk.real
    try:
        yield disk
    finally:
        disk.close()


def counting(**options):
    count = itertools.count()
    job = h5daq.DAQJob("a", "n", lambda: next(count), read_period=0.005)
    return h5daq.DAQDaemon(job, **{"write_period": 3600.0, **options})


def rows(daemon):
    return daemon.status()["jobs"]["a"]["rows"]


def numbers_in(directory):
    found = []
    for path in sorted(directory.glob("*.hdf5")):
        with h5py.File(path) as file:
            found += list(file["a/n"][:].astype(int))
    return found


@needs_mount
def test_a_stop_on_a_full_disk_says_so_and_leaves_the_journal_to_the_next_start(folder, wait_until):
    with small_disk(folder) as disk:
        daemon = counting(directory=disk.path, drain_timeout=0.5)
        daemon._options |= {"stuck_timeout": 1.0, "segment_bytes": 1 << 20}
        daemon.start()
        wait_until(lambda: rows(daemon) > 100)
        committed, ballast = rows(daemon), disk.fill()
        with pytest.raises(h5daq.StorageError, match=os.strerror(errno.ENOSPC)):
            daemon.flush()
        said = daemon.stop()
        assert "can't be finished" in said
        assert "next start" in said
        ballast.unlink()
        recover_run(disk.path)
        found = numbers_in(disk.path)
        assert len(found) >= committed
        assert found == list(range(len(found)))


@contextmanager
def limited_disk(folder):
    disk = Limited(folder / "disk")
    try:
        if not disk.real:
            pytest.skip("needs a loop device, Btrfs in the kernel and btrfs-progs")
        yield disk
    finally:
        disk.close()


@needs_mount
def test_a_quota_that_is_exceeded_is_said_and_when_it_is_raised_every_row_is_there(
    folder, wait_until
):
    options = {"write_period": 0.2, "durability": "os"}
    with limited_disk(folder) as disk, counting(directory=disk.path / "data", **options) as daemon:
        wait_until(lambda: rows(daemon) > 20)
        disk.exceed()
        wait_until(lambda: os.strerror(errno.EDQUOT) in daemon.status()["writer"]["trouble"])
        disk.allow()
        before = rows(daemon)
        wait_until(lambda: rows(daemon) > before + 50)
        daemon.stop()
        found = numbers_in(disk.path / "data")
        assert found == list(range(len(found)))
        assert len(found) > before


@contextmanager
def breakable_disk(folder):
    disk = Breakable(folder / "disk")
    try:
        if not disk.real:
            pytest.skip("needs a loop device, e2fsprogs and a /sys that can be written")
        yield disk
    finally:
        disk.close()


@needs_mount
def test_a_file_system_that_becomes_read_only_under_the_writer_keeps_what_was_committed(
    folder, wait_until
):
    with breakable_disk(folder) as disk:
        daemon = counting(directory=disk.path / "data", drain_timeout=0.5)
        daemon._options |= {"stuck_timeout": 1.0, "segment_bytes": 1 << 20}
        daemon.start()
        wait_until(lambda: rows(daemon) > 100)
        if not disk.break_down():
            daemon.stop()
            pytest.skip("needs a /sys that can be written")
        wait_until(lambda: os.strerror(errno.EROFS) in daemon.status()["writer"]["trouble"])
        committed = rows(daemon)
        assert "can't be finished" in daemon.stop()
        with closing(disk.mended(folder / "mended")) as mended:
            assert mended.real
            recover_run(mended.path / "data")
            found = numbers_in(mended.path / "data")
        assert len(found) >= committed
        assert found == list(range(len(found)))


@needs_mount
def test_a_writer_whose_daemon_is_dead_ends_on_a_full_disk_and_loses_nothing(folder):
    campaign = Campaign(folder, 2, stuck_timeout=1.0, drain_timeout=1.0)
    try:
        daemon, _ = campaign._start()
        ballast = campaign.disk.fill()
        campaign.prey.kill("daemon")
        daemon.wait()
        campaign.prey.await_end(60.0)
        assert not campaign.prey.look()["writer"]
        ballast.unlink()
        found = campaign.finish()
    finally:
        campaign.close()
    assert found.wrong == []


# -- files that others change ---------------------------------------------------------------------


def replace(path):
    path.rename(path.with_suffix(".aside"))
    path.write_text("a text of somebody")


def scribble(path):
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes(4000))


DAMAGE = {
    "replaced": replace,
    "removed": Path.unlink,
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "its superblock overwritten": lambda path: path.write_bytes(bytes(64) + path.read_bytes()[64:]),
    "scribbled on": scribble,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_others_damage_is_left_alone_and_later_rows_go_to_a_new_one(
    tmp_path, damage, wait_until, caplog
):
    daemon = counting(directory=tmp_path)
    with caplog.at_level(logging.ERROR, "h5daq"), daemon:
        wait_until(lambda: rows(daemon) > 50)
        daemon.flush()
        (path,) = tmp_path.glob("*.hdf5")
        inside = len(numbers_in(tmp_path))
        DAMAGE[damage](path)
        left = path.read_bytes() if path.exists() else None
        wait_until(lambda: rows(daemon) > inside + 50)
        daemon.flush()
        daemon.stop()
        assert (path.read_bytes() if path.exists() else None) == left
    with h5py.File(daemon.file_name) as file:
        found = file["a/n"][:].astype(int)
    assert found[0] <= inside
    assert np.array_equal(found, np.arange(found[0], found[0] + len(found)))
    assert found[-1] >= inside + 50
    said = [record.message for record in caplog.records if path.name in record.message]
    assert found[0] == 0 or any("not in" in text and "rows" in text for text in said)


WAIT_FOR_THE_LOCK = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
print("waits", flush=True)
fcntl.flock(fd, fcntl.LOCK_EX)
print("has it", flush=True)
"""


def test_a_foreign_program_gets_the_lock_of_a_file_only_when_that_is_done(tmp_path, wait_until):
    with ExitStack() as stack:
        daemon = stack.enter_context(counting(directory=tmp_path))
        wait_until(lambda: rows(daemon) > 50)
        daemon.flush()
        for mode in ("r+", "a"):
            with pytest.raises(BlockingIOError, match="lock"):
                h5py.File(daemon.file_name, mode)
        command = [sys.executable, "-c", WAIT_FOR_THE_LOCK, daemon.file_name]
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        stack.push(waiting.__exit__)
        stack.callback(daemon.stop)
        assert waiting.stdout.readline() == "waits\n"
        before = rows(daemon)
        wait_until(lambda: rows(daemon) > before + 20)
        daemon.flush()
        assert daemon.status()["jobs"]["a"]["in_file"] > before
        assert waiting.poll() is None
        daemon.stop()
        assert waiting.stdout.readline() == "has it\n"
    found = numbers_in(tmp_path)
    assert found == list(range(len(found)))
