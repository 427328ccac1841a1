"""The vault's changes, each of them killed and cut off the power at any change of a file.

The same is done to them as to the rows of a run (`fault_points`, `fault_power`). After some of the
crashes the directory is only recovered, and held against what was answered; and after all of them
the client goes on until the last change is done, each of them once.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py

from benchmarks.fault_account import account as account_of_rows
from benchmarks.fault_calls import Event
from benchmarks.fault_points import Kill, Killing, enumerate_kills, killed_at
from benchmarks.fault_power import Box, State, crash, known_in, record
from benchmarks.fault_reader import CLEAN
from benchmarks.fault_story import Life, live
from benchmarks.fault_vault_account import account
from benchmarks.fault_vault_story import JOB, OPS, ROWS, perform, recover_only
from h5daq.storage.recovery import recover_run
from h5daq.vault.replay import replay_vault

__all__ = ["campaign", "kill_and_recover", "kills", "lose_power", "story", "stricken"]

_MOST_LIVES = 6


def kills(folder: Path) -> list[Kill]:
    """All deaths that the story can die."""
    return enumerate_kills(folder, work=perform)


def story(folder: Path) -> list[Event]:
    """The diary of the story."""
    return record(folder, work=perform)


def answered(folder: Path) -> int:
    """How many changes the client was answered by now."""
    told = folder / "told"
    lines = told.read_text().splitlines() if told.exists() else []
    return max((int(n) for what, n in map(str.split, lines) if what == "op"), default=0)


def kill_and_recover(folder: Path, kill: Kill, dice: random.Random) -> Killing:
    """Die there, perhaps again while recovering, then live to the end; the account of it all."""
    folder.mkdir()
    done, run, number, when = Killing(), "run", kill.number, kill.when
    for _ in range(_MOST_LIVES):
        life = live(folder, run, killed_at(number, when, folder), work=perform)
        if not life.killed:
            break
        done.points.append((folder / "point").read_text())
        flaws, run = _seen(folder / "data"), dice.choice([run, f"{run}+"])
        if dice.random() < 0.5:
            # As `h5daq recover` ends a run, another one comes after it.
            run = f"{run}+"
            flaws += _recovered(folder)
        done.wrong += [f"after {done.points[-1]} ({when}): {flaw}" for flaw in flaws]
        number, when = dice.choice([0, 0, dice.randint(1, 120)]), dice.choice(["before", "after"])
    else:
        life = live(folder, run, work=perform)
    done.wrong += [f"{done.points}: {flaw}" for flaw in _end(folder, life)]
    shutil.rmtree(folder)
    return done


def _recovered(folder: Path) -> list[str]:
    recover_run(folder / "data", None, replay_vault)
    return list(account(folder / "data", answered(folder), len(OPS)))


def _seen(data: Path) -> list[str]:
    """What plain h5py finds as a crash left it: whole files, or such as refuse themselves."""
    wrong = []
    for path in data.rglob("*.dir/*.hdf5"):
        try:
            with h5py.File(path) as file:
                list(file["DataVault"].attrs.items()), file["DataVault"][:]
        except (OSError, KeyError) as error:
            marked = path.read_bytes()[8:9] == b"\xff"
            if not marked and not any(text in str(error) for text in CLEAN):
                wrong.append(f"{path.name}: {error}")
    return wrong


def _end(folder: Path, life: Life) -> list[str]:
    if life.error:
        return [f"the next start failed: {life.error}"]
    wrong = [] if answered(folder) == len(OPS) else ["the client was not answered to the end"]
    wrong += account(folder / "data", len(OPS), len(OPS))
    wrong += account_of_rows(folder, {JOB: ROWS}, {JOB: ROWS, "jobs/wave": 0})
    before = {p: p.read_bytes() for p in (folder / "data").rglob("*.hdf5")}
    recover_run(folder / "data", None, replay_vault)
    if any(path.read_bytes() != data for path, data in before.items()):
        wrong.append("a recovery after an end in order changed files")
    return wrong


# -- loss of power -------------------------------------------------------------------------------


def lose_power(folder: Path, diary: list[Event], dice: random.Random, deaths: int) -> list[str]:
    """Lose power in the story of that diary, and `deaths` - 1 times in what follows."""
    state, number, told, run = State(), known_in(0), list[Event](), "run"
    for life in range(1, deaths + 1):
        past = diary[: dice.randint(0, len(diary) if life == 1 else min(len(diary), 400))]
        told += [event for event in past if event[0] == "told"]
        found = crash(state, past, dice)
        box = _set_up(folder, found, number, life, told)
        wrong = _seen(folder / "data")
        run = dice.choice([run, f"{run}+"])
        recovers = dice.random() < 0.5
        diary, more = _go_on(box, run, recovers=recovers, last=life == deaths)
        run += "+" * recovers
        if wrong or more:
            return [f"life {life}: {flaw}" for flaw in wrong + more]
        state, number = box.state, box.number
    return _end(folder, Life(False))


def _set_up(
    folder: Path, found: State, number: Callable[[int], int], life: int, told: list[Event]
) -> Box:
    shutil.rmtree(folder, ignore_errors=True)
    box = Box(folder, found, {i: number(i) for i in found.names.values()}, life)
    # The client is on another machine: it remembers.
    (folder / "told").write_text("".join(f"{what} {end}\n" for _, what, end in told))
    return box


def _go_on(box: Box, run: str, *, recovers: bool, last: bool) -> tuple[list[Event], list[str]]:
    """The next life, or only a recovery, whose account is taken; then the last life comes still."""
    if not recovers:
        return box.live(run, work=perform)
    diary, wrong = box.live(run, work=recover_only)
    wrong += account(box.folder / "data", answered(box.folder), len(OPS))
    if last and not wrong:
        return box.live(f"{run}+", work=perform)
    return diary, wrong


def stricken(folder: Path, seeds: range) -> list[str]:
    """What goes wrong when power is lost by these seeds."""
    diary, wrong = story(folder), list[str]()
    for seed in seeds:
        flaws = lose_power(folder, diary, random.Random(seed), 1 + seed % 3)
        wrong += [f"seed {seed}: {flaw}" for flaw in flaws]
    return wrong


def campaign(folder: Path, seed: int, seconds: float) -> tuple[Counter[str], list[str]]:
    """Kills and losses of power by turns while there is time."""
    dice, counts, wrong = random.Random(seed), Counter[str](), list[str]()
    until, place = time.monotonic() + seconds, folder / "vault"
    diary, every = story(place), kills(place)
    while time.monotonic() < until:
        deaths = dice.choice([1, 1, 2, 3])
        wrong += lose_power(place, diary, dice, deaths)
        shutil.rmtree(place)
        counts["power lost"] += deaths
        done = kill_and_recover(place, dice.choice(every), dice)
        counts.update(done.points)
        wrong += done.wrong
    return counts, wrong
