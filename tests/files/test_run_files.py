"""Files that the writer makes are read as they are, while it writes them and afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h5daq.files.recording import open_recording
from h5daq.files.tree import as_lines, describe
from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column, Schema
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile

START = 1_800_000_000.0
SCHEMA = Schema.of(
    [
        Column("T", np.dtype("f8"), unit="K", description="top"),
        Column("w", np.dtype("i2"), (3,)),
        Column("s", np.dtype(object)),
    ]
)
JOB = JobHead("tank/T", SCHEMA, {"place": "tower"}, 0.5)


def head(number: int) -> FileHead:
    return FileHead(
        file_id=number,
        previous_file_id=number - 1,
        following_file_id=number + 1,
        run_start=START,
        file_start=START + 100 * number,
        file_end=START + 100 * (number + 1),
        name="tank",
        write_period=60.0,
        write_period_jitter=5.0,
        rollover_interval="1 days",
        attrs={"run": 12},
        run_id="r1",
    )


def batch(first: int, n: int) -> Batch:
    numbers = np.arange(first, first + n)
    waves = np.stack([numbers] * 3, axis=1).astype("i2")
    texts = [f"n{number}" for number in numbers]
    return Batch("tank/T", 1, first, n, (START + numbers, numbers * 1.5, waves, texts))


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    for number in (1, 2):
        run_file = RunFile.create(tmp_path / f"open_{number}.hdf5", head(number), durable=False)
        run_file.append(JOB, batch(5 * number, 5))
        run_file.checkpoint(
            number, losses={"tank/T": {"shape": 2, "late": 1}, "dead": {"getter": 9}}
        )
        run_file.seal(
            run_end=None, file_end=START + 100 * (number + 1), following_file_id=number + 1,
            new_path=tmp_path / f"DAQ_{3 - number}.hdf5",
        )  # fmt: skip
    return tmp_path


def test_a_run_of_sealed_files_is_one_recording(sealed):
    group = open_recording(sealed)["tank/T"]
    assert group["T"].tolist() == [1.5 * n for n in range(5, 15)]
    assert group["s"].tolist()[-1] == "n14"
    assert group["w"].shape == (10, 3)
    assert (group.columns["T"].unit, group.columns["T"].description) == ("K", "top")
    assert (group.attrs["place"], group.lost, group.late) == ("tower", {"shape": 2}, 1)


def test_xarray_of_a_recording_is_what_xarray_reads_itself(sealed):
    xarray = pytest.importorskip("xarray")
    ours = open_recording(sealed / "DAQ_2.hdf5")["tank/T"].to_xarray()
    with xarray.open_dataset(sealed / "DAQ_2.hdf5", group="tank/T", engine="h5netcdf") as theirs:
        np.testing.assert_array_equal(ours["T"], theirs["T"])
        np.testing.assert_array_equal(ours["time"].values, theirs["time"].values)
        assert ours["T"].attrs["units"] == theirs["T"].attrs["units"] == "K"


def test_a_file_that_is_written_shows_its_last_checkpoint(tmp_path):
    run_file = RunFile.create(tmp_path / "DAQ_1.hdf5", head(1), durable=False)
    recording = open_recording(tmp_path)
    for checkpoint in (1, 2, 3):
        run_file.append(JOB, batch(5 * (checkpoint - 1), 5))
        before = len(recording["tank/T"]) if checkpoint > 1 else 0
        run_file.checkpoint(checkpoint)
        assert (before, len(recording["tank/T"])) == (5 * (checkpoint - 1), 5 * checkpoint)
    run_file.close()


def test_a_view_at_rest_keeps_its_state_while_the_writer_goes_on(tmp_path):
    run_file = RunFile.create(tmp_path / "DAQ_1.hdf5", head(1), durable=False)
    run_file.append(JOB, batch(0, 5))
    run_file.checkpoint(1)
    with open_recording(tmp_path) as recording:
        assert recording["tank/T"]["T"].tolist() == [0.0, 1.5, 3.0, 4.5, 6.0]
        run_file.append(JOB, batch(5, 5))
        run_file.checkpoint(2)
        assert run_file.pending
        assert len(recording["tank/T"]) == 5
    assert run_file.apply_pending()
    assert len(recording["tank/T"]["s"]) == 10
    run_file.close()


def test_the_tree_tells_of_a_job_that_lost_all_its_rows(sealed):
    text = "\n".join(as_lines(describe(sealed / "DAQ_1.hdf5")))
    assert "dead/  lost 9 (getter)" in text
    assert "time  float64 [s]" in text
    assert "lost 2 (shape), 1 late" in text
    assert "w  int16 3\n" in text
