"""Drawings, and the rows that they are made from; no kernel, no run."""

import re
import xml.etree.ElementTree as ET

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import h5daq
from h5daq.notebook.figure import HEIGHT, WIDTH, Panel, drawing
from h5daq.notebook.rows import Track

NUMBERS = hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats())


@given(NUMBERS, st.text(), st.booleans())
def test_whatever_the_values_the_drawing_is_svg_and_stays_on_its_paper(values, title, is_time):
    x = np.arange(float(len(values)))
    title = "".join(c for c in title if c.isprintable())
    svg = drawing([Panel(title, [(x, values)], is_time=is_time)], "foot")
    ET.fromstring(svg)
    for points in re.findall(r'points="([^"]*)"', svg):
        for right, down in (map(float, pair.split(",")) for pair in points.split()):
            assert 0 <= right <= WIDTH
            assert 0 <= down <= HEIGHT


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats()))
def test_an_image_of_any_values_is_a_picture_of_that_size(values):
    svg = drawing([Panel("camera", image=values)], "")
    assert ET.fromstring(svg).find(".//{*}image").get("href").startswith("data:image/png;base64,")


def test_what_the_files_have_replaces_what_was_told_and_old_points_leave_the_window():
    track = Track(seconds=3.0)
    track.take_news([1.0, 3.0, 5.0], [1.0, 3.0, 5.0])
    track.take_past(np.arange(1.0, 5.0), np.arange(1.0, 5.0))
    times, values = track.points()
    assert times.tolist() == values.tolist() == [2.0, 3.0, 4.0, 5.0]


def test_outside_a_notebook_live_says_what_to_use_instead(tmp_path):
    with pytest.raises(h5daq.ConfigError, match=r"`h5daq monitor.*` in a terminal, or `h5daq web"):
        h5daq.live("tank/temperature", directory=tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"datasets": 3},
        {"datasets": []},
        {"datasets": ["a", ""]},
        {"datasets": "a", "seconds": 0},
        {"datasets": "a", "rows": 1},
    ],
)
def test_arguments_that_make_no_plot_are_named(wrong):
    with pytest.raises(h5daq.ConfigError, match="live: "):
        h5daq.live(**wrong)
