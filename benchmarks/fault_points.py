"""Named crash points: a writer is killed at each change that it makes to a file.

One undisturbed run (`benchmarks.fault_story`) gives the list: every write, sync, cut, rename, link,
unlink, new name and new directory, named by what the writer was about and where in the code. Then
it is killed before, after and, for a write, in the middle of each of them, and often once more in
the recovery. What is left is looked at with plain h5py as it is found, and after a run to the end
each row must be there once.
"""

from __future__ import annotations

import errno
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py

from benchmarks.fault_account import account, nothing_to_recover, promised
from benchmarks.fault_calls import PASS, Call, Judge, Verdict, point_name
from benchmarks.fault_reader import CLEAN, contents, flaws
from benchmarks.fault_shim import Shim
from benchmarks.fault_story import (
    Life,
    Perform,
    calls_of,
    everything,
    live,
    perform,
)

__all__ = [
    "Kill",
    "Killing",
    "campaign",
    "enumerate_kills",
    "fail_and_recover",
    "failures",
    "kill_and_recover",
    "killed_at",
    "look",
    "modern",
    "old_file_system",
    "sample",
]

_MOST_LIVES = 6


@dataclass(frozen=True, slots=True)
class Kill:
    """One death: at call `number` of a run, `when` is before, middle or after."""

    number: int
    when: str
    point: str


@dataclass
class Killing:
    """What came of some deaths in one directory."""

    points: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def modern(shim: Shim) -> None:
    """A file system that can do everything."""


def old_file_system(shim: Shim) -> None:
    """A file system that can't rename without replacing, as some of networks."""
    shim.exclusive = False


def enumerate_kills(
    folder: Path, before: Callable[[Shim], None] = modern, work: Perform = perform
) -> list[Kill]:
    """All deaths that a run can die, in order. Makes `folder` for one undisturbed run."""
    folder.mkdir()
    kills = []
    for number, (point, op) in enumerate(calls_of(folder, point_name, before, work), start=1):
        moments = ("before", "middle", "after") if op == "write" else ("before", "after")
        kills += [Kill(number, when, point) for when in moments]
    shutil.rmtree(folder)
    return kills


def sample(kills: list[Kill], dice: random.Random, most: int) -> list[Kill]:
    """One death of each named point, and others up to `most`."""
    by_point: dict[str, list[Kill]] = {}
    for kill in kills:
        by_point.setdefault(kill.point, []).append(kill)
    chosen = [dice.choice(same) for same in by_point.values()]
    dice.shuffle(chosen)
    return chosen[:most] + dice.sample(kills, max(0, most - len(chosen)))


def killed_at(number: int, when: str, folder: Path) -> Judge:
    """A judge who kills there, and notes the point's name in ``folder/point``."""

    def judge(call: Call) -> Verdict:
        if call.number != number:
            return PASS
        (folder / "point").write_text(point_name(call))
        return Verdict(kill=when)

    return judge


def kill_and_recover(
    folder: Path, kill: Kill, dice: random.Random, before: Callable[[Shim], None] = modern
) -> Killing:
    """Die there, perhaps again while recovering, then run to the end; the account of it all."""
    folder.mkdir()
    done, run, number, when = Killing(), "run", kill.number, kill.when
    for _ in range(_MOST_LIVES):
        told = dict(promised(folder))
        life = live(folder, run, killed_at(number, when, folder), before=before)
        if not life.killed:
            break
        done.points.append((folder / "point").read_text())
        done.wrong += [f"after {done.points[-1]} ({when}): {flaw}" for flaw in look(folder)]
        # The same daemon's next writer, or a new daemon; most often it may live.
        run = dice.choice([run, f"{run}+"])
        number, when = dice.choice([0, 0, dice.randint(1, 60)]), dice.choice(["before", "after"])
    else:
        told, life = dict(promised(folder)), live(folder, run)
    done.wrong += [f"{done.points}: {flaw}" for flaw in _check_end(folder, life, told)]
    shutil.rmtree(folder)
    return done


def fail_and_recover(
    folder: Path, number: int, error: int, times: int, before: Callable[[Shim], None] = modern
) -> Killing:
    """Let `times` calls fail from that one on; the writer goes on, or its successor does."""
    folder.mkdir()
    done, told = Killing(), dict[str, int]()

    def judge(call: Call) -> Verdict:
        if not number <= call.number < number + times:
            return PASS
        with open(folder / "point", "a") as points:
            points.write(f"{point_name(call)}\n")
        return Verdict(error=error)

    life = live(folder, "run", judge, before=before)
    done.points = (folder / "point").read_text().splitlines()
    if life.error:
        # What a writer may end with is an error of ours, as of a sync that failed.
        if not life.report.get("storage"):
            done.wrong.append(f"{done.points}: {life.error}")
        told, life = dict(promised(folder)), live(folder, "run")
    done.wrong += [f"{done.points}: {flaw}" for flaw in _check_end(folder, life, told)]
    shutil.rmtree(folder)
    return done


def look(folder: Path) -> Iterator[str]:
    """What plain h5py finds in the files as a kill left them, that nobody may ever see."""
    for path in sorted((folder / "data").glob("*.hdf5")):
        try:
            with h5py.File(path, "r") as file:
                for job, columns in contents(file).items():
                    yield from flaws(job, {"birth": columns["n"] * 0, **columns})
        except OSError as error:
            if not any(text in str(error) for text in CLEAN) and not _marked(path):
                yield f"{path.name}: {error}"


def _marked(path: Path) -> bool:
    """Whether the file is half applied, and refuses itself for that until it is recovered."""
    return path.read_bytes()[8:9] == b"\xff"


def _check_end(folder: Path, life: Life, told: dict[str, int]) -> Iterator[str]:
    if life.error:
        yield f"the next start failed: {life.error}"
        return
    yield from life.forgot(told)
    yield from account(folder, everything(), everything())
    if life.report["marked"]:
        yield from nothing_to_recover(folder)


def failures(folder: Path, seed: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Calls that fail, at random points, while there is time; failures by point."""
    dice, failed, wrong = random.Random(seed), Counter[str](), list[str]()
    until = time.monotonic() + seconds
    last = enumerate_kills(folder / "calls")[-1].number
    while time.monotonic() < until:
        error = dice.choice([errno.EIO, errno.ENOSPC, errno.EROFS, errno.EFBIG, errno.EDQUOT])
        times, before = dice.choice([1, 1, 2, 8]), dice.choice([modern, old_file_system])
        done = fail_and_recover(folder / "calls", dice.randint(1, last), error, times, before)
        failed.update(done.points)
        wrong += done.wrong
    return failed, wrong


def campaign(folder: Path, seed: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """All kills in random order, again and again while there is time; deaths by point."""
    dice, deaths, wrong = random.Random(seed), Counter[str](), list[str]()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        before = dice.choice([modern, modern, old_file_system])
        kills = enumerate_kills(folder / "points", before)
        for kill in dice.sample(kills, len(kills)):
            done = kill_and_recover(folder / "points", kill, dice, before)
            deaths.update(done.points)
            wrong += done.wrong
            if time.monotonic() >= until:
                break
    return deaths, wrong
