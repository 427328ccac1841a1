"""Following a run: each row once, in order, over rollovers, until the run has ended."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import h5py
import pytest

import h5daq
from h5daq.errors import NoAnswer
from h5daq.files.follow import Follower
from h5daq.files.recording import open_recording
from h5daq.storage.layouts.run import RunFile
from h5daq.testing import runs
from h5daq.testing.runs import JOB, ROWS, START, begin_file, rows_from


def numbers(found: Any) -> list[int]:
    """The rows' numbers in the run, which their texts tell."""
    return [int(text.split()[1]) for rows in found for text in rows["s"]]


def follower(folder: Path, **options: Any) -> Follower:
    made = Follower(open_recording(folder).runs[-1], **options)
    made.skip()
    return made


def append(file: RunFile, first: int, n: int, lsn: int) -> None:
    file.append(JOB, rows_from(first, n, START))
    file.checkpoint(lsn)


def seal(file: RunFile, path: Path, last: bool) -> None:
    file.seal(run_end=START + 200 if last else None, file_end=START + 100,
              following_file_id=0 if last else 2, new_path=path)  # fmt: skip


def test_rows_are_given_once_as_checkpoints_bring_them(tmp_path):
    file = begin_file(tmp_path)
    found = follower(tmp_path)
    assert list(found.look()) == []
    append(file, ROWS, 3, 20)
    (rows,) = found.look()
    assert (rows.name, len(rows), rows["T"].shape, rows["w"].shape) == (JOB.job, 3, (3,), (3, 3))
    assert rows.times.tolist() == [START + ROWS + n for n in range(3)]
    assert list(found.look()) == []
    file.close()


def test_a_last_name_and_a_next_file_give_no_row_twice(tmp_path):
    first = begin_file(tmp_path)
    found = follower(tmp_path)
    append(first, ROWS, 3, 20)
    second = begin_file(tmp_path, 2)
    assert numbers(found.look()) == [*range(ROWS, ROWS + 3), *range(ROWS)]
    append(first, ROWS + 3, 1, 21)
    seal(first, tmp_path / "another name.hdf5", last=False)
    append(second, ROWS, 2, 50)
    assert numbers(found.look()) == [ROWS + 3, ROWS, ROWS + 1]
    assert not found.ended
    seal(second, tmp_path / "last.hdf5", last=True)
    assert list(found.look()) == []
    assert found.ended


def test_rows_behind_a_reader_come_when_it_lets_go_and_the_end_waits_for_them(
    tmp_path, monkeypatch
):
    from h5daq.storage.layouts import run as module

    monkeypatch.setattr(module, "wait_for_readers", lambda target: None)
    first, second = begin_file(tmp_path), begin_file(tmp_path, 2)
    found = follower(tmp_path)
    with h5py.File(first.path):
        append(first, ROWS, 3, 20)
        append(second, ROWS, 2, 50)
        seal(first, first.path, last=False)
        seal(second, second.path, last=True)
        assert numbers(found.look()) == [ROWS, ROWS + 1]
        assert not found.ended
    h5daq.storage.transaction.recover_directory(tmp_path)
    assert numbers(found.look()) == [ROWS, ROWS + 1, ROWS + 2]
    assert found.ended


def test_only_the_wanted_groups_and_the_past_if_asked_for(tmp_path):
    runs.make_run(tmp_path)
    recording = open_recording(tmp_path)
    assert numbers(recording.follow(past=True)) == [*range(ROWS)] * 3
    assert list(recording.follow("tank/nothing", past=True)) == []
    assert list(recording.follow()) == []


def test_large_rows_come_in_parts(tmp_path, monkeypatch):
    from h5daq.files import follow as module

    monkeypatch.setattr(module, "_BLOCK_BYTES", 10 * 40)
    runs.make_run(tmp_path, files=1)
    parts = list(open_recording(tmp_path).follow(past=True))
    assert len(parts) > 2
    assert numbers(parts) == list(range(ROWS))


def test_who_waits_for_a_run_that_says_nothing_gives_up(tmp_path):
    file = begin_file(tmp_path)
    with pytest.raises(NoAnswer, match="has not ended"):
        list(open_recording(tmp_path).follow(every=0.01, timeout=0.05))
    file.close()


@pytest.mark.processes
def test_every_row_of_a_real_run_with_rollovers_comes_once_and_in_order(tmp_path, wait_until):
    count = itertools.count()
    job = h5daq.DAQJob("tank", "n", lambda: next(count), read_period=0.005, dtype="i8")
    options = {"write_period": 3600, "rollover_size": 2000}
    with h5daq.DAQDaemon(job, directory=tmp_path, **options) as daemon:
        wait_until(lambda: daemon.job_rows("tank") > 0)
        daemon.flush()
        with h5daq.connect(directory=tmp_path) as client:
            found = h5daq.open(tmp_path).follow("tank", client=client, past=True, every=0.05)
            came = values(itertools.takewhile(lambda rows: rows["n"][-1] < 300, found))
            found.close()
    recording = h5daq.open(tmp_path)
    assert came == list(range(len(came)))
    assert len(recording.files) > 1
    rest = values(recording.follow(past=True))
    assert rest == recording["tank"]["n"].tolist() == list(range(len(rest)))


def values(found: Any) -> list[int]:
    return [int(n) for rows in found for n in rows["n"]]
