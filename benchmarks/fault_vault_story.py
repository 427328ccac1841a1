"""A short life of the Data Vault, the same each time, beside a run: for kills and losses of power.

A client is played that sends a request again, under its number, until it is answered, as real ones
do. The writer's own desk, journal and builder take it in, on one thread (`benchmarks.fault_story`).
`OPS` are its changes, in order; `model` says what the tree holds when the first so many are done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fault_story import Worker, Writer, holding
from h5daq.errors import StorageError
from h5daq.flow.requests import Failure, Note, Reply, Request, decode_answer
from h5daq.flow.vaultwire import encode_columns
from h5daq.storage.recovery import recover_run
from h5daq.transports.base import Asked
from h5daq.vault.labrad import to_data_url
from h5daq.vault.replay import replay_vault
from h5daq.writer.vaulting import VaultDesk

__all__ = ["JOB", "OPS", "REMOVED", "ROWS", "perform", "recover_only"]

JOB, ROWS = "jobs/slow", 50
"""A run goes on beside it, of two steps."""

SESSION = "anna"
_SIMPLE = {"independents": [["f", "GHz"]], "dependents": [["S21", "", "dB"]]}
_EXTENDED = {
    "independents": [["n", [1], "i", ""]],
    "dependents": [["s", "", [1], "s", ""], ["c", "", [1], "c", "mV"], ["w", "", [3], "v", "ns"]],
}
SCAN, TYPES, GONE, AFTER = "00001 - scan", "00001 - 50% a/b", "00002 - gone", "00003 - after"
REMOVED = ("a", GONE)
"""A dataset that somebody removes by hand: its number must not be given again."""


@dataclass(frozen=True)
class Op:
    """A change: the verb, the directory that it is sent from, the dataset that is open there."""

    verb: str
    place: tuple[str, ...] = ()
    dataset: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    columns: Sequence[Any] = ()
    refused: bool = False


def _adds(*values: float, place: tuple[str, ...] = ("a",), dataset: str = SCAN) -> list[Op]:
    return [Op("add", place, dataset, columns=(np.array([v]), np.array([v / 2]))) for v in values]


def _typed(first: int) -> Op:
    n = np.arange(first, first + 2, dtype="<i4")
    columns = (n, [f"{k} µ" for k in n], n * 1j, np.repeat(n[:, None], 3, 1) * 0.5)
    return Op("add_ex", ("a", "b"), TYPES, columns=columns)


def _comment(text: str, place: tuple[str, ...], dataset: str) -> Op:
    return Op("add_comment", place, dataset, {"comment": text, "user": "anna"})


def _parameters(place: tuple[str, ...], dataset: str, **values: Any) -> Op:
    pairs = [[name, to_data_url(value)] for name, value in values.items()]
    return Op("add_parameters", place, dataset, {"params": pairs})


def _tags(tags: str, place: tuple[str, ...], dirs: list[str], datasets: list[str]) -> Op:
    return Op("update_tags", place, args={"tags": tags, "dirs": dirs, "datasets": datasets})


_BLOCK = np.arange(1000.0, 4000.0)
_STAR = _tags("^star", ("a", "b"), [], [TYPES])

GROUPS: list[list[Op]] = [
    [Op("mkdir", args={"name": "a"})],
    [Op("new", ("a",), args={"name": "scan", **_SIMPLE})],
    [*_adds(1, 2, 3, 4), _parameters(("a",), SCAN, power=-20.5), _comment("one", ("a",), SCAN)],
    [
        Op("cd", args={"path": ["", "a", "b", "c"], "create": True}),
        Op("new", ("a", "b"), args={"name": "x" * 300, **_SIMPLE}, refused=True),
        Op("new_ex", ("a", "b"), args={"name": "50% a/b", **_EXTENDED}),
    ],
    [_typed(0), _typed(2), _STAR, _parameters(("a", "b"), TYPES, x=1, y=[1.5, 2.5], z="text")],
    [*_adds(5, 6), _comment("two", ("a",), SCAN), _tags("^star", (), ["a"], [])],
    [Op("new", ("a",), args={"name": "gone", **_SIMPLE}), _tags("old", ("a",), ["b"], [GONE])],
    [
        Op("new", ("a",), args={"name": "after", **_SIMPLE}),
        *_adds(7, 8, 9, dataset=AFTER),
        _comment("three", ("a",), AFTER),
    ],
    [_STAR, Op("add_ex_t", ("a",), SCAN, columns=(_BLOCK, _BLOCK / 2)), _typed(4)],
    [*_adds(10, 11, dataset=AFTER), *_adds(4000, 4001), _comment("four", ("a", "b"), TYPES)],
]
"""What is sent at once; then comes a commit, and after every other one a checkpoint."""

OPS = [op for group in GROUPS for op in group]
_REMOVAL, _READER = 7, 5
"""Before that group somebody removes a dataset; after that one somebody holds one open."""


class _Client:
    """The writer's sockets as its one client sees them; what it was answered."""

    def __init__(self) -> None:
        self.answers: dict[int, Reply | Failure] = {}

    def reply(self, _identity: bytes, frames: Sequence[Any]) -> bool:
        """See `h5daq.writer.vaulting.Port`."""
        answer = decode_answer([bytes(frame) for frame in frames])
        if not isinstance(answer, Note):
            self.answers[answer.id] = answer
        return True


