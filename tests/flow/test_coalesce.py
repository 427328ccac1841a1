"""Many changes are told as few signals, and none of them is forgotten."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.coalesce import Coalescer


def adding(rate: float = 10.0) -> Coalescer[int]:
    return Coalescer(rate, merge=lambda held, newer: held + newer)


def test_the_first_change_is_told_at_once() -> None:
    coalescer = adding()
    assert coalescer.offer("a", 1, 0.0) == 1
    assert coalescer.next_deadline() is None


def test_changes_between_two_signals_are_told_as_one_when_it_is_due() -> None:
    coalescer = adding()
    coalescer.offer("a", 1, 0.0)
    assert [coalescer.offer("a", n, 0.05) for n in (2, 3, 4)] == [None] * 3
    assert coalescer.next_deadline() == pytest.approx(0.1)
    assert coalescer.due(0.09) == []
    assert coalescer.due(0.1) == [("a", 9)]


def test_one_path_does_not_hold_back_another() -> None:
    coalescer = adding()
    assert coalescer.offer("a", 1, 0.0) == 1
    assert coalescer.offer("b", 2, 0.01) == 2


def test_without_a_merge_the_newest_wins() -> None:
    coalescer: Coalescer[str] = Coalescer(10)
    for payload in ("first", "older", "newest"):
        coalescer.offer("a", payload, 0.0)
    assert coalescer.due(1.0) == [("a", "newest")]


def test_a_flush_tells_all_that_is_held() -> None:
    coalescer = adding()
    for path in ("a", "b"):
        coalescer.offer(path, 1, 0.0)
        coalescer.offer(path, 2, 0.0)
    assert sorted(coalescer.flush(0.01)) == [("a", 2), ("b", 2)]
    assert coalescer.next_deadline() is None


def test_paths_told_long_ago_take_no_room() -> None:
    coalescer = adding()
    for number in range(1000):
        coalescer.offer(str(number), 1, number * 1.0)
    assert len(coalescer._told) < 3


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(0, 60)), max_size=60)
)
def test_every_row_is_told_once_and_no_path_too_often(
    offers: list[tuple[str, int, int]],
) -> None:
    coalescer, now = adding(rate=10), 0
    told: list[tuple[int, str, int]] = []
    for path, rows, pause in offers:
        now += pause
        told += [(now, *due) for due in coalescer.due(now / 1000)]
        first = coalescer.offer(path, rows, now / 1000)
        told += [(now, path, first)] if first is not None else []
    deadline = coalescer.next_deadline()
    assert deadline is None or deadline <= now / 1000 + 0.1 + 1e-9
    told += [(now + 200, *due) for due in coalescer.due(now / 1000 + 0.2)]
    for path in "abc":
        assert sum(n for _, p, n in told if p == path) == sum(n for p, n, _ in offers if p == path)
        times = [t for t, p, _ in told if p == path]
        assert all(b - a >= 99 for a, b in itertools.pairwise(times))
