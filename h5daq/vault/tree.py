"""The vault's tree: moving about in it, making directories and datasets, tags; what changes it.

A context stands at a path, which it hands in and gets back: the tree keeps no contexts. What is
done to a dataset is done to the `Dataset` that `new` and `open` give; what these methods
themselves change is on disk when they return.

::

    tree.step(path, "a", create=True)   ──▶ new path, and the directories that were made
    tree.new(path, "scan", columns)     ──▶ Dataset "00001 - scan"; the counter moves on after it
    tree.open(path, 1)                  ──▶ the same, by name or number
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from h5daq.errors import (
    DirectoryExists,
    DirectoryNotFound,
    NoDataset,
    ReadOnly,
    StorageError,
)
from h5daq.flow.variables import Columns
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.storage.layouts.datavault_head import DatasetHead, Versions
from h5daq.vault.dataset import Dataset
from h5daq.vault.job_store import Recorder
from h5daq.vault.looking import Looking
from h5daq.vault.names import SUFFIX, VaultPath, directory_file, number_of, numbered
from h5daq.vault.tags import Tagged, as_list, changed

__all__ = ["ROOT", "Target", "Tree"]

ROOT: VaultPath = ("",)
"""The path of the root."""

Target = str | int | Sequence[str]
"""Where to go: down by a name or several, or up by a number."""


class Tree(Looking):
    """The directories and datasets under a root.

    Parameters
    ----------
    root : Path
        A directory.
    suffix : str
        What directories' names end with on disk; empty in the trees of one fork.
    versions : {"guide", "server"}
        Whose version numbers new datasets get.
    durable : bool
        Whether what is written outlives the loss of power.

    recorder : Recorder, optional
        Who records a run in it at this moment.

    Attributes
    ----------
    runs : Runs
        The runs, which are directories of the same tree.

    Notes
    -----
    One process at a time may change a tree.
    """

    def __init__(
        self,
        root: Path,
        suffix: str = SUFFIX,
        *,
        versions: Versions = "guide",
        durable: bool = True,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(root, suffix, durable=durable, recorder=recorder)
        self._versions: Versions = versions
        self._counters: dict[VaultPath, int] = {}

    # -- directories -----------------------------------------------------------------------------

    def step(
        self, path: VaultPath, target: Target, *, create: bool = False, now: float = 0.0
    ) -> tuple[VaultPath, list[VaultPath]]:
        """Where a context comes to from `path`.

        Parameters
        ----------
        path : tuple of str
            Where it is.
        target : str, int or sequence of str
            Down by a name, or several; the empty name is the root. Up by a number.
        create : bool
            Make directories that are not there.
        now : float
            Time in seconds since 1970-01-01 UTC.

        Returns
        -------
        path : tuple of str
            Where it is then.
        made : list of tuple of str
            Directories that were made, from the top.

        Raises
        ------
        DirectoryNotFound
            If one is not there.
        """
        if isinstance(target, int):
            return path[: max(1, len(path) - max(0, target))], []
        made: list[VaultPath] = []
        for name in [target] if isinstance(target, str) else target:
            path = (*path, name) if name else ROOT
            if self.has(path):
                continue
            if not create:
                text = f"there is no directory {'/'.join(path)}"
                raise DirectoryNotFound(text + self._meant(path[:-1], name))
            self.make(path, now)
            made.append(path)
        return path, made

    def make(self, path: VaultPath, now: float) -> None:
        """Make a directory, and those above it that only runs have.

        Raises
        ------
        EmptyName, DirectoryExists
            If it has no name, or is there.
        ReadOnly
            If it would be in that of a run.
        """
        self.check_free(path)
        for depth in range(2, len(path)):
            if not self.folders.exists(path[:depth]) and self.runs.has(path[:depth]):
                self.folders.make(path[:depth], now)
        self.folders.make(path, now)

    def check_free(self, path: VaultPath) -> None:
        """See that no run has a directory, or the one above it.

        Raises
        ------
        DirectoryExists, ReadOnly
            If one has.
        """
        directory_file(path[-1], self.folders.suffix)
        if self.runs.has(path):
            raise DirectoryExists(f"there is a directory {'/'.join(path)} already: a run has it")
        self.check_owner(path[:-1])

    def check_owner(self, path: VaultPath) -> None:
        """Raise `ReadOnly` if a directory is that of a run, or in one."""
        if self.runs.owns(path):
            raise ReadOnly(
                f"{'/'.join(path)} is of a run: what is in it comes from the run's jobs alone"
            )

    def mkdir(self, path: VaultPath, name: str, *, now: float) -> VaultPath:
        """Make a directory; returns its path.

        Raises
        ------
        EmptyName, DirectoryExists
            If it has no name, or is there.
        """
        self.make((*path, name), now)
        return (*path, name)

    # -- datasets --------------------------------------------------------------------------------

    def next_number(self, path: VaultPath) -> int:
        """The number that the next dataset in a directory gets.

        It is the directory's counter, unless a file has that number already: a crash may have
        come between a dataset and the note of it.
        """
        if path not in self._counters:
            numbers = (number_of(name) or 0 for name in self.folders.datasets(path))
            self._counters[path] = max(numbers, default=0) + 1
        return max(self._counters[path], self.folders.session(path).counter)

    def new(
        self,
        path: VaultPath,
        title: str,
        columns: Columns,
        *,
        extended: bool = False,
        now: float,
        lsn: int = 0,
    ) -> Dataset:
        """Make a dataset. A creation that fails takes no number and leaves no file.

        Parameters
        ----------
        path : tuple of str
            Where.
        title : str
            Its title; a simple one without title is called untitled.
        columns : Columns
            Its columns.
        extended : bool
            Whether it may have columns of any type; ``new_ex`` makes these.
        now : float
            Time in seconds since 1970-01-01 UTC.
        lsn : int
            The journal entry that asks for it; 0 without a journal.

        Raises
        ------
        BadArgument
            If the title or the columns can't be stored.
        """
        self.check_owner(path)
        title = title if title or extended else "untitled"
        number = self.next_number(path)
        name = numbered(number, title)
        head = DatasetHead.new(title, columns, extended=extended, now=now, versions=self._versions)
        file = self.folders.new_dataset(path, name)
        store = VaultFile.create(file, head, lsn=lsn, durable=self._durable)
        try:
            self.folders.remember(path, self.folders.session(path).grown(number, now))
        except StorageError:
            store.abort()
            self.folders.drop(file)
            raise
        self._counters[path] = number + 1
        return Dataset(name, store)

    # -- tags ------------------------------------------------------------------------------------

    def update_tags(
        self,
        path: VaultPath,
        tags: str | Iterable[str],
        directories: str | Iterable[str],
        datasets: str | Iterable[str] | None = None,
        *,
        current: str | None = None,
        now: float,
    ) -> tuple[Tagged, Tagged]:
        """Change tags of what is, or will be, in a directory.

        Parameters
        ----------
        path : tuple of str
            The directory.
        tags : str or iterable of str
            ``t`` adds, ``-t`` removes, ``^t`` toggles.
        directories, datasets : str or iterable of str
            Names. Without `datasets`, the one that the context has open.
        current : str, optional
            That one.
        now : float
            Time in seconds since 1970-01-01 UTC.

        Returns
        -------
        directories, datasets : list of (name, tags)
            Those whose tags have changed.

        Raises
        ------
        NoDataset
            Without `datasets`, if none is open.
        """
        if datasets is None:
            if current is None:
                raise NoDataset("no dataset is open whose tags could be changed: name one")
            datasets = current
        self.check_owner(path)
        session, changes = self.folders.session(path), as_list(tags)
        of_directories, told = changed(session.directories, as_list(directories), changes)
        of_datasets, told_too = changed(session.datasets, as_list(datasets), changes)
        after = replace(session.used(now), directories=of_directories, datasets=of_datasets)
        self.folders.remember(path, after)
        return told, told_too
