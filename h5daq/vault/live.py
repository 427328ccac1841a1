"""The datasets that somebody has open, or that have changes no checkpoint has taken in.

All contexts that look at a dataset share one `Dataset`; what is added waits in it for the next
checkpoint, and the journal has it until then: `reaches` says which entries it may let go of. A
dataset is closed when the last context has left it and nothing waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from h5daq.errors import BadArgument, NoDataset, ReadOnly, StorageError
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.vault.contexts import Context, DatasetKey
from h5daq.vault.dataset import Dataset
from h5daq.vault.tree import Tree

__all__ = ["Live", "file_of"]

log = logging.getLogger("h5daq.vault")


class Live:
    """Open datasets by directory and name. One thread owns it.

    Parameters
    ----------
    tree : Tree
        Where they are.
    last_lsn : callable
        The newest entry of the journal.

    Attributes
    ----------
    reaches : int or None
        The entry up to which the files have everything; None if they have all. Any thread may
        look at it.
    failure : StorageError or None
        Why the last checkpoint did not take in everything.
    """

    def __init__(self, tree: Tree, last_lsn: Callable[[], int]) -> None:
        self._tree, self._last_lsn = tree, last_lsn
        self._datasets: dict[DatasetKey, Dataset] = {}
        self._viewers: dict[DatasetKey, int] = {}
        self._first: dict[DatasetKey, int] = {}
        self.reaches: int | None = None
        self.failure: StorageError | None = None

    # -- who looks at what -----------------------------------------------------------------------

    def open(self, key: DatasetKey) -> Dataset:
        """A dataset that is there, to read it and, if it can be had so, to write to it.

        Raises
        ------
        DatasetNotFound, FileDamaged
            If it is not, or can't be read.
        """
        if key not in self._datasets:
            self._datasets[key] = self._opened(key)
        return self._datasets[key]

    def of(self, context: Context) -> tuple[DatasetKey, Dataset]:
        """The dataset that a context has open, and where that is.

        Raises
        ------
        NoDataset
            If it has none.
        """
        if context.dataset is None:
            raise NoDataset("no dataset is open in this context: open one, or make one")
        return context.dataset, self.open(context.dataset)

    def take(self, key: DatasetKey) -> Dataset:
        """A dataset to write to, or the error that says why that can't be had.

        Raises
        ------
        VaultError
            If it is not there, or only read.
        StorageError
            If it is damaged or busy, or the disk fails.
        """
        if key not in self._datasets:
            self._datasets[key] = self._tree.open(*key, writable=True)
        return self._datasets[key]

    def _opened(self, key: DatasetKey) -> Dataset:
        path, name = key
        try:
            return self._tree.open(path, name, writable=True)
        except (BadArgument, ReadOnly):
            return self._tree.open(path, name)
        except StorageError as error:
            log.info("%s is open for reading only: %s", name, error)
            return self._tree.open(path, name)

    def made(self, key: DatasetKey, dataset: Dataset) -> None:
        """A dataset is new."""
        self._datasets[key] = dataset

    def enter(self, key: DatasetKey) -> None:
        """One context more looks at a dataset."""
        self._viewers[key] = self._viewers.get(key, 0) + 1

    def leave(self, key: DatasetKey) -> None:
        """One context less looks at it."""
        self._viewers[key] -= 1
        if not self._viewers[key]:
            del self._viewers[key]
            self._settle(key)

    def paths(self) -> list[str]:
        """Directories of the datasets that are open."""
        return sorted({"/".join(path) for path, _ in self._datasets})

    # -- changes ---------------------------------------------------------------------------------

    def prepare(self, key: DatasetKey) -> VaultFile | None:
        """The file of a dataset that is about to change, before that is journaled.

        None for a job, whose run's files take changes from the journal.

        Raises
        ------
        ReadOnly
            If it can only be read.
        """
        dataset = self.open(key)
        dataset.check_notes()
        file = dataset.store
        if not isinstance(file, VaultFile):
            return None
        if key not in self._first:
            last = self._last_lsn()
            if file.lsn > last:
                # It was fed from a journal that is gone; this one counts from the beginning.
                file.renumber(max(1, last))
            self._first[key] = last + 1
            self._note_reach()
        return file

    @property
    def dirty(self) -> bool:
        """Whether anything waits for a checkpoint."""
        return bool(self._first)

    def checkpoint(self, now: float, lsn: int) -> None:
        """Bring what waits into the files; what can't be written waits on.

        Parameters
        ----------
        now : float
            Seconds since 1970-01-01 UTC.
        lsn : int
            The last entry, which must be synced.
        """
        before, self.failure = self.failure, None
        for key in list(self._first):
            try:
                file_of(self._datasets[key]).checkpoint(now, lsn)
            except StorageError as error:
                if before is None and self.failure is None:
                    log.error("a dataset can't be written: %s. The journal has it.", error)
                self.failure = error
            else:
                del self._first[key]
                self._settle(key)
        self._note_reach()

    def _note_reach(self) -> None:
        self.reaches = min(self._first.values()) - 1 if self._first else None

    def apply_pending(self) -> None:
        """Bring waiting checkpoints into the files that nobody reads any more."""
        for dataset in self._datasets.values():
            if isinstance(dataset.store, VaultFile) and dataset.store.pending:
                dataset.store.apply_pending()

    def close(self) -> None:
        """Let go of all files as they are at their last checkpoint."""
        for key in list(self._datasets):
            self._first.pop(key, None)
            self._viewers.pop(key, None)
            self._settle(key)

    def _settle(self, key: DatasetKey) -> None:
        """Close a dataset that nobody looks at and that nothing waits for."""
        if key in self._first or key in self._viewers or key not in self._datasets:
            return
        store = self._datasets.pop(key).store
        if isinstance(store, VaultFile):
            try:
                store.close()
            except StorageError as error:
                log.error("%s: %s", store.path, error)


def file_of(dataset: Dataset) -> VaultFile:
    """The file behind a dataset that can be written to.

    Raises
    ------
    ReadOnly
        If it can only be read.
    """
    if not isinstance(dataset.store, VaultFile):
        raise ReadOnly(f"dataset {dataset.name!r} can only be read here")
    return dataset.store
