"""A small run of several files, as the writer makes them, without processes.

One job with every way of storing a column (numbers, arrays, text), full and partial chunks, two
checkpoints per file. For tests of what reads, checks or moves run files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column, Schema
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile

__all__ = ["JOB", "ROWS", "START", "begin_file", "make_run", "rows_from"]

START = 1_800_000_000.0
"""When the run began: a round number of seconds."""

ROWS = 40
"""Rows of each file, one second apart."""

_SCHEMA = Schema.of(
    [
        Column("T", np.dtype("f8"), unit="K"),
        Column("p", np.dtype("f8"), unit="hPa"),
        Column("w", np.dtype("i2"), (3,)),
        Column("s", np.dtype(object)),
    ]
)
JOB = JobHead("tank/T1", _SCHEMA, {"place": "tower"}, 0.5, chunk_length=16)
"""Its columns are ``T, p, w`` (3 numbers) and ``s`` (text)."""

_HEAD = FileHead(
    file_id=1, previous_file_id=0, following_file_id=2, run_start=START, file_start=START,
    file_end=START + 100, name="tank", write_period=60.0, write_period_jitter=5.0,
    rollover_interval="1 days", attrs={"who": "me"}, run_id="r1",
)  # fmt: skip


def rows_from(first: int, n: int, start: float) -> Batch:
    """Rows ``first … first + n - 1`` of a file that begins at `start`; values tell their number."""
    numbers = np.arange(first, first + n)
    waves = np.stack([numbers] * 3, axis=1).astype("i2")
    texts = [f"row {number}" for number in numbers]
    return Batch(
        JOB.job, 1, first, n, (start + numbers, numbers * 1.5, numbers * 0.1, waves, texts)
    )


def begin_file(folder: Path, number: int = 1, **options: Any) -> RunFile:
    """File `number` (from 1 on) of the run, still open, with its rows in two checkpoints."""
    start = START + 100 * (number - 1)
    head = replace(
        _HEAD, file_id=number, previous_file_id=number - 1, following_file_id=number + 1,
        file_start=start, file_end=start + 100,
    )  # fmt: skip
    run_file = RunFile.create(folder / f"DAQ_{number}.hdf5", head, durable=False, **options)
    for lsn, first in enumerate((0, 23), start=1):
        run_file.append(JOB, rows_from(first, (23, ROWS - 23)[lsn - 1], start))
        run_file.checkpoint(10 * number + lsn)
    return run_file


def make_run(folder: Path, files: int = 3) -> list[Path]:
    """A run of sealed files, ``DAQ_1.hdf5`` and so on; the second one is compressed."""
    paths = []
    for number in range(1, files + 1):
        gzip = {"compression": "gzip", "shuffle": True} if number == 2 else None
        run_file = begin_file(folder, number, compression=gzip)
        last, end = number == files, START + 100 * number
        sealed = run_file.seal(
            run_end=end if last else None, file_end=end,
            following_file_id=0 if last else number + 1, new_path=run_file.path,
        )  # fmt: skip
        assert sealed is not None
        paths.append(sealed)
    return paths
