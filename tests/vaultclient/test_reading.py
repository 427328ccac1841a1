"""Pages of rows: whatever answers get lost, each row is read once and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.vaultclient.reading import Page, Position


class Source:
    """A writer's side of a reading; an answer may be lost, and is asked for a second time."""

    def __init__(self, rows, page, lost):
        self.rows, self.page, self.lost, self.at = rows, page, list(lost), 0

    def ask(self, limit, over):
        once = self.answer(limit, over)
        if not (self.lost and self.lost.pop()):
            return Page(*once, sure=True)
        return Page(*self.answer(limit, over), sure=False)

    def answer(self, limit, over):
        self.at = 0 if over else self.at
        wanted = len(self.rows) if limit is None else limit
        found = self.rows[self.at : self.at + min(wanted, self.page)]
        self.at += len(found)
        return found, len(found), len(found) < wanted and self.at < len(self.rows)


def flat(pages):
    return [row for page in pages for row in page]


@given(
    rows=st.integers(0, 30).map(lambda n: list(range(n))),
    page=st.integers(1, 10),
    lost=st.lists(st.booleans(), max_size=40),
    limits=st.lists(st.none() | st.integers(0, 12), max_size=8),
)
def test_every_row_is_read_once(rows, page, lost, limits):
    source, position = Source(rows, page, lost), Position()
    read = []
    for limit in limits:
        found = flat(position.read(source.ask, limit))
        assert limit is None or len(found) <= limit
        read += found
    assert read == rows[: len(read)]
    assert flat(position.read(source.ask)) == rows[len(read) :]


@given(st.lists(st.booleans(), max_size=10), st.integers(0, 5))
def test_starting_over_begins_with_the_first_row(lost, before):
    source, position = Source(list(range(9)), 4, lost), Position()
    position.read(source.ask, before)
    assert flat(position.read(source.ask, start_over=True)) == list(range(9))


def test_a_reading_that_broke_off_is_made_good_by_the_next():
    source, position = Source(list(range(9)), 3, []), Position()
    asked = []

    def ask(limit, over):
        asked.append(limit)
        if len(asked) == 2:
            raise TimeoutError
        return source.ask(limit, over)

    with pytest.raises(TimeoutError):
        position.read(ask)
    assert position.astray
    assert flat(position.read(ask)) == list(range(9))


def test_a_shorter_dataset_in_the_place_of_the_one_before_is_read_from_its_beginning():
    source, position = Source(list(range(9)), 3, []), Position()
    position.read(source.ask)
    source.rows, source.at, position.astray = ["a", "b"], 0, True
    assert flat(position.read(source.ask)) == ["a", "b"]
    assert flat(position.read(source.ask)) == []
