"""Rates, gaps and steps back, found in times that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import h5daq
from h5daq.files.summary import summarise

START = 1_800_000_000.0  # when the files of `make_file` begin


def group_of(make_file, times, number=1):
    def fill(file):
        file.create_dataset("tank/time", data=np.asarray(times, "f8"), maxshape=(None,))
        file.create_dataset("tank/n", data=np.arange(len(times)), maxshape=(None,))

    return h5daq.open(make_file(number, fill))["tank"]


def test_a_steady_job_has_a_rate_and_no_gaps(make_file):
    found = summarise(group_of(make_file, START + 0.5 * np.arange(101)))
    assert (found.rate, found.period, found.gap_count) == (2.0, 0.5, 0)
    assert (found.first, found.last) == ({"n": 0}, {"n": 100})


def test_a_gap_is_told_with_its_begin_and_length(make_file):
    times = START + np.concatenate([np.arange(50), np.arange(100, 150)])
    found = summarise(group_of(make_file, times))
    assert found.gaps == [(START + 49, 51.0)]


def test_a_clock_that_was_set_back_is_counted(make_file):
    found = summarise(group_of(make_file, START + np.array([0, 1, 2, 1, 2, 3, 4])))
    assert found.back_count == 1


@pytest.mark.parametrize("rows", [0, 1])
def test_of_next_to_nothing_no_rate_is_claimed(make_file, rows):
    found = summarise(group_of(make_file, START + np.arange(rows)))
    assert (found.rows, found.rate, found.period, found.gaps) == (rows, None, None, [])


@given(st.lists(st.integers(1, 4) | st.just(50), min_size=20, max_size=60))
@settings(max_examples=25, deadline=None)
def test_gaps_over_the_border_of_blocks_are_found(tmp_path_factory, steps):
    import h5py

    path = tmp_path_factory.mktemp("gaps") / "a.hdf5"
    times = START + np.cumsum(steps)
    with h5py.File(path, "w") as file:
        file.create_dataset("tank/time", data=times.astype("f8"), maxshape=(None,))
    group = h5daq.open(path)["tank"]
    group.blocks = lambda rows=7: (group[k : k + 7] for k in range(0, len(group), 7))
    found = summarise(group)
    limit = 5 * np.median(np.diff(times))
    assert found.gap_count == np.count_nonzero(np.diff(times) > limit)
