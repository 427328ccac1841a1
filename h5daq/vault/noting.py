"""The vault's verbs that note something with a dataset: parameters and comments.

They are for any dataset, also one that is only read, and for the jobs of the run that is recorded:
those have them in the run's files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from h5daq.errors import BadArgument, VaultError
from h5daq.flow.latch import Kind
from h5daq.flow.records import NoteRecord, PackedAdd, VaultRecord
from h5daq.flow.requests import Request
from h5daq.vault.arguments import pairs, text
from h5daq.vault.bulletin import Bulletin
from h5daq.vault.contexts import Context
from h5daq.vault.dataset import Dataset
from h5daq.vault.labrad import from_data_url
from h5daq.vault.live import Live

__all__ = ["Append", "Noting"]

Append = Callable[[VaultRecord | NoteRecord | PackedAdd], int]
"""Journals a record; returns its lsn."""


class Noting:
    """Performs these verbs.

    Parameters
    ----------
    live : Live
        The open datasets.
    bulletin : Bulletin
        Tells the news.
    append : callable
        Journals a record; raises `StorageError` if that can't be done.
    """

    def __init__(self, live: Live, bulletin: Bulletin, append: Append) -> None:
        self._live, self._bulletin, self._append = live, bulletin, append
        self.verbs: dict[str, Callable[[Context, Request, float], Any]] = {
            "add_parameter": self._add_parameter,
            "add_parameters": self._add_parameters,
            "add_comment": self._add_comment,
        }

    def _add_parameter(self, context: Context, request: Request, now: float) -> None:
        name = text(request.args, "name")
        self._store_parameters(context, request, now, [(name, request.args.get("value"))])

    def _add_parameters(self, context: Context, request: Request, now: float) -> None:
        self._store_parameters(context, request, now, pairs(request.args, "params"))

    def _store_parameters(
        self, context: Context, request: Request, now: float, given: list[tuple[Any, Any]]
    ) -> None:
        key, dataset = self._live.of(context)
        file = self._live.prepare(key)
        stored, error = _checked(dataset, given)
        # As in the original, those before the first that can't be added stay, and nobody is told.
        session = "" if error else request.session
        if stored or not error:
            record = VaultRecord(
                "parameters", session, request.id, now, list(key[0]), key[1],
                {"texts": list(stored.items())},
            )  # fmt: skip
            self._append(dataset.record(record))
            if file is not None:
                file.add_parameters(stored)
        if error is not None:
            raise error
        self._bulletin.news(key, Kind.PARAMETERS)

    def _add_comment(self, context: Context, request: Request, now: float) -> None:
        key, dataset = self._live.of(context)
        words, user = text(request.args, "comment"), text(request.args, "user", "anonymous")
        comment = dataset.checked_comment(words, user, now)
        file = self._live.prepare(key)
        args = {"comment": words, "user": user}
        session, number = request.session, request.id
        record = VaultRecord("comment", session, number, now, list(key[0]), key[1], args)
        self._append(dataset.record(record))
        if file is not None:
            file.add_comments([comment])
        self._bulletin.news(key, Kind.COMMENTS)


def _checked(
    dataset: Dataset, given: list[tuple[Any, Any]]
) -> tuple[dict[str, str], VaultError | None]:
    """Parameters up to the first that can't be added, as the texts that they came as, and why."""
    values, stored = list[tuple[Any, Any]](), dict[str, str]()
    for name, url in given:
        try:
            value = _value(name, url)
        except VaultError as error:
            first, refused = dataset.checked_parameters(values)
            return {known: stored[known] for known in first}, refused or error
        values.append((name, value))
        if isinstance(name, str):
            stored.setdefault(name, url)
    first, refused = dataset.checked_parameters(values)
    return {known: stored[known] for known in first}, refused


def _value(name: Any, url: Any) -> Any:
    if not isinstance(url, str):
        raise BadArgument(f"the value of parameter {name!r:.60} must be a LabRAD data URL")
    return from_data_url(url)
