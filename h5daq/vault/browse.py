"""A look into a Data Vault without a server: `h5daq.Vault`.

It has the verbs of the vault's clients, and changes nothing on disk: neither dates nor tags. Files
are opened for each look, so it may be used while a writer, or the LabRAD project's own server,
works in the tree; what it shows of a dataset is that of the last checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import DirectoryNotFound, NoDataset
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.vault.dataset import Cursor, Dataset
from h5daq.vault.looking import DEFAULT_FILTERS
from h5daq.vault.names import SUFFIX, VaultPath
from h5daq.vault.tags import Tagged
from h5daq.vault.tree import ROOT, Target, Tree

__all__ = ["Vault"]


class Vault:
    """A Data Vault's tree, for reading only.

    Parameters
    ----------
    directory : path-like
        Its root.
    suffix : str
        What directories' names end with on disk: ``""`` for the trees of forks without one.

    Raises
    ------
    DirectoryNotFound
        If there is no such directory.

    Examples
    --------
    >>> import tempfile
    >>> from h5daq.flow.variables import Columns
    >>> from h5daq.vault.tree import ROOT, Tree
    >>> root = tempfile.mkdtemp()
    >>> scan = Tree(Path(root)).new(ROOT, "scan", Columns.simple(["f [GHz]"], ["S21 [dB]"]), now=0)
    >>> scan.store.append(scan.checked_rows([[1.0, -3.0], [2.0, -3.5]]))
    >>> _ = scan.store.checkpoint(now=1.0)
    >>> vault = Vault(root)
    >>> vault.dir()
    ([], ['00001 - scan'])
    >>> vault.open(1)
    '00001 - scan'
    >>> vault.get().tolist()
    [[1.0, -3.0], [2.0, -3.5]]
    >>> vault.variables()
    ([('f', 'GHz')], [('S21', '', 'dB')])
    """

    def __init__(self, directory: str | PathLike[str], suffix: str = SUFFIX) -> None:
        root = Path(fspath(directory))
        if not root.is_dir():
            raise DirectoryNotFound(f"{root} is no directory, and so no vault")
        self._tree = Tree(root, suffix)
        self._path: VaultPath = ROOT
        self._cursor = Cursor()
        self._dataset: Dataset | None = None

    def __repr__(self) -> str:
        place = "/".join(self._path) or "/"
        opened = f", {self._dataset.name!r} open" if self._dataset else ""
        return f"<h5daq.Vault {str(self._tree.folders.root)!r} at {place!r}{opened}>"

    # -- directories -----------------------------------------------------------------------------

    def cd(self, target: Target = 0) -> list[str]:
        """Go down by a name or several (``""`` is the root), or up by a number; the path then.

        Raises
        ------
        DirectoryNotFound
            If one is not there; the place is as before.
        """
        self._path, _ = self._tree.step(self._path, target)
        return list(self._path)

    def dir(self, filters: str | Iterable[str] = DEFAULT_FILTERS) -> tuple[list[str], list[str]]:
        """Names of the directories and datasets here; ``t`` wants a tag, ``-t`` its absence."""
        return self._tree.dir(self._path, filters)

    def dir_tags(self, filters: str | Iterable[str] = DEFAULT_FILTERS) -> tuple[Tagged, Tagged]:
        """As `dir`, each name with its tags."""
        return self._tree.dir_tags(self._path, filters)

    def tags(
        self, directories: str | Iterable[str] = (), datasets: str | Iterable[str] | None = None
    ) -> tuple[Tagged, Tagged]:
        """Tags of directories and datasets here; without names, of all."""
        if not directories and datasets is None:
            return self._tree.dir_tags(self._path, ())
        return self._tree.get_tags(self._path, directories, datasets or ())

    # -- a dataset -------------------------------------------------------------------------------

    def open(self, which: str | int) -> str:
        """Open a dataset by its full name or its number; returns the name.

        Raises
        ------
        DatasetNotFound
            If there is none; the one that was open stays open.
        FileDamaged
            If the file holds no dataset.
        """
        self._dataset = self._tree.open(self._path, which)
        self._cursor = Cursor()
        return self._dataset.name

    @property
    def dataset(self) -> Dataset:
        """The open dataset.

        Raises
        ------
        NoDataset
            If none is open.
        """
        if self._dataset is None:
            raise NoDataset("no dataset is open: open one by its name or number")
        return self._dataset

    def __len__(self) -> int:
        return self.dataset.rows

    def get(self, limit: int | None = None, start_over: bool = False) -> NDArray[np.float64]:
        """The next rows of a dataset of floats; see `Dataset.get`."""
        return self.dataset.get(self._cursor, limit, start_over)

    def get_ex(self, limit: int | None = None, start_over: bool = False) -> NDArray[Any]:
        """The next rows of any dataset; see `Dataset.get_ex`."""
        return self.dataset.get_ex(self._cursor, limit, start_over)

    def get_ex_t(
        self, limit: int | None = None, start_over: bool = False
    ) -> tuple[NDArray[Any], ...]:
        """The next rows as columns; see `Dataset.get_ex_t`."""
        return self.dataset.get_ex_t(self._cursor, limit, start_over)

    def variables(self) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
        """Labels, legends and units; see `Dataset.variables`."""
        return self.dataset.variables()

    def variables_ex(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Labels, legends, shapes, types and units; see `Dataset.variables_ex`."""
        return self.dataset.variables_ex()

    def row_type(self) -> str:
        """LabRAD's type of a list of rows."""
        return self.dataset.row_type

    def transpose_type(self) -> str:
        """LabRAD's type of the columns."""
        return self.dataset.transpose_type

    def parameters(self) -> dict[str, Any]:
        """All parameters with their values."""
        return self.dataset.get_parameters()

    def parameter(self, name: str, case_sensitive: bool = True) -> Any:
        """One parameter; raises `BadParameter` if there is none of that name."""
        return self.dataset.get_parameter(name, case_sensitive)

    def comments(self) -> list[Comment]:
        """All comments: (time, user, comment)."""
        return self.dataset.store.comments
