"""`h5daq verify` of a large file, against a plain h5py read of the whole of it in the same run.

The file holds arrays of float64 noise in 1 MiB chunks as a run writes them, with HDF5's checksums;
with ``--gzip 1`` also compressed. Both read from the page cache unless ``--cold 1``, which drops
the file from it before each measurement; the raw limit is a plain read of its bytes. The start of
the process that reads is measured by a quick check, which reads no values, and told apart: it is
the same for a file of any size.
``python -m benchmarks.verify [--mib 1024] [--rounds 3] [--gzip 0] [--cold 0]``
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from benchmarks.common import MIB, arguments, rounds, scratch, show, verdict
from h5daq.files.verify import verify
from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column, Schema
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile

LABELS = ("a", "b", "c", "d")
VALUES = 4096
START = 1_800_000_000.0
BAR = 1.0


def make(folder: Path, mib: int, gzip: bool) -> Path:
    """A sealed run file of about `mib` MiB."""
    path = folder / "DAQ_1.hdf5"
    head = FileHead(1, 0, 0, START, START, START + 1e9, "bench", 60.0, 5.0, "1 days", run_id="r")
    schema = Schema.of([Column(label, np.dtype("f8"), (VALUES,)) for label in LABELS])
    job = JobHead("waves", schema, period=1.0, chunk_length=32)
    compression = {"compression": "gzip", "compression_opts": 1} if gzip else None
    run_file = RunFile.create(path, head, compression=compression)
    noise = np.random.default_rng(1).normal(size=(32, VALUES))
    for first in range(0, 8 * mib, 32):
        times = START + np.arange(first, first + 32)
        run_file.append(job, Batch("waves", 1, first, 32, (times, *[noise + first] * len(LABELS))))
    run_file.checkpoint(1)
    sealed = run_file.seal(run_end=START, file_end=START + 1e9, following_file_id=0, new_path=path)
    assert sealed is not None
    return sealed


def raw_read(path: Path) -> None:
    """All bytes, one after the other."""
    buffer = bytearray(MIB)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def h5py_read(path: Path) -> None:
    """All datasets chunk by chunk, as the run's own order of chunks has it."""
    with h5py.File(path) as file:
        datasets = [file["waves"][label] for label in ("time", *LABELS)]
        for start in range(0, len(datasets[0]), 32):
            for dataset in datasets:
                dataset[start : start + 32]


def verified(path: Path) -> None:
    """What is measured."""
    report = verify(path)
    assert report.ok, list(report.findings())


def structure(path: Path) -> None:
    """All but the values: the start of the process, mostly."""
    assert verify(path, quick=True).ok


def seconds(path: Path, read: Callable[[Path], None], cold: bool) -> float:
    """How long it takes."""
    if cold:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    read(path)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, mib=1024, rounds=3, gzip=0, cold=0)
    with scratch(args.directory) as folder:
        path = make(folder, args.mib, bool(args.gzip))
        size = path.stat().st_size
        raw_read(path)
        ways = (raw_read, h5py_read, verified, structure)
        raw, plain, ours, start = rounds(
            args.rounds, lambda: tuple(seconds(path, way, bool(args.cold)) for way in ways)
        )
    show(
        f"verify: {size / MIB:.0f} MiB{', gzip' * bool(args.gzip)}{', cold' * bool(args.cold)}, "
        f"medians of {args.rounds}",
        [
            ("plain read of the bytes", f"{size / raw / 1e6:7.0f} MB/s"),
            ("plain h5py read", f"{size / plain / 1e6:7.0f} MB/s"),
            ("h5daq verify, all of it", f"{size / ours / 1e6:7.0f} MB/s"),
            ("its start", f"{start:7.2f} s"),
            ("after the start", f"{size / (ours - start) / 1e6:7.0f} MB/s"),
            ("that to the bytes", f"{raw / (ours - start):.2f}"),
            ("that to h5py", verdict(plain / (ours - start), BAR)),
        ],
    )


if __name__ == "__main__":
    main()
