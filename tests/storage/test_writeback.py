"""Write-behind: what it orders from the kernel, and that a file is none the worse for it."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from h5daq.storage.crew import Crew
from h5daq.storage.writeback import WriteBehind

_STEP = 64 << 10


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    number = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


def _recorded(behind: WriteBehind, result: int = 0, number: int = 0) -> list[tuple[int, int, int]]:
    orders: list[tuple[int, int, int]] = []

    def order(fd: int, offset: int, length: int, flags: int) -> int:
        orders.append((offset, length, flags))
        ctypes.set_errno(number)
        return result

    setattr(behind, "_range", order)  # noqa: B010
    return orders


def test_a_file_written_with_write_behind_reads_back_whole(fd: int) -> None:
    behind = WriteBehind(fd, _STEP)
    data = os.urandom(_STEP * 5 + 123)
    for offset in range(0, len(data), 10_000):
        piece = data[offset : offset + 10_000]
        os.pwrite(fd, piece, offset)
        behind.wrote(offset, len(piece))
    os.fdatasync(fd)
    behind.drop()
    assert os.pread(fd, len(data) + 1, 0) == data


def test_a_step_is_started_when_full_and_waited_for_when_the_next_is_full(fd: int) -> None:
    behind = WriteBehind(fd, _STEP)
    orders = _recorded(behind)
    behind.wrote(0, _STEP - 1)
    assert orders == []
    behind.wrote(_STEP - 1, 1)
    behind.wrote(_STEP, _STEP)
    assert orders == [(0, _STEP, 2), (_STEP, _STEP, 2), (0, _STEP, 7)]


def test_rewrites_further_down_order_nothing(fd: int) -> None:
    behind = WriteBehind(fd, _STEP)
    behind.wrote(0, _STEP)
    orders = _recorded(behind)
    for _ in range(10):
        behind.wrote(0, _STEP // 2)
    assert orders == []


def test_it_begins_where_the_first_write_is_not_at_the_start_of_the_file(fd: int) -> None:
    behind = WriteBehind(fd, _STEP)
    orders = _recorded(behind)
    behind.wrote(10 * _STEP + 5, _STEP)
    assert orders == [(10 * _STEP, _STEP, 2)]


def test_after_a_drop_it_follows_a_file_that_was_cut_back(fd: int) -> None:
    behind = WriteBehind(fd, _STEP)
    behind.wrote(10 * _STEP, _STEP)
    behind.drop()
    orders = _recorded(behind)
    behind.wrote(_STEP, _STEP)
    assert orders == [(_STEP, _STEP, 2)]


def test_a_write_that_failed_in_the_background_is_raised(fd: int) -> None:
    behind = WriteBehind(fd, _STEP)
    _recorded(behind, -1, errno.EIO)
    with pytest.raises(OSError, match="write-behind") as caught:
        behind.wrote(0, _STEP)
    assert caught.value.errno == errno.EIO


def test_a_file_system_without_it_is_left_in_peace_after_the_first_refusal(fd: int) -> None:
    behind = WriteBehind(fd, _STEP)
    orders: list[Any] = _recorded(behind, -1, errno.ENOSYS)
    for step in range(3):
        behind.wrote(step * _STEP, _STEP)
    behind.drop()
    assert len(orders) == 1


def _with_threads(fd: int) -> WriteBehind:
    behind = WriteBehind(fd, _STEP, lambda: Crew(1, "behind"))
    behind.begin()
    return behind


def test_a_thread_orders_the_same_in_the_same_order(fd: int) -> None:
    behind = _with_threads(fd)
    orders = _recorded(behind)
    for step in range(3):
        behind.wrote(step * _STEP, _STEP)
        behind.finish()
    starts = [(0, _STEP, 2), (_STEP, _STEP, 2), (0, _STEP, 7), (2 * _STEP, _STEP, 2)]
    assert orders == [*starts, (_STEP, _STEP, 7)]


def test_a_thread_that_is_behind_is_not_waited_for(fd: int) -> None:
    gate = threading.Event()
    behind = _with_threads(fd)
    orders = _recorded(behind)
    order = behind._range
    setattr(behind, "_range", lambda *call: (gate.wait(60), order(*call))[1])  # noqa: B010
    for step in range(4):
        behind.wrote(step * _STEP, _STEP)
    assert orders == []
    gate.set()
    behind.finish()
    behind.wrote(4 * _STEP, _STEP)
    behind.finish()
    # What was put off goes with the next step.
    assert orders == [(0, _STEP, 2), (_STEP, 4 * _STEP, 2), (0, _STEP, 7)]


def test_threads_are_begun_at_the_end_of_what_made_a_step(fd: int) -> None:
    begun: list[Crew] = []

    def begin() -> Crew:
        begun.append(Crew(1, "behind"))
        return begun[-1]

    behind = WriteBehind(fd, _STEP, begin)
    behind.finish()
    behind.wrote(0, _STEP)
    assert not begun
    for _ in range(2):
        behind.finish()
        assert len(begun) == 1


@pytest.mark.parametrize("told", ["wrote", "finish", "drop"])
def test_what_a_thread_was_told_of_a_failed_write_is_raised_once(
    fd: int, told: str, wait_until: Callable[..., Any]
) -> None:
    behind = _with_threads(fd)
    orders = _recorded(behind, -1, errno.EIO)
    behind.wrote(0, _STEP)
    wait_until(lambda: orders and behind._moved is not None and behind._moved.is_set())
    with pytest.raises(OSError, match="write-behind"):
        behind.wrote(_STEP, _STEP) if told == "wrote" else getattr(behind, told)()
    behind.finish()
