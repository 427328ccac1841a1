"""The calendar of rollovers and the names of files (cases D4 and D5)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import ConfigError, ConfigKeyError
from h5daq.flow.batch import LATEST
from h5daq.flow.rollover import UNITS, Calendar, check_format, file_name

TIMES = st.floats(-6e10, 2.5e11)
INTERVALS = st.tuples(st.sampled_from(UNITS), st.integers(1, 40))


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def first_end(unit, count, start):
    end = Calendar({unit: count}).first_end(at(start))
    return datetime.fromtimestamp(end, UTC).isoformat(sep=" ")[:19]


@pytest.mark.parametrize(
    ("unit", "count", "start", "end"),
    [
        ("days", 1, "2026-11-21 13:45:10.5", "2026-11-22 00:00:00"),
        ("days", 1, "2026-11-22 00:00:00", "2026-11-23 00:00:00"),
        ("hours", 2, "2026-11-21 13:45:10", "2026-11-21 15:00:00"),
        ("minutes", 15, "2026-11-21 13:45:10", "2026-11-21 14:00:00"),
        ("seconds", 10, "2026-11-21 13:45:10.999", "2026-11-21 13:45:20"),
        ("weeks", 1, "2026-11-22 23:59:59", "2026-11-23 00:00:00"),
        ("weeks", 2, "2026-11-23 00:00:00", "2026-12-07 00:00:00"),
        ("months", 1, "2024-02-29 12:00:00", "2024-03-01 00:00:00"),
        ("months", 3, "2025-11-30 12:00:00", "2026-02-01 00:00:00"),
        ("months", 13, "2025-12-31 12:00:00", "2027-01-01 00:00:00"),
        ("years", 1, "2024-02-29 00:00:00", "2025-01-01 00:00:00"),
        ("years", 4, "1969-06-01 00:00:00", "1973-01-01 00:00:00"),
    ],
)
def test_the_first_file_ends_at_the_next_whole_unit_plus_the_others(unit, count, start, end):
    assert first_end(unit, count, start) == end


@given(TIMES, INTERVALS)
def test_each_end_lies_after_its_start_and_on_a_whole_unit(start, interval):
    unit, count = interval
    calendar = Calendar({unit: count})
    end = calendar.first_end(start)
    assert end > start
    assert Calendar({unit: 1}).first_end(end - 0.5) == end
    assert calendar.next_end(end) > end


@given(st.integers(1, 12), st.floats(0, 4e9))
def test_months_counted_one_by_one_reach_the_same_end(count, start):
    single = Calendar({"months": 1})
    end = single.first_end(start)
    for _ in range(count - 1):
        end = single.next_end(end)
    assert Calendar({"months": count}).first_end(start) == end


@pytest.mark.parametrize("start", [float(LATEST), 1e300, LATEST - 1])
def test_no_file_ends_after_the_year_9999(start):
    assert Calendar({"years": 5}).first_end(start) == LATEST
    assert file_name("{date_to}", start, LATEST) == "99991231T235959.999Z"


@pytest.mark.parametrize(
    "interval",
    [{}, {"days": 1, "hours": 1}, {"day": 1}, {"days": 0}, {"days": -1}, {"days": 1.5},
     {"days": True}, {"days": "1"}, {"days": None}, None, [("days", 1)]],
)  # fmt: skip
def test_a_wrong_interval_is_a_key_error(interval):
    with pytest.raises(ConfigKeyError, match="days"):
        Calendar(interval)


def test_an_interval_beyond_all_calendars_still_ends():
    assert Calendar({"weeks": 10**12}).first_end(0.0) == LATEST
    assert Calendar({"years": 10**12}).first_end(0.0) == LATEST


def test_names_carry_milliseconds_and_the_last_one_of_the_file():
    name = file_name("DAQ_{date_from}_{date_to}.hdf5", at("2020-01-01 12:59:59.001"),
                     at("2020-01-02"))  # fmt: skip
    assert name == "DAQ_20200101T125959.001Z_20200101T235959.999Z.hdf5"


@given(st.floats(-6e10, 2.5e11))
def test_a_file_ends_one_millisecond_before_the_next_begins(boundary):
    def milliseconds(stamp):
        return datetime.strptime(stamp, "%Y%m%dT%H%M%S.%fZ").timestamp() * 1000

    last = file_name("{date_to}", boundary - 3600.0, boundary)
    following = file_name("{date_from}", boundary, boundary + 1.0)
    assert round(milliseconds(following) - milliseconds(last)) == 1


def test_a_file_of_less_than_a_millisecond_does_not_end_before_it_begins():
    assert file_name("{date_from}-{date_to}", 1.0, 1.0001) == "-".join(["19700101T000001.000Z"] * 2)


@pytest.mark.parametrize("text", ["{date_from}.h5", "{date_to}.h5", "a{{b}}{date_from}{date_to}"])
def test_a_format_with_either_time_is_fine(text):
    assert check_format(text) == text


@pytest.mark.parametrize("text", ["run.hdf5", "{date}.h5", "{}_{date_to}", "{date_to!r}",
                                  "{date_to:>9}", "{date_to.year}", "{0}"])  # fmt: skip
def test_a_format_with_another_placeholder_or_none_is_a_key_error(text):
    with pytest.raises(ConfigKeyError, match="date_from"):
        check_format(text)


@pytest.mark.parametrize("text", ["{date_to", "a/{date_to}.h5", ".{date_to}", "a\0{date_to}", 7])
def test_a_format_that_is_no_name_is_refused(text):
    with pytest.raises(ConfigError, match="file format"):
        check_format(text)
