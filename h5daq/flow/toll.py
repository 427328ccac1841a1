"""How many rows a worker has read, in cells of memory that it may leave at any instruction.

A worker that is killed says nothing any more; but a page that it shares stays as it was after its
last store. So each step of the count is one store, and what the cells say is right before and
after it: there are two pairs of numbers, whose sum is the count, and a cell that says which counts.

A loop that fills a batch stores the place of each row, which it has at hand, in place of a sum.
"""

from __future__ import annotations

from collections.abc import MutableSequence

__all__ = ["CELLS", "Count", "counted"]

CELLS = 5
"""Cells that a count takes, each a whole number of 64 bits."""

_PAIRS = (1, 3)


def counted(cells: MutableSequence[int] | memoryview[int]) -> int:
    """What the cells of a count say."""
    pair = _PAIRS[cells[0] & 1]
    return cells[pair] + cells[pair + 1]


class Count:
    """Counts rows and readings.

    Parameters
    ----------
    cells : sequence of int, optional
        Where; `CELLS` of them, all 0. By default nobody else sees them.

    Attributes
    ----------
    cells : sequence of int
        The same. A loop stores the place of each row into the cell that `begin` has named.

    Examples
    --------
    >>> count = Count()
    >>> count.add(2)
    >>> place = count.begin(7)
    >>> count.cells[place] = 7; count.cells[place] = 8
    >>> count.total
    4
    """

    def __init__(self, cells: MutableSequence[int] | memoryview[int] | None = None) -> None:
        self.cells: MutableSequence[int] | memoryview[int] = [0] * CELLS if cells is None else cells

    @property
    def total(self) -> int:
        """All that was counted."""
        return counted(self.cells)

    def add(self, n: int) -> None:
        """So many more."""
        self.cells[_PAIRS[self.cells[0]] + 1] += n

    def begin(self, place: int) -> int:
        """Rows will come one by one, the first of them to `place`; the cell to store that in."""
        other = 1 - self.cells[0]
        pair = _PAIRS[other]
        self.cells[pair] = self.total - (place - 1)
        self.cells[pair + 1] = place - 1
        # Only now does it count, and says the same as the other.
        self.cells[0] = other
        return pair + 1

    def leave(self) -> None:
        """What is counted from now on is nobody else's affair: this process is a copy."""
        self.cells = [*self.cells]
