"""Losses and restarts that grow for long: HDF5 keeps them, and the file can still be closed.

In the heap to which HDF5 moves attributes by default it loses its way after some sixty restarts.
"""

import random

import h5py
import numpy as np
import pytest

from h5daq.flow.schema import Column, Schema
from h5daq.storage.layouts.heads import FileHead, JobHead
from h5daq.storage.layouts.run import RunFile
from h5daq.testing.layouts import sample_batch

START = 1_790_000_000.0
HEAD = FileHead(7, 0, 8, START, START, START + 1e6, "run", 1.0, 0.0, "1 days")
JOBS = [
    JobHead(name, Schema.of([Column("T", np.dtype("f8"))]), {f"u{n}": "text" for n in range(8)})
    for name in ("tank/a", "tank/b", "c")
]


class Notes:
    """Losses and restarts of three jobs, as a run with much trouble brings them about."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.lost = {job.job: {} for job in JOBS}
        self.restarts = []

    def grow(self):
        for job in JOBS:
            causes = self.lost[job.job]
            name = self.dice.choice(("x" * 50, "abc", "trim")) + str(self.dice.randint(0, 19))
            causes |= {cause: n + 1 for cause, n in causes.items()} | {name: 1}
            for _ in range(self.dice.randint(0, 4)):
                self.restarts.append((job.job, START + len(self.restarts), "killed by signal 9"))
        return {"losses": self.lost, "restarts": self.restarts}


@pytest.mark.parametrize("seed", range(4))
def test_many_restarts_and_losses_leave_a_file_that_can_be_closed(tmp_path, seed):
    notes = Notes(seed)
    run_file = RunFile.create(tmp_path / "run.hdf5", HEAD, durable=False)
    for number in range(1, 81):
        for job in JOBS:
            run_file.append(job, sample_batch(job, number, 1))
        run_file.checkpoint(number, **notes.grow())
    run_file.close()
    with h5py.File(tmp_path / "run.hdf5") as file:
        for job in JOBS:
            times = [time for name, time, _ in notes.restarts if name == job.job]
            assert list(file[job.job].attrs["restart_times"]) == times
            for cause, n in notes.lost[job.job].items():
                assert file[job.job].attrs[f"lost_{cause}"] == n


def test_restarts_are_written_only_when_there_are_new_ones(tmp_path):
    job, lost = JOBS[0], {"a": 0}
    run_file = RunFile.create(tmp_path / "run.hdf5", HEAD, durable=False)
    run_file.append(job, sample_batch(job, 0, 1))
    sizes = []
    for number in range(1, 60):
        lost["a"] += 1
        restarts = [(job.job, START, "died")] * 20
        run_file.checkpoint(number, losses={job.job: dict(lost)}, restarts=restarts)
        sizes.append(run_file.size_bytes)
    run_file.close()
    # Each time that they are written HDF5 takes another 4 KiB for the texts.
    assert sizes[-1] - sizes[5] < 4096
