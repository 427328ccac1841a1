"""Readings of 1 MiB from one worker to checkpointed HDF5, beside the raw bandwidth of the disk.

With the journal each byte is written twice, so half of what the disk takes is the ceiling; that may
be more than raw write-behind gets, so the disk is also written past the page cache. As fast as they
come here, up to four readings leave the worker in one message; with ``--batch 1`` each leaves by
itself. ``python -m benchmarks.ingest [--megabytes 2048] [--rounds 3]``
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

import h5daq
from benchmarks.common import MIB, arguments, raw_write_behind, rounds, scratch, show, verdict

_CALM_SECONDS = 3.0
"""Memory of files that are gone goes back to a virtual machine's host, two seconds later."""

_DIRECT_BYTES = 4 << 20


def block_getter(count: int, go: Path):
    """A getter of 1 MiB arrays: none before the file `go` is there, then `count` of them."""
    block = np.random.default_rng(1).integers(0, 2**15, 1 << 19, dtype="i2")
    left = [count]

    def getter():
        if left[0] == count and not go.exists():
            return None
        left[0] -= 1
        return [block] if left[0] >= 0 else None

    return getter


def h5daq_rate(folder: Path, megabytes: int, durability: str, batch: int = 0) -> float:
    """Bytes per second from the first reading until everything is checkpointed in the file."""
    go = folder / "go"
    job = h5daq.DAQJob(
        "bulk",
        "wave",
        block_getter(megabytes, go),
        read_mode="constant",
        shape=(0, 1 << 19),
        dtype="i2",
        constant_read_error_delay=0.01,
        initial_buffer_length=batch or None,
    )
    daemon = h5daq.DAQDaemon(job, directory=folder, durability=durability)
    with daemon:
        # What a start costs is not asked here.
        time.sleep(_CALM_SECONDS)
        go.touch()
        began = time.perf_counter()
        while daemon.job_rows("bulk") < megabytes:
            # Asking costs the writer something, too.
            time.sleep(0.05)
        daemon.flush(timeout=600)
        seconds = time.perf_counter() - began
    go.unlink()
    with h5py.File(daemon.file_name) as file:
        assert len(file["bulk/wave"]) == megabytes, "rows are missing"
    Path(daemon.file_name).unlink()
    return megabytes * MIB / seconds


def h5py_rate(folder: Path, megabytes: int) -> float:
    """What a user would write: one process, resize and assign, flush at the end."""
    block = np.random.default_rng(1).integers(0, 2**15, 1 << 19, dtype="i2")
    began = time.perf_counter()
    with h5py.File(folder / "plain.hdf5", "w") as file:
        data = file.create_dataset(
            "wave", (0, 1 << 19), "i2", maxshape=(None, 1 << 19), chunks=(1, 1 << 19)
        )
        for row in range(megabytes):
            data.resize(row + 1, 0)
            data[row] = block
        file.flush()
    with open(folder / "plain.hdf5", "rb+") as raw:
        os.fsync(raw.fileno())
    seconds = time.perf_counter() - began
    (folder / "plain.hdf5").unlink()
    return megabytes * MIB / seconds


def raw_direct(folder: Path, total: int) -> float:
    """Bytes per second of a plain sequential write past the page cache, and one final fsync."""
    path, data = folder / "raw", mmap.mmap(-1, _DIRECT_BYTES)
    data.write(os.urandom(_DIRECT_BYTES))
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
    began = time.perf_counter()
    for offset in range(0, total, _DIRECT_BYTES):
        os.pwrite(fd, data, offset)
    os.fsync(fd)
    seconds = time.perf_counter() - began
    os.close(fd)
    path.unlink()
    return total / seconds


def calmly(measure: Callable[[], float]) -> float:
    """What `measure` gives once the disk has nothing left to do of what was before."""
    os.sync()
    time.sleep(_CALM_SECONDS)
    return measure()


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, megabytes=2048, rounds=3, batch=0)
    with scratch(args.directory) as folder:
        count = args.megabytes
        raw, direct, durable, plain_h5, none = rounds(
            args.rounds,
            lambda: (
                calmly(lambda: raw_write_behind(folder, count * MIB)),
                calmly(lambda: raw_direct(folder, count * MIB)),
                calmly(lambda: h5daq_rate(folder, count, "fsync", args.batch)),
                calmly(lambda: h5py_rate(folder, count)),
                calmly(lambda: h5daq_rate(folder, count, "none", args.batch)),
            ),
        )
    show(
        f"ingest: {count} readings of 1 MiB, medians of {args.rounds}",
        [
            ("raw write-behind + fsync", f"{raw / 1e6:8.0f} MB/s"),
            ("raw past the cache + fsync", f"{direct / 1e6:8.0f} MB/s"),
            ("plain h5py append + fsync", f"{plain_h5 / 1e6:8.0f} MB/s"),
            ("h5daq, journal with fsync", f"{durable / 1e6:8.0f} MB/s"),
            ("h5daq, durability none", f"{none / 1e6:8.0f} MB/s"),
            ("ratio fsync / raw", verdict(durable / raw, 0.40)),
            ("ratio none / raw", verdict(none / raw, 0.70)),
            ("ratio fsync / past the cache", f"{durable / direct:.2f}"),
            ("ratio none / past the cache", f"{none / direct:.2f}"),
            ("ratio fsync / plain h5py", f"{durable / plain_h5:.2f}"),
        ],
    )


if __name__ == "__main__":
    main()
