"""What was exported is what was recorded, read back by other libraries."""

import csv

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

import h5daq
from h5daq.errors import ConfigError, MissingExtra, StorageError
from h5daq.files import extras
from h5daq.files.export import export

START = 1_800_000_000.0  # when the files of `make_file` begin

ROWS = 10


def fill(file):
    tank, note = file.create_group("tank/top"), file.create_group("note")
    times = START + np.arange(ROWS)
    tank.create_dataset("time", data=times, maxshape=(None,)).attrs["units"] = (
        "seconds since 1970-01-01"
    )
    tank.create_dataset("T", data=times / 3, maxshape=(None,)).attrs["units"] = "K"
    tank.create_dataset(
        "wave", data=np.arange(2 * 3 * ROWS).reshape(ROWS, 2, 3), maxshape=(None, 2, 3)
    )
    tank.create_dataset("on", data=times % 2 == 0, maxshape=(None,))
    note.create_dataset("time", data=times[:3], maxshape=(None,))
    note.create_dataset(
        "text", data=["a", "b,ü\n", ""], maxshape=(None,), dtype=h5py.string_dtype()
    )


@pytest.fixture
def recording(make_file):
    return h5daq.open(make_file(1, fill))


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_csv_has_all_digits_and_a_cell_per_element(recording, tmp_path):
    [path] = export(recording, tmp_path / "t.csv", groups=["tank/top"])
    head, *rows = read_csv(path)
    assert head == ["time", "T", "on", *(f"wave[{i},{j}]" for i in range(2) for j in range(3))]
    assert [float(row[1]) for row in rows] == list((START + np.arange(ROWS)) / 3)
    assert [int(cell) for row in rows for cell in row[3:]] == list(range(60))


def test_texts_with_commas_and_line_ends_come_back(recording, tmp_path):
    [path] = export(recording, tmp_path / "n.csv", groups=["note"], columns=["text"])
    assert [row[1] for row in read_csv(path)] == ["text", "a", "b,ü\n", ""]


def test_a_stretch_of_time_and_each_second_row(recording, tmp_path):
    done = []
    [path] = export(
        recording, tmp_path / "t.csv", groups=["tank/top"], columns=["T"],
        start=START + 2, end=START + 7, every=2, progress=lambda *told: done.append(told),
    )  # fmt: skip
    assert [float(row[0]) - START for row in read_csv(path)[1:]] == [2, 4, 6]
    assert done[-1] == (3, 3)


def test_parquet_keeps_types_shapes_and_units(recording, tmp_path):
    [path] = export(recording, tmp_path / "t.parquet", groups=["tank/top"])
    table = pq.read_table(path)
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert table.schema.field("T").metadata[b"units"] == b"K"
    assert table["on"].to_pylist() == [True, False] * 5
    assert np.array(table["wave"].to_pylist()).ravel().tolist() == list(range(60))


def test_netcdf_has_a_group_per_job_that_xarray_understands(recording, tmp_path):
    [path] = export(recording, tmp_path / "run.nc")
    with xr.open_dataset(path, group="tank/top", engine="h5netcdf") as tank:
        assert tank["time"].dtype.kind == "M"
        assert tank["wave"].shape == (ROWS, 2, 3)
        assert tank["T"].attrs["units"] == "K"
    with xr.open_dataset(path, group="note", engine="h5netcdf") as note:
        assert note["text"].values.tolist() == ["a", "b,ü\n", ""]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_several_groups_go_to_a_directory(recording, tmp_path, form):
    paths = export(recording, tmp_path / "out", format=form)
    assert sorted(path.name for path in paths) == [f"note.{form}", f"tank.top.{form}"]


def test_blocks_are_joined_without_a_seam(recording, tmp_path, monkeypatch):
    monkeypatch.setattr("h5daq.files.export.BLOCK_BYTES", 1)
    paths = export(recording, tmp_path / "out", format="csv")
    netcdf, *_ = export(recording, tmp_path / "run.nc", groups=["tank/top"])
    assert sum(len(read_csv(path)) - 1 for path in paths) == ROWS + 3
    with xr.open_dataset(netcdf, group="tank/top", engine="h5netcdf") as tank:
        assert tank["wave"].values.ravel().tolist() == list(range(60))


def test_what_is_there_is_not_overwritten_unless_wanted(recording, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("mine")
    with pytest.raises(StorageError, match="not overwritten"):
        export(recording, path, groups=["note"])
    assert path.read_text() == "mine"
    export(recording, path, groups=["note"], overwrite=True)
    assert path.read_text().startswith("time,text")


def test_what_breaks_off_leaves_nothing_behind(recording, tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        export(recording, out, format="csv", groups=["note"], progress=stop)
    assert list(out.iterdir()) == [] if out.is_dir() else not out.exists()


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [("t.xlsx", {}, "csv"), ("t.csv", {}, "tank/top"), ("t.csv", {"columns": ["U"]}, "'U'"),
     ("t.csv", {"groups": ["x"]}, "'x'"), ("t.csv", {"every": 0}, "at least 1")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_words(recording, tmp_path, target, options, said):
    with pytest.raises(ConfigError, match=said):
        export(recording, tmp_path / target, **options)
    assert not (tmp_path / target).exists()


def test_rows_too_wide_for_csv_are_refused(make_file, tmp_path):
    def wide(file):
        file["cam/time"] = [START]
        file.create_dataset("cam/image", data=np.zeros((1, 100, 100)), maxshape=(None, 100, 100))

    with pytest.raises(ConfigError, match="Parquet or netCDF"):
        export(h5daq.open(make_file(1, wide)), tmp_path / "cam.csv")
    assert not (tmp_path / "cam.csv").exists()


def test_a_missing_package_is_named_with_its_extra(recording, tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"h5daq\[parquet\]"):
        export(recording, tmp_path / "t.parquet", groups=["note"])
