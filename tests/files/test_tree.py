"""The tree of a file says what is in it, in colour, in plain text and as JSON."""

from __future__ import annotations

import io
import json

import h5py
import numpy as np
import pytest
from rich.console import Console

from h5daq.files.tree import as_dict, as_lines, as_tree, describe

START = 1_800_000_000.0


@pytest.fixture
def path(make_file):
    def fill(file: h5py.File) -> None:
        group = file.create_group("tower/T")
        for label, data in (("time", START + np.arange(1234)), ("T", np.zeros(1234)),
                            ("wave", np.zeros((1234, 8, 2), "i2")),
                            ("note", np.full(1234, "x", h5py.string_dtype()))):  # fmt: skip
            group.create_dataset(label, data=data, maxshape=(None, *data.shape[1:]))
        group["T"].attrs.update(units="K", long_name="top")
        group.attrs.update(
            lost_overflow=7,
            lost_shape=0,
            restart_times=[START],
            restart_causes=["killed"],
            clock_jumps=[[START + 1, 3600.0], [START + 2, -0.5]],
        )
        file["calibration"] = np.zeros((2, 3))
        file["round"] = h5py.SoftLink("/")

    return make_file(1, fill, interrupted=1)


def test_the_lines_tell_rows_times_units_shapes_and_losses(path):
    text = "\n".join(as_lines(describe(path)))
    for piece in (
        "interrupted", "run 'tank'", "T/  1,234 rows  2027-01-15 08:00:00.000 UTC",
        "lost 7 (overflow), 1 restarts, clock set +3600 s, -0.5 s", "T  float64 [K]  top",
        "wave  int16 8 × 2", "note  text", "calibration  float64 (2, 3)",
    ):  # fmt: skip
        assert piece in text
    assert "shape)" not in text


def test_the_drawn_tree_has_the_same_lines(path):
    console = Console(file=io.StringIO(), width=200)
    console.print(as_tree(describe(path)))
    drawn = [line.lstrip("│├└─ ").rstrip() for line in console.file.getvalue().splitlines()]
    assert drawn == [line.strip() for line in as_lines(describe(path))]


def test_the_dict_is_json_with_the_columns_of_each_group(path):
    told = json.loads(json.dumps(as_dict(describe(path))))
    job = told["groups"]["tower"]["groups"]["T"]
    assert (job["rows"], job["lost"], job["restarts"]) == (1234, {"overflow": 7}, 1)
    assert job["clock_jumps"] == [[START + 1, 3600.0], [START + 2, -0.5]]
    assert job["columns"]["wave"] == {
        "dtype": "<i2", "shape": [8, 2], "unit": "", "description": ""}  # fmt: skip
    assert told["datasets"]["calibration"]["shape"] == [2, 3]


def test_any_hdf5_file_has_a_tree_and_names_can_not_move_the_cursor(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["odd\x1b[2J"] = 3
        file.attrs["none"] = h5py.Empty("f8")
        file.create_group("empty")
    text = "\n".join(as_lines(describe(tmp_path / "a.h5")))
    assert "odd·[2J  int64" in text
    assert "empty/" in text
    assert "\x1b" not in text
