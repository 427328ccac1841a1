"""The vault's tree as it is: what is in its directories, and the datasets as they are found.

The directories on disk and those of the runs are one tree here; `tree` adds what changes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from h5daq.errors import BadArgument, DatasetNotFound, ReadOnly
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.storage.layouts.datavault_read import VaultReader
from h5daq.vault.dataset import Dataset
from h5daq.vault.folders import Folders
from h5daq.vault.job_store import Recorder
from h5daq.vault.legacy import LegacyReader
from h5daq.vault.names import VaultPath, number_of
from h5daq.vault.runs import Runs
from h5daq.vault.session import Session
from h5daq.vault.tags import Tagged, as_list, chosen, tags_of

__all__ = ["DEFAULT_FILTERS", "Looking"]

DEFAULT_FILTERS = ("-trash",)
"""What `Looking.dir` leaves out unless asked."""

_MOST_NAMES = 2000
"""The newest names that one is compared with which is not there."""


class Looking:
    """The directories and datasets under a root, as they are.

    Parameters
    ----------
    root : Path
        A directory.
    suffix : str
        What directories' names end with on disk.
    durable : bool
        Whether what is written to a dataset outlives the loss of power.
    recorder : Recorder, optional
        Who records a run in it at this moment.
    """

    def __init__(
        self, root: Path, suffix: str, *, durable: bool, recorder: Recorder | None
    ) -> None:
        self.runs = Runs(root, recorder)
        self.folders = Folders(root, suffix, durable=durable)
        self._durable = durable

    # -- directories -----------------------------------------------------------------------------

    def has(self, path: VaultPath) -> bool:
        """Whether there is such a directory."""
        return self.folders.exists(path) or self.runs.has(path)

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

    def get_tags(
        self, path: VaultPath, directories: str | Iterable[str], datasets: str | Iterable[str]
    ) -> tuple[Tagged, Tagged]:
        """The names with their tags; those that are not known have none."""
        session = self.session(path)
        return (
            tags_of(as_list(directories), session.directories),
            tags_of(as_list(datasets), session.datasets),
        )

    # -- datasets --------------------------------------------------------------------------------

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
        names = [*directories, *datasets][-_MOST_NAMES:]
        near = titled[-1:] or get_close_matches(which, names, 1)
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
