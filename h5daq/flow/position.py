"""The position: the one cumulative answer of the delivery, as it is kept and as it is told.

The writer keeps, for each incarnation of a job, the number of the row that it wants next: a
`Receiver`. It tells it as a ``position`` message, and once more in each heartbeat; the worker
reads both with the functions here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from h5daq.errors import WireError

__all__ = ["Drop", "Position", "Receiver", "Take", "dropped", "parse_heartbeat", "parse_position"]


class Drop(Enum):
    """Why a receiver drops a message."""

    BELOW = "taken before"
    ABOVE = "something before it is missing: answer with the position"


def dropped(following: int, first: int, n: int) -> Drop | None:
    """Why rows ``first … first+n-1`` are dropped where row `following` is wanted next.

    None if there is anything new in them.
    """
    if first > following:
        return Drop.ABOVE
    return None if first + n > following else Drop.BELOW


class Take(NamedTuple):
    """What a receiver keeps of a message: all but the first `skip` rows, `n` of them."""

    skip: int
    n: int


class Receiver:
    """The number of the row that is wanted next, for one incarnation of one job.

    Examples
    --------
    >>> receiver = Receiver()
    >>> receiver.take(0, 10)
    Take(skip=0, n=10)
    >>> receiver.take(5, 10)
    Take(skip=5, n=5)
    >>> receiver.take(20, 1), receiver.take(3, 4)
    (<Drop.ABOVE: 'something before it is missing: answer with the position'>, \
<Drop.BELOW: 'taken before'>)
    >>> receiver.next
    15
    """

    __slots__ = ("next",)

    def __init__(self, next: int = 0) -> None:  # noqa: A002 - the wire's name for it
        self.next = next

    def take(self, first: int, n: int) -> Take | Drop:
        """Judge rows ``first … first+n-1``, and move on if there is anything new in them."""
        drop = dropped(self.next, first, n)
        if drop is not None:
            return drop
        skip, self.next = self.next - first, first + n
        return Take(skip, n - skip)

    def jump(self, first: int, n: int) -> int | Drop:
        """Numbers that will never come: move past them, and say how many are lost by it.

        A skip above the position is dropped like rows are: what lies between is still held by
        the sender and would be lost by a jump.
        """
        taken = self.take(first, n)
        return taken if isinstance(taken, Drop) else taken.n


class Position(NamedTuple):
    """What a position or a heartbeat says to one sender.

    ``writer`` is boot and run. ``next`` is None in a heartbeat that does not name the sender's
    incarnation; ``window`` is None where the message has none.
    """

    writer: tuple[Any, Any]
    next: int | None
    window: int | None = None
    need_hello: bool = False
    bye: bool = False
    beat: bool = False


def parse_position(pos: Mapping[str, Any]) -> Position:
    """The fields of a ``position``, checked.

    Raises
    ------
    WireError
        If a field is missing or no number of the right kind.
    """
    following, window = pos.get("next"), pos.get("window")
    sound = _is_count(following) and (window is None or _is_count(window))
    if not sound or "boot" not in pos or "run" not in pos:
        raise _refusal(pos)
    need_hello, bye = pos.get("need") == "hello", pos.get("bye") is True
    return Position((pos["boot"], pos["run"]), following, window, need_hello, bye)


def parse_heartbeat(beat: Mapping[str, Any], job: str, inc: int) -> Position:
    """What a ``heartbeat`` says to incarnation `inc` of `job`.

    Its ``positions`` map a job to ``[inc, next]`` of the incarnation that said hello last.

    Raises
    ------
    WireError
        If it is no heartbeat.
    """
    positions = beat.get("positions", {})
    if "boot" not in beat or "run" not in beat or not isinstance(positions, (dict, Mapping)):
        raise _refusal(beat)
    entry = positions.get(job, (None, 0))
    if not isinstance(entry, list | tuple) or len(entry) != 2 or not _is_count(entry[1]):
        raise _refusal(beat)
    following = entry[1] if entry[0] == inc else None
    return Position((beat["boot"], beat["run"]), following, beat=True)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _refusal(found: Mapping[str, Any]) -> WireError:
    return WireError(f"not a position: {dict(found)!r:.200}", cause="position")
