"""The vault's verbs that look into the open dataset: rows page by page, columns, parameters.

Rows go out by column, and a few megabytes of them in one reply: where there are more, the
reply says so and names the pages that follow, for which the client may ask at once. Only the page
that ends a reading counts as one for the latch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from h5daq.errors import BadParameter
from h5daq.flow.latch import Kind
from h5daq.flow.often import Often
from h5daq.flow.packing import Buffer
from h5daq.flow.vaultwire import MAX_PAGE_BYTES, encode_columns
from h5daq.vault.arguments import Args, flag, text, whole
from h5daq.vault.bulletin import Bulletin
from h5daq.vault.contexts import Context
from h5daq.vault.dataset import Dataset
from h5daq.vault.labrad import DATA_URL, to_data_url
from h5daq.vault.legacy import parameter_value
from h5daq.vault.pages import Page, What

__all__ = ["AHEAD", "PAGED", "Reading"]

PAGED = ("get", "get_ex", "get_ex_t")
"""Verbs whose answers are rows."""

AHEAD = 4
"""Pages of one reading that may be asked for before the first of them is there."""

_AHEAD_LEAST, _AHEAD_BYTES = 2, 8 << 20
"""Where they are large, so many, or as many as have these bytes together: what is in flight is to
stay in the caches, and in memory that is used again."""

_PAGE_BYTES = 4 << 20
"""Bytes of rows in a reply: enough to go as fast as memory, and few enough not to keep others
waiting, or to take memory anew for each."""

_TEXT_ROWS = 4096
"""Most rows in a reply where there are texts: a message's lists are limited."""

Answer = tuple[Any, Sequence[Buffer]]
Read = Callable[[int, bool], list[Any]]


class Reading:
    """Performs these verbs.

    Parameters
    ----------
    bulletin : Bulletin
        Hears of each reading.
    """

    def __init__(self, bulletin: Bulletin) -> None:
        self._bulletin = bulletin
        self.verbs: dict[str, Callable[[Context, Dataset, Args], Any]] = {
            "get": self._get,
            "get_ex": self._get_ex,
            "get_ex_t": self._get_ex_t,
            "get_comments": self._get_comments,
            "variables": lambda _context, dataset, _args: dataset.variables(),
            "variables_ex": lambda _context, dataset, _args: dataset.variables_ex(),
            "row_type": lambda _context, dataset, _args: dataset.row_type,
            "transpose_type": lambda _context, dataset, _args: dataset.transpose_type,
            "get_version": lambda _context, dataset, _args: dataset.version,
            "get_name": lambda _context, dataset, _args: dataset.name,
            "parameters": self._parameters,
            "get_parameter": self._get_parameter,
            "get_parameters": self._get_parameters,
        }

    # -- rows ------------------------------------------------------------------------------------

    def _get(self, context: Context, dataset: Dataset, args: Args) -> Answer:
        return self._page("get", context, dataset, args, lambda limit, over: [
            dataset.get(context.cursor, limit, over)
        ])  # fmt: skip

    def _get_ex(self, context: Context, dataset: Dataset, args: Args) -> Answer:
        return self._page("get_ex", context, dataset, args, lambda limit, over: dataset.fields(
            context.cursor, limit, over
        ))  # fmt: skip

    def _get_ex_t(self, context: Context, dataset: Dataset, args: Args) -> Answer:
        return self._page("get_ex_t", context, dataset, args, lambda limit, over: list(
            dataset.get_ex_t(context.cursor, limit, over)
        ))  # fmt: skip

    def _page(
        self, verb: str, context: Context, dataset: Dataset, args: Args, read: Read
    ) -> Answer:
        cursor, rows = context.cursor, dataset.rows
        cursor.position = start = _start(cursor.position, rows, args)
        what = What(verb, start, whole(args, "limit"), whole(args, "page"))
        dataset.pages.look(rows, dataset.store.head)
        page = dataset.pages.find(what)
        if page is None:
            page, text_bytes = _read(context, dataset, rows, read, what)
            dataset.pages.keep(what, page, text_bytes)
        else:
            cursor.position = start + page.rows
        if not page.more:
            unread = cursor.position < rows
            self._bulletin.tell(self._bulletin.latch.read(context.key, Kind.DATA, unread))
        return page.fields, page.frames

    # -- comments and parameters -----------------------------------------------------------------

    def _get_comments(self, context: Context, dataset: Dataset, args: Args) -> Any:
        limit, over = whole(args, "limit"), flag(args, "start_over")
        found = dataset.get_comments(context.cursor, limit, over)
        unread = dataset.unread_comments(context.cursor)
        self._bulletin.tell(self._bulletin.latch.read(context.key, Kind.COMMENTS, unread))
        return [list(comment) for comment in found]

    def _parameters(self, context: Context, dataset: Dataset, _args: Args) -> list[str]:
        self._bulletin.latch.read(context.key, Kind.PARAMETERS, unread=False)
        return dataset.parameters()

    def _get_parameters(self, context: Context, dataset: Dataset, _args: Args) -> Any:
        self._bulletin.latch.read(context.key, Kind.PARAMETERS, unread=False)
        stored = dataset.store.parameters
        return [[name, _url(value)] for name, value in stored.items()] or None

    def _get_parameter(self, _context: Context, dataset: Dataset, args: Args) -> str:
        name, exact = text(args, "name"), flag(args, "case_sensitive", True)
        for known, value in dataset.store.parameters.items():
            if known == name or (not exact and known.lower() == name.lower()):
                return _url(value)
        raise BadParameter(f"dataset {dataset.name!r} has no parameter {name!r}")


