"""The run file as other programs meet it: xarray with two engines, silx, h5dump."""

import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import xarray as xr
from silx.io import nxdata

from h5daq.flow.schema import Column, Schema
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile
from h5daq.testing.layouts import sample_batch

FLOAT = np.dtype("f8")
TANK = Schema.of(
    [
        Column("T", FLOAT, unit="K", description="wall temperature"),
        Column("n", np.dtype("i4")),
        Column("P", FLOAT, unit="mbar"),
    ]
)
WAVES = Schema.of([Column("wave", np.dtype("f4"), (5,)), Column("cov", FLOAT, (2, 2))])
MIXED = Schema.of(
    [
        Column("note", str),
        Column("ok", np.dtype("?")),
        Column("z", np.dtype("c16")),
        Column("id", np.dtype("S4")),
        Column("x", np.dtype("f4"), unit="V"),
    ],
    "i8",
)


def written(path, *jobs):
    run_file = RunFile.create(path, FileHead(1, 0, 2, 0.0, 0.0, 100.0, "run", 1.0, 0.0, "1 days"))
    for job in jobs:
        run_file.append(job, sample_batch(job, 0, 7))
    run_file.checkpoint(1)
    run_file.close()
    return path


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A file with nested jobs, arrays and text, in the middle of a run."""
    path = tmp_path_factory.mktemp("sample") / "run.hdf5"
    return written(
        path, JobHead("deep/tank", TANK), JobHead("waves", WAVES), JobHead("mixed", MIXED)
    )


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_has_times_and_units_with_no_help(sample, engine):
    with xr.open_dataset(sample, group="deep/tank", engine=engine) as tank:
        assert set(tank.variables) == {"time", "T", "n", "P"}
        assert tank.time.dtype.kind == "M"
        assert tank.time.values[1] == np.datetime64("1970-01-01T00:00:01")
        assert tank["T"].dims == ("time",)
        assert tank["T"].attrs["units"] == "K"
        assert tank["T"].attrs["long_name"] == "wall temperature"
        np.testing.assert_array_equal(tank["n"], np.arange(7))


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_knows_the_axes_of_arrays(sample, engine):
    with xr.open_dataset(sample, group="waves", engine=engine) as waves:
        assert waves["wave"].dims == ("time", "dim_5")
        assert waves["cov"].dims == ("time", "dim_2", "dim_2_1")
        assert waves["wave"].sel(time=waves.time[3]).values.tolist() == [3.0] * 5


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_reads_text_bools_and_nanoseconds(sample, engine):
    with xr.open_dataset(sample, group="mixed", engine=engine) as mixed:
        assert mixed["note"].values[3] == "row 3: \N{DEGREE SIGN}"
        assert mixed["ok"].values.astype(bool).tolist() == [False] + [True] * 6
        assert mixed.time.values[2] == np.datetime64(2, "ns")


def test_silx_finds_the_plot_from_the_root(sample):
    with h5py.File(sample) as file:
        plot = nxdata.get_default(file)
        assert plot.group.name == "/deep/tank"
        assert plot.is_valid
        assert plot.signal_dataset_name == "T"
        assert plot.axes_dataset_names == ["time"]
        assert list(plot.auxiliary_signals_dataset_names) == ["n", "P"]
        assert all(nxdata.NXdata(file[g], validate=True).is_valid for g in ("waves", "mixed"))


@pytest.mark.skipif(not shutil.which("h5dump"), reason="h5dump is not installed")
def test_h5dump_of_hdf5_1_10_reads_everything(sample):
    done = subprocess.run(["h5dump", str(sample)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "wall temperature" in done.stdout


def test_a_reader_without_h5daq_needs_no_plugin(sample):
    script = "import h5py, sys; f = h5py.File(sys.argv[1]); print(f['deep/tank/n'][-1])"
    done = subprocess.run([sys.executable, "-c", script, str(sample)], capture_output=True,
                          text=True, timeout=60, check=True, cwd="/")  # fmt: skip
    assert done.stdout.strip() == "6"


def test_above_a_thousand_labels_the_scales_are_left_out(tmp_path):
    labels = [f"x{i}" for i in range(1001)]
    wide = JobHead("wide", Schema.of([Column(label, np.dtype("f4")) for label in labels]))
    with h5py.File(written(tmp_path / "run.hdf5", wide)) as file:
        assert not file["wide/x0"].dims[0]
        assert file["wide"].attrs["NX_class"] == "NXdata"
        assert file["wide/time"].attrs["units"].startswith("seconds since")
        assert len(file["wide"].attrs["auxiliary_signals"]) == 1000
