"""The vault's tree: moving about in it, making directories and datasets, opening, tags.

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
from difflib import get_close_matches
from pathlib import Path

from h5daq.errors import (
    BadArgument,
    DatasetNotFound,
    DirectoryExists,
    DirectoryNotFound,
    NoDataset,
    ReadOnly,
    StorageError,
)
from h5daq.flow.variables import Columns
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.storage.layouts.datavault_head import DatasetHead, Versions
from h5daq.storage.layouts.datavault_read import VaultReader
from h5daq.vault.dataset import Dataset
from h5daq.vault.folders import Folders
from h5daq.vault.job_store import Recorder
from h5daq.vault.legacy import LegacyReader
from h5daq.vault.names import SUFFIX, VaultPath, directory_file, number_of, numbered
from h5daq.vault.runs import Runs
from h5daq.vault.session import Session
from h5daq.vault.tags import Tagged, as_list, changed, chosen, tags_of

__all__ = ["DEFAULT_FILTERS", "ROOT", "Target", "Tree"]

ROOT: VaultPath = ("",)
"""The path of the root."""

DEFAULT_FILTERS = ("-trash",)
"""What `Tree.dir` leaves out unless asked."""

Target = str | int | Sequence[str]
"""Where to go: down by a name or several, or up by a number."""


class Tree:
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
        self.runs = Runs(root, recorder)
        self.folders = Folders(root, suffix, durable=durable)
        self._versions: Versions = versions
        self._durable = durable
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

    def has(self, path: VaultPath) -> bool:
        """Whether there is such a directory."""
        return self.folders.exists(path) or self.runs.has(path)

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

    def dir(
        self, path: VaultPath, filters: str | Iterable[str] = DEFAULT_FILTERS
    ) -> tuple[list[str], list[str]]:
        """Names of the directories and of the datasets that pass all filters, in order.

        Where a directory has datasets of its own and jobs, the jobs come last.
        """
        directories, datasets = self.dir_tags(path, filters)
        return [name for name, _ in directories], [name for name, _ in datasets]

    def dir_tags(
        self, path: VaultPath, filters: str | Iterable[str] = DEFAULT_FILTERS
    ) -> tuple[Tagged, Tagged]:
        """As `dir`, each name with its tags."""
        session, wanted = self.session(path), as_list(filters)
        found = self._contents(path)
        directories = chosen(found[0], session.directories, wanted)
        datasets = chosen(found[1], session.datasets, wanted)
        return tags_of(directories, session.directories), tags_of(datasets, session.datasets)

    def _contents(self, path: VaultPath) -> tuple[list[str], list[str]]:
        directories, jobs = self.runs.contents(path)
        if not self.folders.exists(path) and self.runs.has(path):
            return directories, jobs
        directories = sorted({*self.folders.directories(path), *directories})
        return directories, [*self.folders.datasets(path), *jobs]

    def session(self, path: VaultPath) -> Session:
        """What a directory remembers, of its tags at least."""
        if not self.runs.owns(path):
            return self.folders.session(path)
        directories, datasets = self.runs.tags(path)
        return Session(directories=directories, datasets=datasets)

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

    def find(self, path: VaultPath, which: str | int) -> str:
        """A dataset's full name, by that or by its number.

        Raises
        ------
        DatasetNotFound
            If there is none.
        """
        located = self._located(path, which)
        name = self.runs.find(path, which) if located is None else located[0]
        if name is None:
            text = f"Dataset {which!r} not found in {'/'.join(path) or '/'}!"
            raise DatasetNotFound(text + self._meant(path, which))
        return name

    def _meant(self, path: VaultPath, which: str | int) -> str:
        """What somebody may have meant who named what is not there."""
        if isinstance(which, int) or not self.has(path):
            return ""
        directories, datasets = self._contents(path)
        if which in directories:
            return " It is a directory."
        if which in datasets:
            return " It is a dataset."
        if which.isdecimal():
            return f" By its number a dataset is opened with the number itself: {int(which)}."
        titled = [name for name in datasets if name.partition(" - ")[2] == which]
        near = titled[-1:] or get_close_matches(which, [*directories, *datasets], 1)
        return f" Did you mean {near[0]!r}?" if near else ""

    def _located(self, path: VaultPath, which: str | int) -> tuple[str, Path] | None:
        """The full name and the file of a dataset that has one."""
        if not self.folders.exists(path):
            return None
        if isinstance(which, int):
            found = self.folders.datasets(path).items()
            return next((pair for pair in found if number_of(pair[0]) == which), None)
        file = self.folders.dataset(path, which)
        return None if file is None else (which, file)

    def open(self, path: VaultPath, which: str | int, *, writable: bool = False) -> Dataset:
        """Open a dataset.

        Parameters
        ----------
        path : tuple of str
            Its directory.
        which : str or int
            Its full name or its number.
        writable : bool
            Whether anything may be added to it. Otherwise nothing on disk is changed.

        Raises
        ------
        DatasetNotFound
            If there is none.
        BadArgument
            If it shall be written to and is of the kind that is only read.
        """
        located = self._located(path, which)
        if located is None:
            return self._open_job(path, self.find(path, which), writable=writable)
        name, file = located
        if file.suffix in (".ini", ".csv"):
            if writable:
                raise BadArgument(f"{name!r} is an old dataset of two files, which are only read")
            return Dataset(name, LegacyReader(file))
        if not writable:
            return Dataset(name, VaultReader(file))
        return Dataset(name, VaultFile.reopen(file, durable=self._durable))

    def _open_job(self, path: VaultPath, name: str, *, writable: bool) -> Dataset:
        job = self.runs.open(path, name)
        if job is None:
            raise DatasetNotFound(f"Dataset {name!r} not found in {'/'.join(path)}!")
        if writable:
            raise ReadOnly(job.closed)
        return job

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

    def get_tags(
        self, path: VaultPath, directories: str | Iterable[str], datasets: str | Iterable[str]
    ) -> tuple[Tagged, Tagged]:
        """The names with their tags; those that are not known have none."""
        session = self.session(path)
        return (
            tags_of(as_list(directories), session.directories),
            tags_of(as_list(datasets), session.datasets),
        )
