"""Pages that are asked for ahead: each row is read once and in order, whatever comes of them."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.errors import ContextLost, NoAnswer, StorageError
from h5daq.vaultclient.ahead import Ahead, Came, Taken, Wish


class Writer:
    """Its side of a reading. It gives fewer rows than it was asked for, or has more by then."""

    def __init__(self, rows, page, short, grows):
        self.rows, self.page, self.short, self.grows = rows, page, list(short), list(grows)

    def answer(self, wish):
        first = min(wish.first, self.rows)
        most = [self.page, wish.page, wish.limit, *(self.short and [self.short.pop()])]
        end = min(self.rows, first + min(n for n in most if n is not None))
        self.rows += self.grows.pop() if self.grows else 0
        left = self.rows - end
        if wish.limit is not None:
            left = min(left, wish.limit - (end - first))
        ends = [min(end + left, end + k * self.page) for k in (1, 2, 3)] if left > 0 else []
        return Came(first, end - first, left > 0, ends)


def read(ahead, writer, seconds=lambda: 0.0):
    """The rows that come, and how many pages were under way at most."""
    rows, flight, widest, now = [], [], 0, 0.0
    while not ahead.done:
        flight += ahead.wishes(now)
        widest, now = max(widest, len(flight)), now + seconds()
        came = writer.answer(flight.pop(0))
        taken = ahead.take(came, now)
        if taken is not Taken.GOES_ON:
            flight.clear()
        rows = (
            [] if taken is Taken.ANOTHER else [*rows, *range(came.first, came.first + came.count)]
        )
    assert not flight
    return rows, widest


SHORT = st.lists(st.integers(1, 4), max_size=12)
GROWS = st.lists(st.integers(0, 3), max_size=12)


@given(
    rows=st.integers(0, 60),
    first=st.integers(0, 60),
    limit=st.none() | st.integers(0, 70),
    page=st.integers(1, 9),
    short=SHORT,
    grows=GROWS,
    most=st.integers(1, 5),
    slow=st.lists(st.booleans(), max_size=30),
)
def test_every_row_comes_once_and_in_order(rows, first, limit, page, short, grows, most, slow):
    first, turns = min(first, rows), list(slow)
    ahead, writer = Ahead(first, limit, most), Writer(rows, page, short, grows)
    found, widest = read(ahead, writer, lambda: 2.0 * bool(turns and turns.pop()))
    # At least what was there at the beginning, and what came while it was read, as far as asked.
    end = writer.rows if limit is None else min(writer.rows, first + limit)
    assert found == list(range(first, first + len(found)))
    assert min(rows, end) <= first + len(found) <= end
    assert ahead.at == first + len(found)
    assert widest <= most


@given(
    before=st.integers(1, 50),
    rows=st.integers(0, 50),
    limit=st.none() | st.integers(0, 60),
    page=st.integers(1, 9),
)
def test_a_shorter_dataset_in_the_place_of_the_one_before_is_read_from_its_beginning(
    before, rows, limit, page
):
    found, _ = read(Ahead(rows + before, limit, 4), Writer(rows, page, [], []))
    assert found == list(range(rows if limit is None else min(rows, limit)))


def test_on_a_slow_network_one_page_is_under_way_at_a_time():
    ahead, writer = Ahead(0, None, most=4), Writer(400, 10, [], [])
    assert read(ahead, writer, lambda: 5.0) == (list(range(400)), 1)


def test_what_takes_no_time_has_as_many_under_way_as_the_writer_allows():
    _, widest = read(Ahead(0, None, most=3), Writer(400, 10, [], []))
    assert widest == 3


def test_the_first_page_is_as_the_writer_likes_it():
    assert Ahead(7, 5, most=4).wishes(now=0.0) == [Wish(first=7, limit=5)]
    assert Wish(7, 5).args() == {"first": 7, "limit": 5}
    assert Wish(7, None, 2).args() == {"first": 7, "limit": None, "page": 2}


# -- over a socket, with a vault that can be told to misbehave -------------------------------------


@pytest.fixture
def server(server):
    server.ahead, server.page = 3, 2
    return server


@pytest.fixture
def scan(vault):
    """Forty rows, which are pages of two."""
    vault.new("scan", ["x"], ["y"])
    vault.add(np.arange(80.0).reshape(40, 2))
    return vault


def gets(server):
    return [request for request in server.asked if request.verb == "get"]


def test_pages_are_asked_for_by_their_rows(scan, server):
    np.testing.assert_array_equal(scan.get(), np.arange(80.0).reshape(40, 2))
    assert [r.args["first"] for r in gets(server)] == list(range(0, 40, 2))
    assert scan.get().shape == (0, 2)
    assert scan.get(limit=3, start_over=True)[:, 0].tolist() == [0, 2, 4]
    assert scan.get(limit=5)[:, 0].tolist() == [6, 8, 10, 12, 14]


@pytest.mark.parametrize("lost", [1, 2, 5])
def test_lost_pages_are_asked_for_again_and_come_once(scan, server, impatient, lost):
    server.lose["get"] = lost
    np.testing.assert_array_equal(scan.get(), np.arange(80.0).reshape(40, 2))
    # No page beside those that were lost had to be read again.
    assert len({r.args["first"] for r in gets(server)}) == 20


def test_where_each_page_takes_so_long_that_it_is_asked_for_again_all_come(scan, server, impatient):
    answer, seen = server.send, set()

    def second_time(identity, request, frames):
        if request.verb != "get" or request.id in seen:
            answer(identity, request, frames)
        seen.add(request.id)

    server.send = second_time
    np.testing.assert_array_equal(scan.get(), np.arange(80.0).reshape(40, 2))


def test_answers_that_come_twice_are_taken_once(scan, server):
    answer, server.send = server.send, None

    def twice(identity, request, frames):
        answer(identity, request, frames)
        answer(identity, request, frames)

    server.send = twice
    np.testing.assert_array_equal(scan.get(), np.arange(80.0).reshape(40, 2))


def test_a_page_that_can_not_be_read_fails_the_reading_and_nothing_behind_it(scan, server):
    assert len(scan.get(limit=10)) == 10
    server.fail = {16}
    with pytest.raises(StorageError, match="a sector is gone"):
        scan.get()
    server.fail = set()
    assert scan.get_name() == "00001 - scan"
    assert scan.get()[:, 0].tolist() == list(range(20, 80, 2))


def test_a_reading_without_answers_ends_and_the_next_one_begins_where_it_did(scan, server):
    scan.get(limit=4)
    server.gate.clear()
    scan._line.timeout = 0.05
    with pytest.raises(NoAnswer, match="is the writer running"):
        scan.get()
    server.gate.set()
    scan._line.timeout = 60.0
    assert scan.get()[:, 0].tolist() == list(range(8, 80, 2))


def test_a_writer_that_began_anew_in_the_middle_loses_the_context_and_no_row(scan, server):
    scan.get(limit=4)
    get, server.do_get = server.do_get, None

    def restart_then(args, request):
        if args["first"] == 10:
            server.restart()
        return get(args, request)

    server.do_get = restart_then
    with pytest.raises(ContextLost):
        scan.get()
    server.do_get = get
    scan.restore()
    before = len(gets(server))
    assert scan.get()[:, 0].tolist() == list(range(8, 80, 2))
    # It is read on from there: nothing has to be passed over.
    assert gets(server)[before].args["first"] == 4


def test_after_an_upgrade_or_a_step_back_reading_goes_on_where_it_was(scan, server):
    for ahead in (0, 3, 0):
        scan.get(limit=5)
        server.restart()
        with pytest.raises(ContextLost):
            scan.get()
        server.ahead = ahead
        scan.restore()
    assert scan.get()[:, 0].tolist() == list(range(30, 80, 2))


def test_threads_that_share_a_context_share_its_rows(scan):
    found, threads = [], []
    for _ in range(4):
        threads.append(threading.Thread(target=lambda: found.append(scan.get(limit=10))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(
        np.concatenate(sorted(found, key=lambda rows: rows[0, 0])), np.arange(80.0).reshape(40, 2)
    )


def test_a_context_that_is_closed_ends_a_reading_that_waits(scan, server, wait_until):
    server.gate.clear()
    errors = []

    def read_on():
        with pytest.raises(NoAnswer, match="closed"):
            scan.get()
        errors.append("told")

    thread = threading.Thread(target=read_on)
    thread.start()
    wait_until(lambda: scan._line._open, what="the first question")
    scan.close()
    thread.join(120.0)
    server.gate.set()
    assert errors == ["told"]
