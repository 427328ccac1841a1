"""A client of the vault under the campaign: it adds rows all the while, and keeps account.

In each round it makes a dataset and adds numbered rows to it, a comment now and then; it waits for
each answer, and after trouble goes on as its user would. In the end each answered row is in its
dataset once, in order, and of the others at most the one that was under way.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import h5daq
from h5daq.errors import ContextLost, H5daqError, NoAnswer, RequestError, StorageError
from h5daq.vaultclient import VaultContext

__all__ = ["Adder", "Kept", "check"]

PLACE = ["", "campaign", "50% of a/b"]
_EACH = 10
"""Rows between two comments."""


@dataclass
class Kept:
    """What was answered of a dataset; rows and comments that were sent."""

    rows: int = 0
    comments: int = 0
    sent_rows: int = 0
    sent_comments: int = 0


class Adder(threading.Thread):
    """Adds in one round.

    Parameters
    ----------
    requests : str
        The writer's endpoint.
    datasets : dict of str to Kept
        The account of all rounds, by full name.
    """

    def __init__(self, requests: str, datasets: dict[str, Kept]) -> None:
        super().__init__(daemon=True)
        self._requests, self._datasets = requests, datasets
        self.over = False
        self.troubles: Counter[str] = Counter()

    def run(self) -> None:
        """Add until the round is over."""
        with h5daq.connect(self._requests) as client:
            while not self.over:
                try:
                    with client.vault(timeout=2.0, lease=5.0) as vault:
                        self._work(vault)
                except H5daqError as error:
                    # No context, or no dataset yet: it is begun again.
                    self._note(error)
                    time.sleep(0.1)

    def _work(self, vault: VaultContext) -> None:
        if not self._is_done(vault, lambda: vault.cd(PLACE, create=True)):
            return
        _, name = vault.new("rows", ["n"], ["half"])
        kept = self._datasets.setdefault(name, Kept())
        while not self.over and self._add(vault, kept):
            if kept.rows % _EACH == 0 and not self._comment(vault, kept):
                return

    def _add(self, vault: VaultContext, kept: Kept) -> bool:
        n = kept.sent_rows = kept.rows + 1
        if self._is_done(vault, lambda: vault.add([n, n / 2])):
            kept.rows = n
        return kept.rows == n

    def _comment(self, vault: VaultContext, kept: Kept) -> bool:
        n = kept.sent_comments = kept.comments + 1
        if self._is_done(vault, lambda: vault.add_comment(str(n))):
            kept.comments = n
        return kept.comments == n

    def _is_done(self, vault: VaultContext, change: Callable[[], Any]) -> bool:
        """Whether a change was answered; what is not done is asked for again."""
        act = change
        while not self.over:
            try:
                act()
                return True
            except NoAnswer as error:
                self._note(error)
                act = vault.settle
            except ContextLost as error:
                self._note(error)
                self._restore(vault)
                act = change
            except (StorageError, RequestError) as error:
                self._note(error)
                act = change
                time.sleep(0.05)
        return False

    def _restore(self, vault: VaultContext) -> None:
        while not self.over:
            try:
                vault.restore()
                return
            except (NoAnswer, ContextLost, StorageError, RequestError) as error:
                self._note(error)
                time.sleep(0.05)

    def _note(self, error: H5daqError) -> None:
        self.troubles[type(error).__name__] += 1


def check(data: Path, datasets: dict[str, Kept]) -> Iterator[str]:
    """What is wrong with the datasets that the rounds have made, by plain h5py."""
    if not datasets:
        yield "vault: no dataset was made"
        return
    vault = h5daq.Vault(data)
    vault.cd(PLACE)
    (folder,) = (data / "campaign.dir").glob("*.dir")
    names = vault.dir(())[1]
    if len({name[:5] for name in names}) != len(names):
        yield f"vault: a number was given twice: {names}"
    for name in sorted(set(datasets) - set(names)):
        yield f"vault: {name} was answered, and is not there"
    for name in names:
        flaws = _flaws(folder / f"{name}.hdf5", datasets.get(name, Kept()))
        yield from (f"vault: {name}: {flaw}" for flaw in flaws)


def _flaws(path: Path, kept: Kept) -> Iterator[str]:
    with h5py.File(path) as file:
        n, half = file["DataVault"]["f0"], file["DataVault"]["f1"]
        said = [*file["DataVault"].attrs["Comments"]["Comment"]]
        said += [*file["Comments"]["Comment"]] if "Comments" in file else []
    if not np.array_equal(n, np.arange(1, len(n) + 1)) or not np.array_equal(half, n / 2):
        yield f"rows are missing, doubled, torn or out of order: {n.tolist()[-20:]}"
    if not kept.rows <= len(n) <= kept.sent_rows:
        yield f"{len(n)} rows, of {kept.sent_rows} that were sent {kept.rows} were answered"
    if [text.decode() for text in said] != [str(k + 1) for k in range(len(said))]:
        yield f"comments are not those that were made: {said[-5:]}"
    if not kept.comments <= len(said) <= kept.sent_comments:
        yield f"{len(said)} comments, {kept.comments} were answered, {kept.sent_comments} sent"
