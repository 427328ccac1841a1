"""The vault's verbs that change something: each becomes a journal entry, and then takes effect.

A change is checked whole before it is journaled. If the disk refuses it afterwards (a name that is
too long, say) a second entry takes it back, and the client gets the error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from h5daq.errors import (
    BadArgument,
    DirectoryExists,
    NoDataset,
    ReadOnly,
    StorageError,
    VaultError,
)
from h5daq.flow.records import NoteRecord, VaultRecord
from h5daq.flow.requests import Request
from h5daq.flow.variables import Columns
from h5daq.flow.vaultwire import decode_columns
from h5daq.vault.adding import AddPlan
from h5daq.vault.applying import Applier, void
from h5daq.vault.arguments import text, texts
from h5daq.vault.bulletin import Bulletin, Newest, joined, newest
from h5daq.vault.contexts import Context, DatasetKey
from h5daq.vault.dataset import Cursor, Dataset
from h5daq.vault.live import Live, file_of
from h5daq.vault.names import VaultPath, numbered
from h5daq.vault.noting import Append, Noting
from h5daq.vault.rows import check_plain, from_columns
from h5daq.vault.tags import as_list, changed
from h5daq.vault.tree import ROOT, Tree

__all__ = ["Changing"]


class Changing:
    """Performs these verbs.

    Parameters
    ----------
    tree : Tree
        The directories.
    live : Live
        The open datasets.
    bulletin : Bulletin
        Tells the news.
    append : callable
        Journals a record; returns its lsn. Raises `StorageError` if that can't be done.
    sync : callable
        Makes safe what is journaled, or raises `StorageError`.
    """

    def __init__(
        self,
        tree: Tree,
        live: Live,
        bulletin: Bulletin,
        append: Append,
        sync: Callable[[], object],
    ) -> None:
        self._tree, self._live, self._bulletin = tree, live, bulletin
        self._append, self._sync, self._applier = append, sync, Applier(tree, live)
        self.verbs: dict[str, Callable[[Context, Request, float], Any]] = {
            "mkdir": self._mkdir,
            "new": self._new,
            "new_ex": self._new_ex,
            "add": self._add,
            "add_ex": self._add,
            "add_ex_t": self._add,
            "update_tags": self._update_tags,
            **Noting(live, bulletin, append).verbs,
        }

    def _perform(self, record: VaultRecord) -> None:
        """Journal a change and let it take effect.

        It is on disk at once, where it must not be when the journal has lost it: a client that
        asks again would have it done again.
        """
        lsn = self._append(record)
        try:
            self._sync()
            self._applier.apply(record, lsn)
        except (VaultError, StorageError):
            self._append(void(record, lsn))
            raise

    # -- directories -----------------------------------------------------------------------------

    def make_directories(
        self, context: Context, request: Request, now: float, names: list[str]
    ) -> VaultPath:
        """Where `names` lead to; what is missing on the way is made."""
        path, missing = context.path, list[VaultPath]()
        wanted = False
        for name in names:
            path = (*path, name) if name else ROOT
            if path not in missing and not self._tree.has(path):
                self._tree.check_free(path)
                wanted = True
            if self._is_missing(path) and path not in missing:
                missing.append(path)
        if wanted:
            self._make(request, now, missing, list(path))
        return path

    def _is_missing(self, path: VaultPath) -> bool:
        """Whether a directory is not on disk, where it may be: those of runs are nowhere."""
        return not self._tree.folders.exists(path) and not self._tree.runs.owns(path)

    def _mkdir(self, context: Context, request: Request, now: float) -> list[str]:
        name = text(request.args, "name")
        path = (*context.path, name)
        self._tree.check_free(path)
        if self._tree.folders.exists(path):
            raise DirectoryExists(f"there is a directory {'/'.join(path)} already")
        above = [path[:depth] for depth in range(2, len(path))]
        self._make(request, now, [*filter(self._is_missing, above), path], list(path))
        return list(path)

    def _make(self, request: Request, now: float, made: list[VaultPath], result: Any) -> None:
        args = {"directories": [list(path) for path in made]}
        self._perform(
            VaultRecord("mkdir", request.session, request.id, now, [], "", args, b"", result)
        )
        for path in made:
            self._bulletin.new_dir(path)

    def _update_tags(self, context: Context, request: Request, now: float) -> None:
        args, path = request.args, context.path
        changes, datasets = texts(args, "tags"), self._tagged(context, request)
        session = self._tree.session(path)
        _, dirs_told = changed(session.directories, as_list(texts(args, "dirs")), changes)
        _, sets_told = changed(session.datasets, as_list(datasets), changes)
        as_list(changes)
        if not dirs_told and not sets_told:
            return
        told = {"directories": dict(dirs_told), "datasets": dict(sets_told)}
        if self._tree.runs.owns(path):
            notes = self._tree.runs.tag_notes(path, {**told["directories"], **told["datasets"]})
            self._append(NoteRecord(request.session, request.id, now, notes))
        else:
            record = VaultRecord("tags", request.session, request.id, now, list(path), args=told)
            self._perform(record)
        self._bulletin.tags_updated(path, dirs_told, sets_told)

    def _tagged(self, context: Context, request: Request) -> list[str]:
        if request.args.get("datasets") is not None:
            return texts(request.args, "datasets")
        if context.dataset is None:
            raise NoDataset("no dataset is open whose tags could be changed: name one")
        if context.dataset[0] != context.path:
            raise BadArgument("the open dataset is in another directory: go there, or name one")
        return [context.dataset[1]]

    # -- datasets --------------------------------------------------------------------------------

    def _new(self, context: Context, request: Request, now: float) -> list[Any]:
        columns = Columns.simple(*_variables(request))
        title = text(request.args, "name") or "untitled"
        return self._create(context, request, now, title, columns, extended=False)

    def _new_ex(self, context: Context, request: Request, now: float) -> list[Any]:
        columns = Columns.extended(*_variables(request))
        title = text(request.args, "name")
        return self._create(context, request, now, title, columns, extended=True)

    def _create(
        self,
        context: Context,
        request: Request,
        now: float,
        title: str,
        columns: Columns,
        *,
        extended: bool,
    ) -> list[Any]:
        path = context.path
        self._tree.check_owner(path)
        name = numbered(self._tree.next_number(path), title)
        result = [list(path), name]
        args = {
            "title": title,
            "extended": extended,
            "independents": [
                [c.label, list(c.shape), c.type, c.unit] for c in columns.independents
            ],
            "dependents": [
                [c.label, c.legend, list(c.shape), c.type, c.unit] for c in columns.dependents
            ],
        }
        self._perform(
            VaultRecord(
                "new", request.session, request.id, now, list(path), name, args, b"", result
            )
        )
        self.look_at(context, (path, name), writing=True)
        self._bulletin.latch.create(context.key, (path, name))
        self._bulletin.new_dataset(path, name, [column.label for column in columns.all])
        return result

    def look_at(self, context: Context, key: DatasetKey | None, *, writing: bool = False) -> None:
        """A context turns to a dataset, at its beginning, or to none."""
        before = context.dataset
        if key is not None:
            self._live.enter(key)
        context.dataset, context.cursor = key, Cursor(writing=writing)
        context.plan = None
        if before is not None:
            self._live.leave(before)

    def _add(self, context: Context, request: Request, now: float) -> None:
        key, dataset = self._live.of(context)
        if not context.cursor.writing:
            raise ReadOnly(dataset.closed)
        plan = context.plan
        if plan is not None and plan.fits(request):
            self._add_alike(plan, key, dataset, request, now)
        else:
            self._add_any(context, key, dataset, request, now)

    def _add_alike(
        self, plan: AddPlan, key: DatasetKey, dataset: Dataset, request: Request, now: float
    ) -> None:
        """An add that is like the last one."""
        rows = plan.rows(request)
        self._live.prepare(key)
        file = file_of(dataset)
        self._append(plan.record(request, now))
        if isinstance(rows, bytes):
            file.append_row(rows)
        else:
            file.append(rows)
        last = Newest(file.head.columns, rows)
        self._bulletin.added(key, plan.place, plan.count, file.rows, now, last)

    def _add_any(
        self, context: Context, key: DatasetKey, dataset: Dataset, request: Request, now: float
    ) -> None:
        fields = decode_columns(request.args, request.frames)
        if request.verb == "add":
            check_plain(dataset.columns)
            fields = _split(fields)
        rows = from_columns(dataset.columns, fields)
        self._live.prepare(key)
        self._append(_rows_record(request, now, key, fields))
        file_of(dataset).append(rows)
        context.plan = AddPlan.of(request, key, dataset.columns, fields)
        last = newest(dataset.columns, rows)
        place = joined((*key[0], key[1]))
        self._bulletin.added(key, place, len(rows), dataset.rows, now, last)


def _rows_record(request: Request, now: float, key: DatasetKey, fields: list[Any]) -> VaultRecord:
    names = [name for name in ("n", "columns", "text") if name in request.args]
    args: dict[str, Any] = {name: request.args[name] for name in names}
    data = bytes(request.frames[0]) if request.frames else b""
    if request.verb == "add":
        args["columns"] = [[column.dtype.str, []] for column in fields]
        data = b"".join(column.tobytes() for column in fields)
    return VaultRecord("add", request.session, request.id, now, list(key[0]), key[1], args, data)


def _variables(request: Request) -> tuple[list[Any], list[Any]]:
    found = [request.args.get(name) or [] for name in ("independents", "dependents")]
    for variables in found:
        if not isinstance(variables, list):
            raise BadArgument(f"variables are a list, not {variables!r:.80}")
    return found[0], found[1]


def _split(fields: list[Any]) -> list[Any]:
    """The columns of rows that came as one array of shape (rows, columns), as `get` gives them."""
    if len(fields) == 1 and not isinstance(fields[0], list) and fields[0].ndim == 2:
        return [np.ascontiguousarray(column) for column in fields[0].T]
    return fields
