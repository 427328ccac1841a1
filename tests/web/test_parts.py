"""What the web page is made from, without sockets: points, thinning, news, who may."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import ConfigError
from h5daq.monitor.job import JobPicture
from h5daq.monitor.picture import Picture
from h5daq.monitor.thin import as_image, as_lines, averaged, envelope, real
from h5daq.monitor.web import Gate, Place, new_token
from h5daq.monitor.web.news import Happenings, News
from h5daq.monitor.web.summary import job_facts, run_facts
from h5daq.monitor.web.traces import Track, Tracks

FLOATS = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 50)), max_size=60))
def test_a_page_that_asks_now_and_then_gets_every_row_that_is_kept_once(steps):
    track, at, seen = Track(("x",), points=20), 0, []
    for more, _ in steps:
        for _ in range(more):
            track.add(float(track.count), {"x": track.count})
        times, columns = track.since(at)
        at = track.count
        assert times.tolist() == columns["x"].tolist()
        seen += times.tolist()
    assert seen == sorted(set(seen)) == [float(n) for n in range(track.count)]


def test_a_page_that_comes_late_gets_the_last_rows():
    track = Track(("x",), points=10)
    for number in range(25):
        track.add(number, {"x": number})
    assert track.since(0)[0].tolist() == list(range(15, 25))


def test_tracks_keep_to_their_number_of_columns_and_follow_a_job_that_changes():
    tracks = Tracks(points=5, columns=3)
    tracks.take("a", 1.0, {"time": 1.0, "x": 1.0, "on": True, "text": "t", "wave": [1, 2]})
    tracks.take("b", 1.0, {"time": 1.0, "x": 1.0, "y": 2.0})
    assert tracks["a"].labels == ("x", "on")
    assert tracks["b"] is None
    tracks.take("a", 2.0, {"time": 2.0, "z": 3.0})
    assert tracks["a"].labels == ("z",)
    tracks.keep({"b"})
    assert tracks["a"] is None


@given(st.lists(FLOATS | st.just(math.nan), min_size=1, max_size=300), st.integers(4, 50))
def test_a_thinned_curve_is_short_and_keeps_its_extremes(values, points):
    y = np.array(values)
    x, ys = envelope(np.arange(float(len(y))), {"y": y}, points)
    assert len(x) == len(ys["y"]) <= max(points + 2, min(len(y), points))
    assert (np.diff(x) >= 0).all()
    if not np.isnan(y).all():
        assert np.nanmax(ys["y"]) == np.nanmax(y)
        assert np.nanmin(ys["y"]) == np.nanmin(y)


def test_rows_of_any_shape_become_images_and_lines():
    assert as_image(np.ones((500, 30)), 100).shape == (100, 30)
    assert as_image(np.ones((4, 5, 3)), 100).shape == (4, 5)
    assert as_image(np.ones((2, 3, 7)), 100).shape == (6, 7)
    assert len(as_lines(np.ones((8, 1000)), 100)[1]) == 8
    assert averaged(np.arange(7.0), 3, 0).tolist() == [1.0, 4.0, 6.0]
    assert real(np.array([3 + 4j])).tolist() == [5.0]
    assert np.isnan(real(np.array(["a"]))).all()


NAMES = st.sampled_from("abcd")


@given(st.lists(st.tuples(NAMES, st.none() | st.integers(0, 3), st.booleans()), max_size=50))
def test_who_takes_the_news_at_any_time_knows_the_present(changes):
    news, told, known, present = News(), 0, {}, {}
    for name, value, look in changes:
        news.put(name, value)
        present[name] = value
        if look:
            told, new = news.since(told)
            known |= new
    known |= news.since(told)[1]
    assert {k: v for k, v in known.items() if v is not None} == {
        k: v for k, v in present.items() if v is not None
    }


def test_what_happened_is_told_from_a_number_on():
    happened = Happenings(most=3)
    for number in range(5):
        happened.add({"text": number})
    assert [what["text"] for what in happened.since(0)] == [2, 3, 4]
    assert [what["text"] for what in happened.since(4)] == [4]


def test_what_is_not_finite_is_none_and_arrays_are_told_by_their_shape():
    job = JobPicture(
        "tank", last={"time": 1.0, "a": math.nan, "b": [[1, 2], [3, 4]], "c": "x" * 99}
    )
    values = job_facts(job, 0.0)["values"]
    assert values == {"a": None, "b": "[2 × 2]", "c": "x" * 80}
    assert run_facts(Picture(), 0.0, "no answer")["trouble"] == "no answer"


def test_only_the_token_opens_the_gate():
    gate, token = Gate("a long enough token"), new_token()
    assert gate.opens("a long enough token")
    assert not any(gate.opens(wrong) for wrong in ("", "a long", None, 7, ["a"], "\ud800", token))
    assert not Gate(None).opens(None)
    assert Gate(token).opens(token)
    assert len(token) > 40


def test_a_gate_wants_a_token_worth_the_name():
    with pytest.raises(ConfigError, match="16 characters"):
        Gate("short")
    with pytest.raises(ConfigError, match="needs a token"):
        Gate(None, private=True)


@pytest.mark.parametrize(
    ("origin", "host", "known"),
    [
        ("http://localhost:8571", "localhost:8571", True),
        ("https://daq0.lab", "daq0.lab", True),
        ("http://192.168.1.7:8571", "192.168.1.7:8571", True),
        ("http://evil.org", "localhost:8571", False),
        ("http://evil.org:8571", "evil.org:8571", False),
        ("http://localhost:9000", "localhost:8571", False),
        ("null", "localhost:8571", False),
        (None, "localhost:8571", False),
        ("http://[", "localhost:8571", False),
    ],
)
def test_a_connection_is_taken_only_from_a_page_of_our_own(origin, host, known):
    assert Gate(None, ["daq0.lab"]).knows_origin(origin, host) is known


def test_others_than_this_machine_are_let_in_only_by_tls_or_on_purpose(tmp_path):
    with pytest.raises(ConfigError, match="can be reached from elsewhere"):
        Place(host="0.0.0.0")
    with pytest.raises(ConfigError, match="both a certificate and its key"):
        Place(certificate=tmp_path)
    assert not Place(host="0.0.0.0", insecure=True).is_private
    assert Place(host="::1").url(80) == "http://[::1]:80/"
