"""Damaged files given to whatever reads them: each in a child process, so that a crash is seen.

A target makes something whole once, then tries damaged copies of it. An outcome is a short word;
errors of h5daq's own tree are outcomes like others. Any other exception, a signal, or a trial that
takes too long is a finding.
"""

from __future__ import annotations

import json
import os
import random
import signal
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from h5daq.errors import H5daqError

__all__ = ["Findings", "Target", "try_out"]

TRIAL_SECONDS = 60
_HDF5_SECONDS = 5


class Target(Protocol):
    """What can be damaged and then read."""

    name: str
    foreign: bool  # read by a library that isn't ours, and may die of it

    def make(self, folder: Path) -> None:
        """Make what is whole."""
        ...

    def trial(self, dice: random.Random) -> str:
        """Damage a copy, read it, and say what became of it."""
        ...


class Findings:
    """What the trials of a target came to."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []


def try_out(
    target: Target, folder: Path, n: int, seed: int, progress: Callable[[int], object]
) -> Findings:
    """Make `n` trials; trial `i` depends on `seed` and `i` alone."""
    found, done = Findings(), 0
    target.make(folder)
    while done < n:
        for line in _in_child(target, seed, done, n):
            done = line["trial"] + 1
            found.outcomes[line["outcome"]] += 1
            if line["wrong"]:
                found.wrong.append(f"{target.name} {seed}/{line['trial']}: {line['wrong']}")
            progress(done)
    return found


def _in_child(target: Target, seed: int, first: int, n: int) -> Iterator[dict[str, Any]]:
    """What a child says of its trials, and of the one that it did not come back from."""
    readable, writable = os.pipe()
    with warnings.catch_warnings():
        # The child of a process with threads: it takes no lock of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(readable)
        _trials(target, seed, range(first, n), writable)
        os._exit(0)
    os.close(writable)
    with open(readable) as lines:
        for line in lines:
            said = json.loads(line)
            first = said["trial"] + 1
            yield said
    _, status = os.waitpid(child, 0)
    if first < n:
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "an exit"
        if target.foreign:
            yield {"trial": first, "outcome": f"{name} in HDF5 itself", "wrong": ""}
        else:
            yield {"trial": first, "outcome": "died", "wrong": f"the process died of {name}"}


def _trials(target: Target, seed: int, numbers: range, out: int) -> None:
    with suppress(BrokenPipeError):
        for number in numbers:
            signal.alarm(_HDF5_SECONDS if target.foreign else TRIAL_SECONDS)
            outcome, wrong = _one(target, random.Random(f"{seed}/{number}"))
            said = {"trial": number, "outcome": outcome, "wrong": wrong}
            os.write(out, json.dumps(said).encode() + b"\n")


def _one(target: Target, dice: random.Random) -> tuple[str, str]:
    try:
        return target.trial(dice), ""
    except H5daqError as error:
        return type(error).__name__, ""
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "wrong", f"{type(error).__name__}: {error!s:.200} ({where.filename}:{where.lineno})"
