"""What a dataset says of itself: its columns as the vault's verbs tell them, parameters, comments.

It stands on a store that holds the file: one that is open for writing, or a reader. Where a
context stands in it is not the dataset's affair: each context has a `Cursor`, and hands it in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from h5daq.errors import BadArgument, BadParameter
from h5daq.flow.variables import Columns
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.storage.layouts.datavault_head import DatasetHead
from h5daq.vault.legacy import parameter_value

__all__ = ["Cursor", "Described", "Store", "end_of_page"]


class Store(Protocol):
    """What a dataset stands on."""

    head: DatasetHead

    @property
    def rows(self) -> int:
        """Rows by now."""
        ...

    @property
    def parameters(self) -> dict[str, str]:
        """Texts of the parameters by name, in order."""
        ...

    @property
    def comments(self) -> list[Comment]:
        """All comments, in order."""
        ...

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start … stop-1``, or fewer."""
        ...


@dataclass(slots=True)
class Cursor:
    """Where a context stands in the dataset that it has open.

    Attributes
    ----------
    position, comment_position : int
        The next row and the next comment to read.
    writing : bool
        Whether rows may be added. Parameters and comments always may.
    """

    position: int = 0
    comment_position: int = 0
    writing: bool = False


class Described:
    """A dataset without its rows.

    Parameters
    ----------
    name : str
        Its full name, with the number.
    store : Store
        What it stands on.
    """

    def __init__(self, name: str, store: Store) -> None:
        self.name, self.store = name, store

    @property
    def columns(self) -> Columns:
        """Its columns."""
        return self.store.head.columns

    @property
    def extended(self) -> bool:
        """Whether its rows are clusters; a simple dataset has rows of floats."""
        return self.store.head.extended

    @property
    def version(self) -> str:
        """The version that its file states, e.g. ``"2.0.0"``."""
        return ".".join(map(str, self.store.head.version))

    @property
    def rows(self) -> int:
        """Rows by now."""
        return self.store.rows

    @property
    def row_type(self) -> str:
        """LabRAD's type of a list of rows."""
        return self.columns.row_type

    @property
    def transpose_type(self) -> str:
        """LabRAD's type of the columns."""
        return self.columns.transpose_type

    def variables(self) -> tuple[list[tuple[str, str]], list[tuple[str, str, str]]]:
        """(label, unit) of the independents, (label, legend, unit) of the dependents."""
        columns = self.columns
        return (
            [(column.label, column.unit) for column in columns.independents],
            [(column.label, column.legend, column.unit) for column in columns.dependents],
        )

    def variables_ex(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """(label, shape, type, unit) and (label, legend, shape, type, unit)."""
        columns = self.columns
        return (
            [(c.label, c.shape, c.type, c.unit) for c in columns.independents],
            [(c.label, c.legend, c.shape, c.type, c.unit) for c in columns.dependents],
        )

    # -- parameters ------------------------------------------------------------------------------

    def parameters(self) -> list[str]:
        """The names of the parameters: in order, or as they were added in a CSV dataset."""
        return list(self.store.parameters)

    def get_parameter(self, name: str, case_sensitive: bool = True) -> Any:
        """A parameter's value.

        Raises
        ------
        BadParameter
            If there is none of that name.
        """
        for known, text in self.store.parameters.items():
            if known == name or (not case_sensitive and known.lower() == name.lower()):
                return parameter_value(text)
        raise BadParameter(f"dataset {self.name!r} has no parameter {name!r}")

    def get_parameters(self) -> dict[str, Any]:
        """All parameters."""
        return {name: parameter_value(text) for name, text in self.store.parameters.items()}

    # -- comments --------------------------------------------------------------------------------

    def get_comments(
        self, cursor: Cursor, limit: int | None = None, start_over: bool = False
    ) -> list[Comment]:
        """Comments from the cursor's position, which moves on by as many."""
        if start_over:
            cursor.comment_position = 0
        every = self.store.comments
        found = every[
            cursor.comment_position : end_of_page(cursor.comment_position, limit, len(every))
        ]
        cursor.comment_position += len(found)
        return found

    def unread_comments(self, cursor: Cursor) -> bool:
        """Whether there are comments behind the cursor's position."""
        return cursor.comment_position < len(self.store.comments)


def end_of_page(start: int, limit: int | None, count: int) -> int:
    """Where a page ends that begins at `start`, of `count` entries.

    Raises
    ------
    BadArgument
        If the limit is negative.
    """
    if limit is None:
        return count
    if limit < 0:
        raise BadArgument(f"a limit of {limit} rows; it is 0 or more, or None for all")
    return min(count, start + limit)
