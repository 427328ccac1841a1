"""Power loss, simulated: the disk of a whole run as it may be found after the lights went out.

One run of `benchmarks.fault_story` keeps a diary of every change: bytes, lengths, names, and what
was synced. From the diary a directory is made as it can be found after a loss of power at any
moment: of what was not synced, any part is there and any part is not, sector by sector, and a
sector may be torn; of names that were made, given, changed or removed since their directory was
synced, any may be as before. A real writer then starts in that directory, and its recovery loses
power as well.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fault_account import account, nothing_to_recover
from benchmarks.fault_calls import Event
from benchmarks.fault_points import look, modern, old_file_system
from benchmarks.fault_shim import Shim
from benchmarks.fault_story import Perform, everything, live, perform
from h5daq.storage.disk import Disk, FileIdentity

__all__ = ["Box", "State", "campaign", "crash", "known_in", "lose_power", "record"]

_SECTOR = 512
_FOREIGN = 40
"""Inodes that were not there before get numbers above 2**40 times the life, and meet no others."""


@dataclass
class State:
    """What is on a disk: bytes by inode, inodes by name, and directories."""

    files: dict[int, bytearray] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)

    def copy(self) -> State:
        """Another one like it."""
        files = {inode: bytearray(data) for inode, data in self.files.items()}
        return State(files, dict(self.names), set(self.directories))

    def happen(self, event: Event) -> None:
        """Let one event of a diary take effect."""
        if event[0] == "write":
            self._write(*event[1:])
        elif event[0] == "cut":
            data = self.files.setdefault(event[1], bytearray())
            data[:] = data[: event[2]].ljust(event[2], b"\0")
        elif event[0] == "mkdir":
            self.directories.add(event[1])
        elif event[0] == "name":
            self._name(*event[1:])

    def _write(self, inode: int, offset: int, piece: bytes) -> None:
        data = self.files.setdefault(inode, bytearray())
        data.extend(bytes(max(0, offset - len(data))))
        data[offset : offset + len(piece)] = piece

    def _name(self, path: str, inode: int | None, old: str = "") -> None:
        self.names.pop(old, None)
        if inode is None:
            self.names.pop(path, None)
        else:
            self.names[path] = inode


def crash(start: State, diary: list[Event], dice: random.Random) -> State:
    """What is on the disk when the power goes at the end of `diary`."""
    found, loss = start.copy(), dice.choice((0.0, 0.1, 0.5, 0.9, 1.0))
    synced = {_medium(event): i for i, event in enumerate(diary) if event[0].startswith("sync")}
    for number, event in enumerate(diary):
        if number < synced.get(_medium(event), -1):
            found.happen(event)
        elif event[0] == "write":
            for piece in _sectors(event, dice):
                if dice.random() >= loss:
                    found.happen(piece)
        elif dice.random() >= loss:
            found.happen(event)
    return found


def _medium(event: Event) -> object:
    """Whose sync vouches for the event: the inode's, or the directory's in which the name is."""
    if event[0] in ("name", "mkdir"):
        return os.path.dirname(event[1])
    return event[1]


def _sectors(event: Event, dice: random.Random) -> list[Event]:
    """A write in pieces that lie within a sector each; some are torn."""
    _, inode, offset, data = event
    pieces: list[Event] = []
    while data:
        length = _SECTOR - offset % _SECTOR
        piece = data[:length]
        if dice.random() < 0.05:
            piece = piece[: dice.randrange(len(piece) + 1)]
        pieces.append(("write", inode, offset, piece))
        offset, data = offset + length, data[length:]
    return pieces


class Box:
    """A directory that is set up as a disk was found; its files keep their old inodes' numbers."""

    def __init__(self, folder: Path, state: State, known: dict[int, int], life: int) -> None:
        self.folder, self.life = folder, life
        self.told: dict[str, int] = {}
        self.state = State()
        self._table: dict[int, int] = {}
        (folder / "data").mkdir(parents=True)
        self._fill(state, known)

    def _fill(self, state: State, known: dict[int, int]) -> None:
        for name in sorted(state.directories):
            if os.path.isdir(os.path.dirname(name)):
                os.makedirs(name, exist_ok=True)
                self.state.directories.add(name)
        made: dict[int, str] = {}
        for name, inode in state.names.items():
            if not os.path.isdir(os.path.dirname(name)):
                continue
            if inode in made:
                os.link(made[inode], name)
            else:
                Path(name).write_bytes(state.files.get(inode, b""))
            made[inode] = name
            real = os.stat(name).st_ino
            self._table[real] = known.get(inode, inode)
            self.state.names[name] = real
            self.state.files[real] = bytearray(state.files.get(inode, b""))

    def number(self, inode: int) -> int:
        """What the inode is called, in all lives of its file."""
        return self._table.get(inode, inode + (self.life << _FOREIGN))

    def install(self) -> None:
        """Let the writer of this process see the numbers."""
        identity, identity_of = Disk.identity, Disk.identity_of

        def of_descriptor(disk: Disk, fd: int) -> FileIdentity:
            return 0, self.number(identity(disk, fd)[1])

        def of_name(disk: Disk, path: Path) -> FileIdentity | None:
            found = identity_of(disk, path)
            return None if found is None else (0, self.number(found[1]))

        Disk.identity, Disk.identity_of = of_descriptor, of_name  # type: ignore[method-assign]

    def live(
        self, run: str, before: Callable[[Shim], None] = modern, work: Perform = perform
    ) -> tuple[list[Event], list[str]]:
        """Let a writer live in it to the end; its diary, and what went wrong."""

        def prepare(shim: Shim) -> None:
            self.install()
            before(shim)

        life = live(self.folder, run, diary="diary", before=prepare, work=work)
        diary = pickle.loads((self.folder / "diary").read_bytes())
        return diary, [life.error] if life.error else list(life.forgot(self.told))