class VaultWriter(Writer):
    """A writer with a desk for the vault, and its client."""

    def __init__(self, directory: Path, run: str, told: Callable[[str, int], None]) -> None:
        super().__init__(directory, run, told)
        self._client, self._questions = _Client(), 10_000
        self._directory = directory
        self.desk = VaultDesk(
            directory, self.journal, self.intake, self._client, run, clock=lambda: self.now,
            period=1e9,
        )  # fmt: skip
        self.builder.others_reach = self.desk.reaches
        self._at: tuple[tuple[str, ...], str] | None = None
        self._ask("context")

    def kept(self) -> int:
        """See `Writer`."""
        return self.desk.kept

    def send(self, number: int, op: Op) -> None:
        """Send a change from its place; unless that is answered, it is sent again some time."""
        self._go(op)
        fields, frames = encode_columns(op.columns) if op.columns else ({}, [])
        request = Request(number, op.verb, {**op.args, **fields}, 1, SESSION, tuple(frames))
        self.desk.take(Asked(b"", []), request)
        if op.verb in ("new", "new_ex", "cd"):
            # After a repeated request a context is where it was before.
            self._at = None

    def answered(self, first: int, group: Sequence[Op]) -> None:
        """Commit what was sent, and promise it."""
        self.desk.commit()
        self.commit()
        self.desk.send_ready()
        for number, op in enumerate(group, first):
            self._check(self._client.answers.pop(number), op)
            self._told("op", number)

    def _check(self, answer: Reply | Failure, op: Op) -> None:
        if isinstance(answer, Failure) is not op.refused:
            raise RuntimeError(f"{op.verb} at {op.place} {op.dataset!r}: {answer}")

    def _go(self, op: Op) -> None:
        if self._at == (op.place, op.dataset):
            return
        self._ask("cd", path=["", *op.place])
        if op.dataset:
            self._ask("open", name=op.dataset, append=True)
        self._at = op.place, op.dataset

    def _ask(self, verb: str, **args: Any) -> None:
        """A question, which changes nothing and waits for no commit."""
        self._questions += 1
        self.desk.take(Asked(b"", []), Request(self._questions, verb, args, 1, SESSION))
        self._endure(self.journal.sync)
        self.desk.send_ready()
        answer = self._client.answers.pop(self._questions)
        if isinstance(answer, Failure):
            raise RuntimeError(f"{verb} {args}: {answer.message}")

    def remove_by_hand(self) -> None:
        """What people do in the tree of a writer that is not looking."""
        self._ask("cd", path=[""])
        self._ask("forget")
        self._ask("context")
        self.desk.checkpoint()
        self._at = None
        with suppress(FileNotFoundError):
            os.unlink(self._directory / "a.dir" / f"{GONE}.hdf5")

    def follow(self, *, checkpoint: bool) -> None:
        """See `Writer`; the vault's files are followed up as well."""
        if checkpoint:
            self._endure(self._bring)
        self.desk.tick()
        super().follow(checkpoint=checkpoint)

    def _bring(self) -> None:
        self.desk.checkpoint()
        if self.desk.trouble:
            raise StorageError(self.desk.trouble)

    def end(self) -> None:
        """See `Writer`."""
        self.desk.close()
        super().end()


def perform(directory: Path, run: str, told: Callable[[str, int], None]) -> dict[str, Any]:
    """The whole life, from whatever an earlier one has left; what the start found to do."""
    writer, worker = VaultWriter(directory, run, told), Worker(JOB)
    found = writer.opened.recovered
    report = {
        "entries": found.entries, "finished": len(found.finished),
        "positions": writer.positions(),
    }  # fmt: skip
    done = _answered_before(directory)
    for step, (first, group) in enumerate(_numbered()):
        if step == _REMOVAL and first > done:
            writer.remove_by_hand()
        for number, op in enumerate(group, first):
            if number > done:
                writer.send(number, op)
        if first + len(group) - 1 > done:
            fresh = max(first, done + 1)
            writer.answered(fresh, group[fresh - first :])
        if step in (1, 6):
            writer.take(worker, ROWS // 2 * (1 + step // 6))
            writer.commit()
        scan = directory / "a.dir" / f"{SCAN}.hdf5"
        with holding(scan) if step == _READER else nullcontext():
            writer.follow(checkpoint=step % 2 == 1)
    writer.end()
    report["marked"] = writer.marked
    return report


def _numbered() -> Iterator[tuple[int, list[Op]]]:
    first = 1
    for group in GROUPS:
        yield first, group
        first += len(group)


def _answered_before(directory: Path) -> int:
    """The newest change that an earlier life of the client was answered."""
    told = directory.parent / "told"
    lines = told.read_text().splitlines() if told.exists() else []
    return max((int(n) for what, n in map(str.split, lines) if what == "op"), default=0)


def recover_only(directory: Path, _run: str, _told: Callable[[str, int], None]) -> dict[str, Any]:
    """What ``h5daq recover`` does, in the place of a life."""
    recover_run(directory, None, replay_vault)
    return {}
