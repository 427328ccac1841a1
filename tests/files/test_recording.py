"""A recording is a run as one whole, whatever its files are called and while it goes on."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from h5daq.errors import ConfigError, ConfigKeyError, FileDamaged, StorageError
from h5daq.files.recording import open_recording

START = 1_800_000_000.0


def write(name: str, time: Any, **columns: Any) -> Any:
    def fill(file: h5py.File) -> None:
        group = file.require_group(name)
        group.create_dataset("time", data=np.asarray(time), maxshape=(None,), chunks=True)
        for label, values in columns.items():
            group.create_dataset(
                label, data=values, maxshape=(None, *np.shape(values)[1:]), chunks=True
            )

    return fill


def rows(first: int, n: int) -> Any:
    numbers = np.arange(first, first + n)
    return write("tank/T", START + numbers, T=numbers * 1.5, n=numbers.astype("i4"))


def test_a_directory_is_its_newest_run_with_all_rollovers_as_one(make_file, tmp_path):
    make_file(1, rows(0, 3), run="old", run_start=START - 1e6)
    for number in (7, 8, 9):
        make_file(number, rows(4 * number, 4))
    group = open_recording(tmp_path)["tank/T"]
    assert len(group) == 12
    assert group["n"].tolist() == list(range(28, 40))
    assert list(group.columns) == ["time", "T", "n"]


def test_files_follow_their_ids_and_not_their_names_or_clocks(make_file, tmp_path):
    make_file(3, rows(4, 2), name="a.h5")
    make_file(2, rows(2, 2), name="z.hdf5", file_end=0.0)
    make_file(1, rows(0, 2), name="m.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["file_start"] = START - 5000.0  # a clock that was set back
    recording = open_recording(tmp_path)
    assert [path.name for path in recording.files] == ["m.h5", "z.hdf5", "a.h5"]
    assert recording["tank/T"]["n"].tolist() == [0, 1, 2, 3, 4, 5]


def test_another_run_is_had_by_index_id_or_name_and_all_are_joined_on_demand(make_file, tmp_path):
    make_file(1, rows(0, 3), run="first", run_start=START - 1e6)
    make_file(5, rows(10, 4), run="second")
    for run in (-2, 0, "first"):
        assert len(open_recording(tmp_path, run=run)["tank/T"]) == 3
    assert len(open_recording(tmp_path, run="all")["tank/T"]) == 7
    with pytest.raises(ConfigError, match="no run 'third'"):
        open_recording(tmp_path, run="third")


def test_a_pattern_and_a_list_take_just_the_files_they_name(make_file, tmp_path):
    paths = [make_file(number, rows(number, 1)) for number in (1, 2, 3)]
    assert open_recording(str(tmp_path / "DAQ_[12].hdf5"))["tank/T"]["n"].tolist() == [1, 2]
    assert open_recording(reversed(paths[1:]))["tank/T"]["n"].tolist() == [2, 3]


@pytest.mark.parametrize(
    "key", [slice(2, 9), slice(-3, None), slice(None, None, 3), slice(9, 2), slice(1, 11, 5)]
)
def test_slices_over_files_give_what_slices_of_the_whole_give(make_file, tmp_path, key):
    for number in (1, 2, 3):
        make_file(number, rows(4 * number, 4))
    group = open_recording(tmp_path)["tank/T"]
    whole = group["T"]
    view = group[key]
    assert view["T"].tolist() == whole[key].tolist()
    assert view[1:]["T"].tolist() == whole[key][1:].tolist()
    assert len(view) == len(whole[key])


def test_a_mask_and_a_view_of_it_pick_rows_across_files(make_file, tmp_path):
    make_file(1, rows(0, 5))
    make_file(2, rows(5, 5))
    group = open_recording(tmp_path)["tank/T"]
    odd = group[group["n"] % 2 == 1]
    assert odd["n"].tolist() == [1, 3, 5, 7, 9]
    assert odd[1:4]["n"].tolist() == [3, 5, 7]
    assert odd[-1]["n"] == 9
    with pytest.raises(ConfigError, match="one bool per row"):
        group[np.array([True])]


def test_a_row_is_a_dict_and_a_number_outside_is_an_index_error(make_file, tmp_path):
    make_file(1, rows(0, 3))
    group = open_recording(tmp_path)["tank/T"]
    assert group[-1] == {"time": START + 2, "T": 3.0, "n": 2}
    with pytest.raises(IndexError):
        group[3]
    with pytest.raises(ConfigError, match="forwards"):
        group[::-1]


def test_between_is_half_open_and_takes_seconds_dates_and_text(make_file, tmp_path):
    make_file(1, rows(0, 5))
    make_file(2, rows(5, 5))
    group = open_recording(tmp_path)["tank/T"]
    date = datetime.fromtimestamp(START + 3, UTC)
    for moment in (START + 3, date, date.replace(tzinfo=None), date.isoformat(),
                   np.datetime64(date.replace(tzinfo=None))):  # fmt: skip
        assert group.between(moment, START + 7)["n"].tolist() == [3, 4, 5, 6]
    assert len(group.between(START + 20)) == 0
    assert group.between(end=START + 1)["n"].tolist() == [0]
    with pytest.raises(ConfigError, match="ISO 8601"):
        group.between("yesterday")


def test_between_finds_rows_that_a_clock_set_back_left_out_of_order(make_file, tmp_path):
    make_file(1, write("g", START + np.array([0, 10, 2, 11, 3.0]), n=np.arange(5)))
    group = open_recording(tmp_path)["g"].between(START + 1, START + 5)
    assert group["n"].tolist() == [2, 4]


def test_nanosecond_times_and_seconds_are_found_alike(make_file, tmp_path):
    make_file(1, write("g", (1_800_000_000 + np.arange(4)) * 10**9, n=np.arange(4)))
    group = open_recording(tmp_path)["g"]
    assert group.between(START + 1, START + 3)["n"].tolist() == [1, 2]
    assert group.times.tolist() == [START, START + 1, START + 2, START + 3]


def test_text_arrays_and_complex_values_come_back_as_they_were(make_file, tmp_path):
    text = np.array(["a", "ä", ""], h5py.string_dtype())
    wave = np.arange(12).reshape(3, 2, 2)
    make_file(1, write("g", START + np.arange(3), s=text, w=wave, c=np.array([1j, 2, 3])))
    group = open_recording(tmp_path)["g"]
    assert group["s"].tolist() == ["a", "ä", ""]
    assert group[1:]["w"].tolist() == wave[1:].tolist()
    assert group["c"].tolist() == [1j, 2, 3]
    assert group.columns["s"].is_text
    assert group.columns["w"].shape == (2, 2)


def test_a_column_that_only_some_files_have_is_filled(make_file, tmp_path):
    make_file(1, write("g", START + np.arange(2), a=np.array([1, 2])))
    make_file(2, write("g", START + np.arange(2), a=np.array([3.5, 4]), b=np.array([7, 8])))
    group = open_recording(tmp_path)["g"]
    assert group["a"].tolist() == [1.0, 2.0, 3.5, 4.0]
    np.testing.assert_array_equal(group["b"], [np.nan, np.nan, 7.0, 8.0])


def test_a_column_that_changed_its_shape_is_refused_by_name_of_the_file(make_file, tmp_path):
    make_file(1, write("g", [START], w=np.zeros((1, 4))))
    make_file(2, write("g", [START], w=np.zeros((1, 8))))
    group = open_recording(tmp_path)["g"]
    with pytest.raises(StorageError, match="DAQ_1"):
        group["w"]
    assert len(group.times) == 2


def test_what_is_not_there_is_said_with_what_is(make_file, tmp_path):
    make_file(1, rows(0, 2))
    recording = open_recording(tmp_path)
    with pytest.raises(ConfigKeyError, match="groups: tank/T"):
        recording["tank"]
    with pytest.raises(ConfigKeyError, match="it has: time, T, n"):
        recording["tank/T"]["p"]
    with pytest.raises(StorageError, match="no run files"):
        open_recording(tmp_path / "*.nothing")
    with pytest.raises(StorageError, match="No such file"):
        open_recording(tmp_path / "gone.h5")


def test_a_damaged_file_is_left_out_aloud_but_refused_when_asked_for(make_file, tmp_path):
    make_file(1, rows(0, 2))
    bad = tmp_path / "bad.h5"
    bad.write_bytes(b"not HDF5 at all")
    with pytest.warns(UserWarning, match=r"left out .*bad\.h5"):
        recording = open_recording(tmp_path)
    assert len(recording["tank/T"]) == 2
    assert list(recording.skipped) == [bad]
    with pytest.raises(FileDamaged):
        open_recording(bad)


def test_a_file_that_somebody_keeps_locked_is_waited_for_once_and_taken_when_free(
    make_file, tmp_path
):
    make_file(1, rows(0, 2))
    late = make_file(2, rows(2, 2))
    descriptor = os.open(late, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.warns(UserWarning, match="still locked"):
        recording = open_recording(tmp_path, patience=0.01)
    assert len(recording["tank/T"]) == 2
    assert list(recording.skipped) == [late]
    os.close(descriptor)
    assert len(recording["tank/T"]) == 4
    assert recording.skipped == {}


def test_a_copy_of_a_file_does_not_double_its_rows(make_file, tmp_path):
    path = make_file(1, rows(0, 2))
    (tmp_path / "DAQ_copy.hdf5").write_bytes(path.read_bytes())
    with pytest.warns(UserWarning, match="a copy of"):
        assert len(open_recording(tmp_path)["tank/T"]) == 2


def test_plain_files_without_ids_are_read_too(tmp_path):
    for name in ("b.h5", "a.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            rows(0, 2)(file)
            file["calibration"] = [1.0, 2.0]
            file["tank/T/offsets"] = np.zeros(7)
    recording = open_recording(str(tmp_path / "*.h5"))
    assert recording.groups == ("tank/T",)
    assert recording["tank/T"]["n"].tolist() == [0, 1, 0, 1]


def test_rows_that_come_later_are_seen_by_the_next_look_only(make_file, tmp_path):
    path = make_file(1, rows(0, 2))
    recording = open_recording(tmp_path)
    before = recording["tank/T"]
    with h5py.File(path, "r+") as file:
        for dataset in file["tank/T"].values():
            dataset.resize(5, axis=0)
    make_file(2, rows(5, 1))
    assert (len(before), len(before["T"])) == (2, 2)
    assert len(recording["tank/T"]) == 6


def test_a_view_outlives_the_renaming_of_its_file(make_file, tmp_path):
    path = make_file(1, rows(0, 3))
    by_directory, by_path = open_recording(tmp_path), open_recording(path)
    group = by_directory["tank/T"]
    path.rename(tmp_path / "DAQ_sealed.hdf5")
    assert group["n"].tolist() == [0, 1, 2]
    assert len(by_path["tank/T"]) == 3
    assert [file.name for file in by_directory.files] == ["DAQ_sealed.hdf5"]


def test_no_file_stays_open_between_two_looks(make_file, tmp_path):
    path = make_file(1, rows(0, 3))
    group = open_recording(tmp_path)["tank/T"]
    group.read()
    with h5py.File(path, "r+") as file:  # would be refused while somebody reads
        file["tank/T/T"][0] = 99.0
    assert group["T"][0] == 99.0


def test_within_a_with_block_the_state_stands_still(make_file, tmp_path):
    make_file(1, rows(0, 2))
    with open_recording(tmp_path) as recording:
        assert len(recording["tank/T"]) == 2
        make_file(2, rows(2, 2))
        assert len(recording["tank/T"]) == 2
    assert len(recording["tank/T"]) == 4


def test_losses_are_those_of_the_newest_file_of_each_run(make_file, tmp_path):
    def fill(overflow: int) -> Any:
        def more(file: h5py.File) -> None:
            rows(0, 1)(file)
            file["tank/T"].attrs.update(lost_overflow=overflow, lost_shape=0)
            file["tank/T"].attrs["restart_times"] = [START + 5]
            file["tank/T"].attrs["restart_causes"] = ["killed"]

        return more

    make_file(1, fill(3), run="old", run_start=START - 1e6)
    make_file(7, fill(2))
    make_file(8, fill(5))
    assert open_recording(tmp_path)["tank/T"].lost == {"overflow": 5}
    joined = open_recording(tmp_path, run="all")["tank/T"]
    assert joined.lost == {"overflow": 8}
    assert joined.restarts == [(START + 5, "killed")]


def test_xarray_gets_times_units_and_named_dimensions(make_file, tmp_path):
    def fill(file: h5py.File) -> None:
        write("g", START + 0.25 + np.arange(2), T=np.ones(2), w=np.zeros((2, 3)))(file)
        file["g/T"].attrs["units"] = "K"
        file["g"].attrs["place"] = "tower"

    make_file(1, fill)
    dataset = open_recording(tmp_path)["g"].to_xarray()
    assert dataset["w"].dims == ("time", "w_0")
    assert dataset["T"].attrs == {"units": "K"}
    assert dataset.attrs["place"] == "tower"
    assert str(dataset["time"].values[0]) == "2027-01-15T08:00:00.250000000"


def test_pandas_gets_a_utc_index_and_arrays_in_cells(make_file, tmp_path):
    make_file(1, write("g", START + np.arange(2), T=np.ones(2), w=np.zeros((2, 3))))
    frame = open_recording(tmp_path)["g"].to_pandas()
    assert str(frame.index.tz) == "UTC"
    assert frame["T"].tolist() == [1.0, 1.0]
    assert frame["w"].iloc[1].shape == (3,)


def test_files_are_paths_and_the_recording_tells_what_it_is(make_file, tmp_path):
    path = make_file(1, rows(0, 2), experiment="cooldown")
    recording = open_recording(str(path))
    assert recording.files == (Path(path),)
    assert recording.attrs["experiment"] == "cooldown"
    assert "tank/T" in recording
    assert list(recording) == ["tank/T"]
    assert "1 groups in 1 files" in repr(recording)
    assert "2 rows of time, T, n" in repr(recording["tank/T"])
