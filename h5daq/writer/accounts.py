"""Where the rows of a job are: with its worker, committed, in the files, lost.

The journal's ledger knows what was taken and what was lost. What a worker still holds it says
itself about once a second; what came in since is taken off, so that no row counts twice. When
nothing moves, ``produced = committed + held + lost``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from h5daq.flow.states import JobState

__all__ = ["Account", "Stood"]


@dataclass(frozen=True, slots=True)
class Stood:
    """Where a job stood when its worker last spoke.

    Attributes
    ----------
    inc : int
        The worker's incarnation.
    next : int
        Its position.
    others : int
        The positions of all other incarnations, added up.
    """

    inc: int = 0
    next: int = 0
    others: int = 0

    @classmethod
    def of(cls, job: JobState, inc: int) -> Stood:
        """Where it stands now."""
        position = job.next.get(inc, 0)
        return cls(inc, position, sum(job.next.values()) - position)


@dataclass(frozen=True, slots=True)
class Account:
    """The rows of one job in this run.

    Parameters
    ----------
    job : JobState
        As the ledger has it.
    told : mapping
        The newest status of its worker; empty if there is none.
    stood : Stood
        Where the job stood when that came.
    """

    job: JobState
    told: Mapping[str, Any]
    stood: Stood

    @property
    def held(self) -> int:
        """Rows that its worker still holds, its own and those of workers before it.

        The worker may be dead by now, and have held less than nothing of what came later.
        """
        return max(0, self._left("held")) + self._earlier

    @property
    def produced(self) -> int:
        """All rows of this run that got a number, and all that were lost before they did."""
        end = self.told.get("end")
        ahead = self._left("held") if end is None else int(end) - self._now.next
        return self.job.rows + sum(self.job.lost.values()) + max(0, ahead) + self._earlier

    @property
    def spooled(self) -> int:
        """Rows on the worker's disk, of those that it holds."""
        return min(self.held, int(self.told.get("spooled") or 0))

    @property
    def spooled_bytes(self) -> int:
        """What they take there; a spool gives space back by the segment."""
        return int(self.told.get("spooled_bytes") or 0)

    @property
    def _now(self) -> Stood:
        return Stood.of(self.job, self.stood.inc)

    @property
    def _earlier(self) -> int:
        came = self._now.others - self.stood.others
        return max(0, int(self.told.get("earlier") or 0) - came)

    def _left(self, name: str) -> int:
        return int(self.told.get(name) or 0) - (self._now.next - self.stood.next)