def _start(position: int, rows: int, args: Args) -> int:
    """Where a page begins: where the context stands, or where its client wants it."""
    over, first = flag(args, "start_over"), whole(args, "first")
    if first is not None:
        return min(first, rows)
    return 0 if over else position


def _read(
    context: Context, dataset: Dataset, rows: int, read: Read, what: What
) -> tuple[Page, int]:
    """The page that begins where the context stands, and the bytes of its texts.

    The dataset had `rows` rows when it was looked at last.
    """
    most = dataset.page_rows(what.start, _most_rows(dataset, _PAGE_BYTES))
    columns = read(min(n for n in (most, what.limit, what.page or None) if n is not None), False)
    while (count := len(columns[0])) > 1 and _text_bytes(columns) > MAX_PAGE_BYTES:
        context.cursor.position -= count
        columns = read(count // 2, False)
    fields, frames = encode_columns(columns, copy=False)
    left = max(0, rows - context.cursor.position)
    left = left if what.limit is None else min(left, what.limit - count)
    ahead = _ends(dataset, context.cursor.position, left)
    answer = Often(fields, more=left > 0, left=left, first=what.start, ahead=ahead)
    return Page(count, left > 0, answer, frames), _text_bytes(columns)


def _ends(dataset: Dataset, position: int, left: int) -> list[int]:
    """Where the pages that follow best end, of which there are so many rows."""
    ends: list[int] = []
    most, stop = _most_rows(dataset, dataset.ahead_bytes), position + left
    reach = position + _AHEAD_BYTES // dataset.columns.dtype.itemsize
    end = position
    while end < stop and len(ends) < AHEAD and (end < reach or len(ends) < _AHEAD_LEAST):
        end = min(stop, end + dataset.page_rows(end, most))
        ends.append(end)
    return ends


def _most_rows(dataset: Dataset, page_bytes: int) -> int:
    page = min(page_bytes, dataset.page_bytes or MAX_PAGE_BYTES, MAX_PAGE_BYTES)
    rows = max(1, page // dataset.columns.dtype.itemsize)
    return min(rows, _TEXT_ROWS) if any(c.type == "s" for c in dataset.columns.all) else rows


def _text_bytes(columns: list[Any]) -> int:
    """At least as many bytes as the texts among the columns have, on the wire."""
    return sum(4 * sum(map(len, column)) for column in columns if column.dtype.kind == "O")


def _url(stored: str) -> str:
    """A parameter as a data URL; old ones are the text of a Python value."""
    return stored if stored.startswith(DATA_URL) else to_data_url(parameter_value(stored))
