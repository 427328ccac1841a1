"""Views of views of a group over several files are what numpy makes of the whole."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.files.group import Group
from h5daq.files.recording import open_recording

ROWS = (3, 0, 5, 1, 4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Group:
    directory = tmp_path_factory.mktemp("views")
    first = 0
    for number, n in enumerate(ROWS, 1):
        with h5py.File(directory / f"{number}.h5", "w") as file:
            file.attrs.update(file_id=number, previous_file_id=number - 1, run_id="r")
            numbers = np.arange(first, first + n)
            # Times that go up and down, so that a stretch of time is no stretch of rows.
            file.create_dataset("g/time", data=(numbers * 7 % 13) * 1.0, maxshape=(None,))
            file.create_dataset("g/n", data=numbers, maxshape=(None,))
        first += n
    return open_recording(directory)["g"]


_bound = st.none() | st.integers(-15, 15)
_cuts = st.one_of(
    st.builds(slice, _bound, _bound, st.none() | st.integers(1, 4)),
    st.tuples(st.integers(0, 13), st.integers(0, 13)),
    st.integers(0, 2**13 - 1),
)


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(_cuts, max_size=3))
def test_slices_masks_and_times_pick_the_rows_that_numpy_picks(whole: Group, cuts: list[Any]):
    view, expected = whole, np.arange(sum(ROWS))
    for cut in cuts:
        times = expected * 7 % 13
        if isinstance(cut, slice):
            view, expected = view[cut], expected[cut]
        elif isinstance(cut, tuple):
            chosen = (times >= cut[0]) & (times < cut[1])
            view, expected = view.between(*cut), expected[chosen]
        else:
            mask = np.array([bool(cut >> i & 1) for i in range(len(expected))], bool)
            view, expected = view[mask], expected[mask]
    assert len(view) == len(expected)
    assert view["n"].tolist() == expected.tolist()
    assert view.times.tolist() == (expected * 7 % 13).tolist()
