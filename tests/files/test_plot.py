"""A plot shows what is in a column however long it is, and says why when it can't."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.canvas import Curve, Size, draw
from h5daq.errors import ConfigError
from h5daq.files.plot import plot_column, series
from h5daq.files.recording import open_recording

START = 1_800_000_000.0


@pytest.fixture
def group(make_file):
    def make(n: int = 1000, step: float = 1.0, **columns: Any) -> Any:
        def fill(file: h5py.File) -> None:
            group = file.create_group("g")
            for label, data in {"time": START + step * np.arange(n), **columns}.items():
                group.create_dataset(label, data=data, maxshape=(None, *data.shape[1:]))
            for label in columns:
                group[label].attrs["units"] = "K"

        return open_recording(make_file(1, fill))["g"]

    return make


def test_a_time_series_has_title_unit_times_and_the_asked_size(group):
    text = plot_column(group(T=np.arange(1000.0)), "T", width=70, height=12, color=False)
    lines = text.splitlines()
    assert len(lines) == 12
    assert {len(line) for line in lines} == {70}
    assert "g/T [K]  1,000 rows" in lines[0]
    assert "08:05:00" in text
    assert "UTC" in lines[-1]
    assert "\x1b" not in text


def test_a_single_spike_among_many_rows_is_seen(group):
    values = np.zeros(100_000)
    values[77_777] = 5.0
    curve = series(group(100_000, T=values), "T", 100)
    assert len(curve.x) <= 200
    assert curve.y.max() == 5.0
    assert curve.x[curve.y.argmax()] == START + 77_777


def test_few_rows_stay_as_they_are(group):
    values = np.array([3.0, 1.0, 2.0])
    curve = series(group(3, T=values), "T", 100)
    assert curve.y.tolist() == [3.0, 1.0, 2.0]
    assert curve.x.tolist() == [START, START + 1, START + 2]


def test_missing_values_are_a_gap_and_a_slow_job_is_none(group):
    values = np.arange(100.0)
    values[40:60] = np.nan
    curve = series(group(100, T=values), "T", 50)
    assert np.isnan(curve.y).any()
    assert np.nanmax(curve.y) == 99
    assert not np.isnan(series(group(10, step=60.0, T=np.arange(10.0)), "T", 500).y).any()


def test_of_arrays_the_newest_row_is_drawn(group):
    waves = np.zeros((3, 64))
    waves[2] = np.linspace(-7.0, 7.0, 64)
    text = plot_column(group(3, w=waves), "w", color=False)
    assert "row of 2027-01-15 08:00:02.000 UTC" in text
    assert "7.0" in text


def test_two_dimensional_waveforms_are_a_few_curves_or_an_error(group):
    rows = group(2, few=np.ones((2, 3, 8)), many=np.ones((2, 30, 8)))
    assert plot_column(rows, "few", color=False)
    with pytest.raises(ConfigError, match="30 lines"):
        plot_column(rows, "many")


def test_what_can_not_be_plotted_is_said(group):
    rows = group(2, s=np.full(2, "x", h5py.string_dtype()), nan=np.full(2, np.nan), T=np.ones(2))
    for view, label, words in [
        (rows, "s", "text"), (rows, "nan", "no finite"), (rows, "q", "time, T, nan, s"),
        (rows[:0], "T", "no rows"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            plot_column(view, label)


def test_milliseconds_are_told_apart_on_the_axis_of_time():
    x = START + np.array([0.0, 0.001, 0.002, 0.003])
    left = draw([Curve(x, np.array([0.0, 1.0, 0.0, 1.0]))], "t", Size(60, 10), color=False)
    right = draw([Curve(x, np.array([0.0, 0.0, 0.0, 1.0]))], "t", Size(60, 10), color=False)
    assert left != right


def test_colours_are_there_only_when_asked_for():
    curve = Curve(np.arange(5.0), np.arange(5.0))
    assert "\x1b[" in draw([curve, curve], "t", Size(), color=True)
    assert "\x1b" not in draw([curve, curve], "t\x1b[2J", Size(), color=False)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(-1e300, 1e300) | st.just(float("nan")), min_size=1, max_size=20),
    st.integers(1, 120),
    st.integers(1, 30),
)
def test_whatever_the_values_a_plot_is_drawn_or_refused(values, width, height):
    curve = Curve(np.arange(float(len(values))), np.array(values))
    if np.isfinite(curve.y).any():
        assert draw([curve], "t", Size(width, height), color=False)
    else:
        with pytest.raises(ConfigError):
            draw([curve], "t", Size(width, height), color=False)
