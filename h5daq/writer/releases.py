"""When workers are asked for the rows that folding holds back.

A job that folds holds the newest row of a stretch until another value comes, which may be after
the file that it belongs to is sealed. So all workers are asked to give it out twice: shortly
before a file ends, so that the file shows what held until its end, and when the end has passed,
before the file is sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from h5daq.flow.states import FileState

__all__ = ["Releases"]

_AHEAD_SECONDS = 1.5
"""How long before a file's end; the writer looks once a second."""


class Releases:
    """Which ends of files the workers have been asked about.

    Examples
    --------
    >>> file = FileState(1, 0, 2, start=0.0, end=3600.0, name="a.h5")
    >>> releases = Releases()
    >>> [now for now in (10, 3598, 3599, 3599.9, 3600, 3601) if releases.due([file], now)]
    [3599, 3600]
    """

    def __init__(self) -> None:
        self._asked: set[tuple[int, float, bool]] = set()

    def due(self, files: Sequence[FileState], now: float) -> bool:
        """Whether to ask now; True once before and once after the end of each open file.

        Parameters
        ----------
        files : sequence of FileState
            The open ones, oldest first. Where another follows, a file ends when that begins.
        now : float
            Seconds since 1970-01-01 UTC.
        """
        ends = [(file.id, after.start) for file, after in pairwise(files)]
        ends += [(file.id, file.end) for file in files[-1:]]
        near = {(i, end, now >= end) for i, end in ends if now >= end - _AHEAD_SECONDS}
        fresh = near - self._asked
        # What is no longer open will not be asked about again.
        self._asked = near | {asked for asked in self._asked if asked[:2] in ends}
        return bool(fresh)
