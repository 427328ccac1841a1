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
from h5daq.vault.names import VaultPath, number_of, numbered
from h5daq.vault.rows import from_columns
from h5daq.vault.session import Session
from h5daq.vault.tree import Tree

__all__ = ["Applier", "void", "with_tags"]


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
        self._verbs: dict[str, Callable[[VaultRecord, int], bool]] = {
            "mkdir": self._mkdir,
            "new": self._new,
            "tags": self._tags,
            "add": self._add,
            "parameters": self._parameters,
            "comment": self._comment,
        }

    def apply(self, record: VaultRecord, lsn: int) -> bool:
        """Do what entry `lsn` says, unless it is done; whether anything was to be done.

        Raises
        ------
        VaultError, StorageError
            If it can't be done; nothing has changed then.
        """
        perform = self._verbs.get(record.verb)
        if perform is None:
            raise BadArgument(f"the journal holds a change {record.verb!r}, which is not known")
        return perform(record, lsn)

    def again(self, record: VaultRecord, lsn: int) -> bool:
        """The same for an entry that an earlier writer may have brought into the file."""
        if record.verb in ("add", "parameters", "comment"):
            key = _key(record)
            if lsn <= file_of(self._live.take(key)).lsn:
                return False
            self._live.prepare(key)
        return self.apply(record, lsn)

    def _mkdir(self, record: VaultRecord, _lsn: int) -> bool:
        folders, made = self._tree.folders, False
        for path in map(tuple, record.args["directories"]):
            if not folders.exists(path):
                folders.make(path, record.time)
                made = True
            elif not folders.remembers(path):
                folders.remember(path, Session.begun(record.time))
        return made

    def _new(self, record: VaultRecord, lsn: int) -> bool:
        path, title = tuple(record.path), record.args["title"]
        if self._tree.folders.dataset(path, record.name) is not None:
            self._count(path, record)
            return False
        if numbered(self._tree.next_number(path), title) != record.name:
            raise BadArgument(f"{record.name!r} can't be made again: its number was given since")
        extended = bool(record.args["extended"])
        columns = Columns.extended(record.args["independents"], record.args["dependents"])
        dataset = self._tree.new(path, title, columns, extended=extended, now=record.time, lsn=lsn)
        self._live.made(_key(record), dataset)
        return True

    def _count(self, path: VaultPath, record: VaultRecord) -> None:
        """See that the counter is past a dataset: other servers look at nothing else."""
        session, number = self._tree.folders.session(path), number_of(record.name) or 0
        if session.counter <= number:
            self._tree.folders.remember(path, session.grown(number, record.time))

    def _tags(self, record: VaultRecord, _lsn: int) -> bool:
        path = tuple(record.path)
        session = self._tree.folders.session(path)
        after = with_tags(session, record)
        changes = after != session
        self._tree.folders.remember(path, after.used(record.time))
        return changes

    def _add(self, record: VaultRecord, _lsn: int) -> bool:
        dataset = self._live.open(_key(record))
        fields = decode_columns(record.args, [record.data] if record.data else [])
        file_of(dataset).append(from_columns(dataset.columns, fields))
        return True

    def _parameters(self, record: VaultRecord, _lsn: int) -> bool:
        file_of(self._live.open(_key(record))).add_parameters(dict(record.args["texts"]))
        return True

    def _comment(self, record: VaultRecord, _lsn: int) -> bool:
        comment = Comment(record.time, record.args["user"], record.args["comment"])
        file_of(self._live.open(_key(record))).add_comments([comment])
        return True


def void(record: VaultRecord, lsn: int) -> VaultRecord:
    """The record that takes back entry `lsn`, which could not be performed."""
    session, number = record.session, record.id
    return VaultRecord("void", session, number, record.time, [], args={"lsn": lsn})


def with_tags(session: Session, record: VaultRecord) -> Session:
    """What a directory remembers after the tags of a record."""
    directories, datasets = (
        {name: frozenset(tags) for name, tags in record.args[of].items()}
        for of in ("directories", "datasets")
    )
    return replace(
        session,
        directories={**session.directories, **directories},
        datasets={**session.datasets, **datasets},
    )


def _key(record: VaultRecord) -> DatasetKey:
    return tuple(record.path), record.name
