"""A change of the vault takes effect: directories and datasets become what a journal entry says.

The server does it when it has journaled a change, and a recovery does it again with the same
entries. So each change is one that may be met a second time: what is there is not made again, and
a dataset's file knows the last entry that it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from h5daq.errors import BadArgument
from h5daq.flow.records import VaultRecord
from h5daq.flow.variables import Columns
from h5daq.flow.vaultwire import decode_columns
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.vault.contexts import DatasetKey
from h5daq.vault.live import Live, file_of
from h5daq.vault.names import numbered
from h5daq.vault.rows import from_columns
from h5daq.vault.tree import Tree

__all__ = ["Applier"]


class Applier:
    """Performs records.

    Parameters
    ----------
    tree : Tree
        The directories.
    live : Live
        The datasets.
    """

    def __init__(self, tree: Tree, live: Live) -> None:
        self._tree, self._live = tree, live
        self._verbs: dict[str, Callable[[VaultRecord, int], None]] = {
            "mkdir": self._mkdir,
            "new": self._new,
            "tags": self._tags,
            "add": self._add,
            "parameters": self._parameters,
            "comment": self._comment,
        }

    def apply(self, record: VaultRecord, lsn: int) -> None:
        """Do what entry `lsn` says, unless it is done.

        Raises
        ------
        VaultError, StorageError
            If it can't be done; nothing has changed then.
        """
        perform = self._verbs.get(record.verb)
        if perform is None:
            raise BadArgument(f"the journal holds a change {record.verb!r}, which is not known")
        perform(record, lsn)

    def again(self, record: VaultRecord, lsn: int) -> None:
        """The same for an entry that an earlier writer may have brought into the file."""
        if record.verb in ("add", "parameters", "comment"):
            key = _key(record)
            if lsn <= file_of(self._live.open(key)).lsn:
                return
            self._live.prepare(key)
        self.apply(record, lsn)

    def _mkdir(self, record: VaultRecord, _lsn: int) -> None:
        for path in map(tuple, record.args["directories"]):
            if not self._tree.folders.exists(path):
                self._tree.folders.make(path, record.time)

    def _new(self, record: VaultRecord, lsn: int) -> None:
        path, title = tuple(record.path), record.args["title"]
        if self._tree.folders.dataset(path, record.name) is not None:
            return
        if numbered(self._tree.next_number(path), title) != record.name:
            raise BadArgument(f"{record.name!r} can't be made again: its number was given since")
        extended = bool(record.args["extended"])
        columns = Columns.extended(record.args["independents"], record.args["dependents"])
        dataset = self._tree.new(path, title, columns, extended=extended, now=record.time, lsn=lsn)
        self._live.made(_key(record), dataset)

    def _tags(self, record: VaultRecord, _lsn: int) -> None:
        path = tuple(record.path)
        session = self._tree.folders.session(path)
        directories, datasets = (
            {name: frozenset(tags) for name, tags in record.args[of].items()}
            for of in ("directories", "datasets")
        )
        after = replace(
            session.used(record.time),
            directories={**session.directories, **directories},
            datasets={**session.datasets, **datasets},
        )
        self._tree.folders.remember(path, after)

    def _add(self, record: VaultRecord, _lsn: int) -> None:
        dataset = self._live.open(_key(record))
        fields = decode_columns(record.args, [record.data] if record.data else [])
        file_of(dataset).append(from_columns(dataset.columns, fields))

    def _parameters(self, record: VaultRecord, _lsn: int) -> None:
        file_of(self._live.open(_key(record))).add_parameters(dict(record.args["texts"]))

    def _comment(self, record: VaultRecord, _lsn: int) -> None:
        comment = Comment(record.time, record.args["user"], record.args["comment"])
        file_of(self._live.open(_key(record))).add_comments([comment])


def _key(record: VaultRecord) -> DatasetKey:
    return tuple(record.path), record.name
