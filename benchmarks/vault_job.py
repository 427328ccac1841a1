"""A job's rows through the vault, beside h5py on the same file: a part of `benchmarks.vault`."""

from __future__ import annotations

import time
from pathlib import Path

import h5py
import numpy as np

from benchmarks.vault_client import Client
from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column, Schema
from h5daq.flow.vaultwire import decode_columns
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile

__all__ = ["read_job", "read_job_h5py", "record"]

_START = 1_700_000_000.0
_LABELS = [f"x{n}" for n in range(1, 8)]
_BATCH = 10_000
_NAME = "earlier.hdf5"

_PAGES = 2
"""In flight of who reads."""


def record(folder: Path, rows: int) -> None:
    """The file of a run that is over, whose one job has a time and seven floats."""
    times = _START, _START, _START + 1e9
    head = FileHead(1, 0, 0, *times, "earlier", 60.0, 5.0, "1 days", run_id="earlier")
    job = JobHead("fast", Schema.of([Column(label, np.dtype("f8")) for label in _LABELS]))
    file, noise = RunFile.create(folder / _NAME, head), np.random.default_rng(1).random(_BATCH)
    for first in range(0, rows, _BATCH):
        times = _START + np.arange(first, first + _BATCH) / 1000
        file.append(job, Batch("fast", 1, first, _BATCH, (times, *[noise + first] * len(_LABELS))))
    file.checkpoint(1)
    file.close()


def read_job(client: Client) -> float:
    """Rows per second of all of it over the socket, by column; another page is on its way."""
    client("cd", path=["", "earlier"])
    client("open", name="fast")
    began, done, asked, more = time.perf_counter(), 0, _PAGES, True
    for _ in range(_PAGES):
        client.send("get_ex_t")
    while asked:
        reply, asked = client.receive(), asked - 1
        more = more and reply.result["more"]
        if more:
            client.send("get_ex_t")
            asked += 1
        done += len(decode_columns(reply.result, reply.frames)[0])
    return done / (time.perf_counter() - began)


def read_job_h5py(folder: Path) -> float:
    """Rows per second of plain h5py."""
    began = time.perf_counter()
    with h5py.File(folder / _NAME) as file:
        columns = [file["fast"][label][:] for label in ("time", *_LABELS)]
    return len(columns[0]) / (time.perf_counter() - began)
