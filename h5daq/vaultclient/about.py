"""What is said of datasets beside their rows: columns, parameters, comments, tags.

A part of `VaultContext`; what is wanted of a dataset that is not open is refused by the writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from h5daq.vault.labrad import from_data_url, to_data_url
from h5daq.vaultclient.line import Line
from h5daq.vaultclient.place import Place
from h5daq.vaultclient.reading import Page

__all__ = ["About", "Comment", "Tagged", "Texts", "as_texts", "tagged"]

_COMMENTS_AT_ONCE = 1000

Tagged = list[tuple[str, list[str]]]
Texts = str | Iterable[str]


class Comment(NamedTuple):
    """A comment, with its time in seconds since 1970-01-01 UTC."""

    time: float
    user: str
    comment: str


class About:
    """The verbs about the open dataset and the directory."""

    _line: Line
    _place: Place

    # -- columns -----------------------------------------------------------------------------------

    def variables(self) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
        """(label, unit) of the independents and (label, legend, unit) of the dependents.

        Raises
        ------
        NoDataset
            If none is open; so do all verbs about a dataset.
        """
        independents, dependents = self._line.ask("variables").result
        return [tuple(one) for one in independents], [tuple(one) for one in dependents]

    def variables_ex(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """(label, shape, type, unit) and (label, legend, shape, type, unit)."""
        independents, dependents = self._line.ask("variables_ex").result
        return (
            [(label, tuple(shape), kind, unit) for label, shape, kind, unit in independents],
            [(label, legend, tuple(s), kind, unit) for label, legend, s, kind, unit in dependents],
        )

    def row_type(self) -> str:
        """LabRAD's type of a list of rows."""
        return str(self._line.ask("row_type").result)

    def transpose_type(self) -> str:
        """LabRAD's type of the columns."""
        return str(self._line.ask("transpose_type").result)

    def get_version(self) -> str:
        """The version that the dataset's file states."""
        return str(self._line.ask("get_version").result)

    def get_name(self) -> str:
        """The full name of the open dataset."""
        return str(self._line.ask("get_name").result)

    # -- parameters --------------------------------------------------------------------------------

    def add_parameter(self, name: str, value: Any) -> None:
        """Add a parameter.

        Parameters
        ----------
        name : str
            Told apart by case; there is none of that name yet.
        value : object
            Number, text, datetime, `h5daq.vault.labrad.Quantity`, tuple, list or array of them.

        Raises
        ------
        ParameterInUse
            If there is one: parameters are never overwritten.
        LabradError
            If LabRAD has no type for the value.
        """
        self._line.ask("add_parameter", {"name": name, "value": to_data_url(value)})

    def add_parameters(self, given: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add several, in order; those before the first that can't be added stay."""
        pairs = given.items() if isinstance(given, Mapping) else given
        packed = [[name, to_data_url(value)] for name, value in pairs]
        self._line.ask("add_parameters", {"params": packed})

    def parameters(self) -> list[str]:
        """The names of the parameters. From now on ``new-parameter`` tells of the next."""
        return list(self._line.ask("parameters").result)

    def get_parameter(self, name: str, case_sensitive: bool = True) -> Any:
        """A parameter's value.

        Raises
        ------
        BadParameter
            If there is none of that name.
        """
        args = {"name": name, "case_sensitive": case_sensitive}
        return from_data_url(self._line.ask("get_parameter", args).result)

    def get_parameters(self) -> dict[str, Any]:
        """All parameters with their values."""
        found = self._line.ask("get_parameters").result or []
        return {name: from_data_url(value) for name, value in found}

    # -- comments ----------------------------------------------------------------------------------

    def add_comment(self, comment: str, user: str = "anonymous") -> None:
        """Add a comment; it gets the writer's time."""
        self._line.ask("add_comment", {"comment": comment, "user": user})

    def get_comments(self, limit: int | None = None, start_over: bool = False) -> list[Comment]:
        """The comments that this context has not read yet, `limit` of them at most."""
        with self._line.turn():
            found = self._place.comments.read(self._comments, limit, start_over)
        return [comment for page in found for comment in page]

    def _comments(self, limit: int | None, start_over: bool) -> Page[list[Comment]]:
        wanted = _COMMENTS_AT_ONCE if limit is None else min(limit, _COMMENTS_AT_ONCE)
        answer = self._line.ask("get_comments", {"limit": wanted, "start_over": start_over})
        comments = [Comment(*said) for said in answer.result]
        return Page(comments, len(comments), len(comments) == wanted, answer.once)

    # -- tags --------------------------------------------------------------------------------------

    def update_tags(
        self, tags: Texts, directories: Texts = (), datasets: Texts | None = None
    ) -> None:
        """Change tags of directories and datasets here.

        Parameters
        ----------
        tags : str or iterable of str
            ``t`` adds the tag t, ``-t`` takes it away, ``^t`` does the one or the other.
        directories, datasets : str or iterable of str
            Names. Without `datasets`, the one that is open.
        """
        named = None if datasets is None else as_texts(datasets)
        args = {"tags": as_texts(tags), "dirs": as_texts(directories), "datasets": named}
        self._line.ask("update_tags", args)

    def get_tags(self, directories: Texts = (), datasets: Texts = ()) -> tuple[Tagged, Tagged]:
        """The tags of directories and datasets here; those that are not known have none."""
        args = {"dirs": as_texts(directories), "datasets": as_texts(datasets)}
        return tagged(self._line.ask("get_tags", args).result)


def as_texts(given: Texts) -> list[str]:
    """One text or several as a list."""
    return [given] if isinstance(given, str) else list(given)


def tagged(result: Any) -> tuple[Tagged, Tagged]:
    """Directories and datasets with their tags, as they came."""
    directories, datasets = result
    return (
        [(name, list(tags)) for name, tags in directories],
        [(name, list(tags)) for name, tags in datasets],
    )
