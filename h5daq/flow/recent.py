"""What jobs of a run have that their files may not have yet: rows and notes, by journal entry.

The writer notes each entry that brings rows, and forgets it when a checkpoint has brought it into
the files. So whoever reads a job joins what a file holds up to its entry with the pieces behind
that. Of the newest rows the values are kept as well, up to a limit; those before are read from the
journal again.

So an entry is decoded once: who brings it into the files finds its rows here, too, as long as they
are kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from h5daq.flow.batch import Batch
from h5daq.flow.effects import Effect, Place
from h5daq.flow.records import Noted
from h5daq.flow.schema import Schema

__all__ = ["Piece", "Recent"]

KEPT_BYTES = 48 << 20
"""More than the files are ever behind while they keep up."""


@dataclass(slots=True)
class Piece:
    """Rows of one entry that go to one file.

    Attributes
    ----------
    lsn, file : int
        The entry, and the file's id.
    job : str
        Its group.
    first, n : int
        Number of the first row in its worker's incarnation, and count.
    schema : Schema
        The job's columns at that time.
    batch : Batch or None
        The rows, while they are kept.
    nbytes : int
        What it takes to keep them.
    """

    lsn: int
    file: int
    job: str
    first: int
    n: int
    schema: Schema
    batch: Batch | None
    nbytes: int


class Recent:
    """Pieces and notes by job.

    Parameters
    ----------
    reach : int
        The entry up to which the files have everything.
    kept_bytes : int
        Most bytes of rows that are kept.

    Attributes
    ----------
    reach : int
        The same, as it was told last: pieces and notes up to it are forgotten.
    order : dict
        The jobs that had rows, in the order in which they first had some.
    """

    def __init__(self, reach: int = 0, kept_bytes: int = KEPT_BYTES) -> None:
        self.reach, self._most = reach, kept_bytes
        self.order: dict[str, None] = {}
        self._pieces: dict[str, list[Piece]] = {}
        self._notes: list[tuple[int, Noted]] = []
        self._kept: deque[Piece] = deque()
        self._batches: dict[int, Batch] = {}
        self._bytes = 0

    def take(
        self, lsn: int, batch: Batch, effects: Iterable[Effect], schema: Schema, nbytes: int
    ) -> None:
        """Entry `lsn` has brought rows, with these effects; `nbytes` is its length."""
        for effect in effects:
            if isinstance(effect, Place):
                part = effect.batch
                self._batches[lsn] = batch
                self.order[effect.job] = None
                piece = Piece(
                    lsn, effect.file, effect.job, part.first, part.n, schema, part, nbytes
                )
                self._pieces.setdefault(effect.job, []).append(piece)
                self._keep(piece)

    def batch(self, lsn: int) -> Batch | None:
        """The rows that entry `lsn` has brought, if they are kept. From any thread."""
        return self._batches.get(lsn)

    def _keep(self, piece: Piece) -> None:
        self._kept.append(piece)
        self._bytes += piece.nbytes
        while self._bytes > self._most:
            self._drop(self._kept.popleft())

    def _drop(self, piece: Piece) -> None:
        piece.batch = None
        self._batches.pop(piece.lsn, None)
        self._bytes -= piece.nbytes

    def take_notes(self, lsn: int, effects: Iterable[Effect]) -> None:
        """Entry `lsn` has notes."""
        self._notes += [(lsn, effect) for effect in effects if isinstance(effect, Noted)]

    def forget(self, reach: int) -> None:
        """The files have everything up to entry `reach`."""
        if reach <= self.reach:
            return
        self.reach = reach
        while self._kept and self._kept[0].lsn <= reach:
            self._drop(self._kept.popleft())
        self._notes = [(lsn, note) for lsn, note in self._notes if lsn > reach]
        kept = {
            job: [piece for piece in pieces if piece.lsn > reach]
            for job, pieces in self._pieces.items()
            if pieces[-1].lsn > reach
        }
        self._pieces = kept

    def pieces(self, job: str) -> Sequence[Piece]:
        """The pieces of a job, in order; it grows, and is another one after `forget`."""
        return self._pieces.get(job, ())

    def notes(self, group: str) -> list[tuple[int, Noted]]:
        """The notes about a group, in order, with their entries."""
        return [(lsn, note) for lsn, note in self._notes if note.group == group]