def record(
    folder: Path, before: Callable[[Shim], None] = modern, work: Perform = perform
) -> list[Event]:
    """The diary of one run in an empty directory."""
    box = Box(folder, State(), {}, 0)
    diary, wrong = box.live("run", before, work)
    shutil.rmtree(folder)
    if wrong:
        raise RuntimeError(wrong[0])
    return diary


def lose_power(
    folder: Path,
    diary: list[Event],
    dice: random.Random,
    deaths: int,
    before: Callable[[Shim], None] = modern,
) -> list[str]:
    """Lose power in the run of that diary, and `deaths` - 1 times in its recovery."""
    state, number, told, run = State(), known_in(0), dict[str, int](), "run"
    for life in range(1, deaths + 1):
        past = diary[: dice.randint(0, len(diary) if life == 1 else min(len(diary), 400))]
        told |= {event[1]: event[2] for event in past if event[0] == "told"}
        found = crash(state, past, dice)
        shutil.rmtree(folder, ignore_errors=True)
        box = Box(folder, found, {i: number(i) for i in found.names.values()}, life)
        wrong = list(look(folder))
        run = dice.choice([run, f"{run}+"])
        box.told = dict(told)
        diary, more = box.live(run, before)
        if wrong or more:
            return wrong + more
        state, number = box.state, box.number
    return [*account(folder, everything(), everything()), *nothing_to_recover(folder)]


def known_in(life: int) -> Callable[[int], int]:
    return lambda inode: inode + (life << _FOREIGN)


def campaign(folder: Path, seed: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Power losses at random moments while there is time."""
    dice, counts, wrong = random.Random(seed), Counter[str](), list[str]()
    until = time.monotonic() + seconds
    diaries = {before: record(folder / "power", before) for before in (modern, old_file_system)}
    while time.monotonic() < until:
        deaths, before = dice.choice([1, 1, 2, 3]), dice.choice(list(diaries))
        wrong += lose_power(folder / "power", diaries[before], dice, deaths, before)
        counts["power lost in a run"] += 1
        counts["power lost in a recovery"] += deaths - 1
    return counts, wrong
