"""The columns being filled: those of a `Block`, and code generated to store rows into them.

This is the hottest loop of a worker, so it is written out per schema, once: for eight floats

    c1[i], c2[i], … c8[i] = row
    c0[i] = t

where each ``c`` is a memoryview of its column, whose stores check type and range by themselves
and are faster than anything numpy offers for single values. Columns that a memoryview can't take,
or would take too much into (float32 overflow, bool), go through `rows.convert`.

A row counts only when all of it is stored; when a store fails the row is looked at once more by
`rows.check_row`, which either accepts it (a bare value, 2.0 into an integer) or says what is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from h5daq.errors import ReadingError
from h5daq.flow.batch import EARLIEST, LATEST, ColumnData
from h5daq.flow.block import Block
from h5daq.flow.rows import MAX_TEXT_BYTES, check_row, check_text, convert, text_bytes
from h5daq.flow.schema import Column, Schema
from h5daq.flow.toll import Count

__all__ = ["ROW_STORE", "Store"]

_DIRECT = ("<f8", "<i8", "<i4", "<i2", "|i1", "<u8", "<u4", "<u2", "|u1")
"""Dtypes whose memoryview refuses exactly what the column can't hold."""

ROW_STORE = "<rows of a schema>"
"""What stands for a file's name in a stack, where the generated code calls a getter."""

_NATIVE = sys.byteorder == "little"

_UNFIT = (TypeError, ValueError, OverflowError, ReadingError)
"""What a store raises for a value that its column does not take as it is."""

# `i` is the row's place, `t` its time, `row` what the getter returned; c0, c1, … are the columns,
# f0, f1, … convert a value for those that are not stored directly.
_TEMPLATE = """
def bind(store, {names}):
    def put(i, t, row):
        {put}
    def put_timed(i, t, row):
        {put_timed}
    def fill(stop, getter, clock, since, until, count):
        i = store.end
        place = count.begin(i)
        try:
            for i in range(i, stop):
                t = clock()
                if not since <= t < until:
                    break
                row = getter()
                try:
                    {fill}
                except UNFIT:
                    if not store.put_careful(i, t, row):
                        return False
                count.cells[place] = i
                {full}
            else:
                i = stop
        finally:
            # Also when the getter raises: the rows before this one are whole.
            store.end = i
        return True
    def fill_timed(stop, getter, clock, since, until, count):
        i = store.end
        place = count.begin(i)
        try:
            for i in range(i, stop):
                if not since <= clock() < until:
                    break
                row = getter()
                try:
                    {fill_timed}
                except UNFIT:
                    if not store.put_careful(i, None, row):
                        return False
                count.cells[place] = i
                {full}
            else:
                i = stop
        finally:
            store.end = i
        return True
    return put, put_timed, fill, fill_timed
"""

Put = Callable[[int, Any, Any], None]
Fill = Callable[[int, Callable[[], Any], Callable[[], float], float, float, Count], bool]


class Store:
    """Columns with room for ``capacity`` rows, of which ``start … end - 1`` are held.

    There is no room at first: see `allocate`.

    Parameters
    ----------
    schema : Schema
        Of the job.
    text_limit : int
        Bytes of text at which a fill ends, whatever the count of rows.
    """

    fill: Fill
    fill_timed: Fill

    def __init__(self, schema: Schema, text_limit: int) -> None:
        self.schema = schema
        self._bind = _generate(schema, text_limit)
        self._direct = [_is_direct(column) for column in schema.columns]
        self._converters = [self._converter(column) for column in schema.columns]
        self.columns: list[ColumnData] = []
        self._block: Block | None = None
        self.start = self.end = self.capacity = self.text_size = 0

    def allocate(self, capacity: int) -> None:
        """Make room for `capacity` rows in all; those held are moved over."""
        held, self._block = self.held(), Block(self.schema, capacity)
        self.columns = self._block.columns
        self.start, self.end, self.capacity = 0, self.end - self.start, capacity
        if self.end:
            for column, values in zip(self.columns, held, strict=True):
                column[: self.end] = values
        self._put, self._put_timed, self.fill, self.fill_timed = self._bind(self, self._slots())

    def release(self) -> None:
        """Let go of the columns, with all that they hold."""
        self.columns, self._block = [], None
        self.start = self.end = self.capacity = self.text_size = 0
        for name in ("_put", "_put_timed", "fill", "fill_timed"):
            # They are bound to the columns, and would keep them.
            vars(self).pop(name, None)

    def held(self, rows: int | None = None) -> tuple[ColumnData, ...]:
        """The first `rows` of the rows held, or all: views of the columns, and lists."""
        end = self.end if rows is None else self.start + rows
        start = self.start
        return tuple([column[start:end] for column in self.columns])

    def whole(self, rows: int) -> Block | None:
        """The block, if the first `rows` of the rows held fill it and it is large."""
        block = self._block
        return block if block and block.is_large and rows == self.capacity else None

    def drop(self, rows: int) -> None:
        """Forget the first `rows` of the rows held."""
        self.start += rows
        if self.start == self.end:
            self.start = self.end = 0
        if self.text_size:
            self.text_size = self._count_text()

    def put(self, t: float | None, row: Any) -> bool:
        """Store one row; with `t` None its first entry is its time. False for one to skip.

        Raises
        ------
        ReadingError
            If it does not fit; what is held stays as it was.
        """
        put = self._put_timed if t is None else self._put
        try:
            put(self.end, t, row)
        except _UNFIT:
            if not self.put_careful(self.end, t, row):
                return False
        self.end += 1
        return True

    def put_careful(self, i: int, t: float | None, result: Any) -> bool:
        """Store the row in what a getter returned at place `i`, after a direct store failed."""
        # The failed store may have counted texts of a row that isn't there.
        self.text_size = self._count_text(i)
        row = check_row(self.schema, t, result)
        if row is None:
            return False
        for column, value in zip(self.columns, row, strict=True):
            column[i] = value
        self.text_size += sum(text_bytes(value) for value in row if isinstance(value, str))
        return True

    def _count_text(self, end: int | None = None) -> int:
        stop = self.end if end is None else end
        texts = [c[self.start : stop] for c in self.columns if isinstance(c, list)]
        return sum(text_bytes(text) for column in texts for text in column)

    # -- what the generated code is bound to --------------------------------------------------

    def _slots(self) -> list[Any]:
        pairs = zip(self._direct, self.columns, strict=True)
        slots: list[Any] = [_cells(values) if direct else values for direct, values in pairs]
        return slots + self._converters

    def _converter(self, column: Column) -> Callable[[Any], Any]:
        if column.is_text:
            return lambda value: self._counted(check_text(column, value))
        shape = column.shape
        return lambda value: convert(column, value, shape)

    def _counted(self, text: str) -> str:
        self.text_size += text_bytes(text)
        if self.text_size > MAX_TEXT_BYTES:
            # Of this row, or of it and those before: the careful look knows.
            raise ReadingError(f"texts of over {MAX_TEXT_BYTES} bytes", cause="size")
        return text


def _cells(values: Any) -> memoryview:
    # By way of bytes: numpy says of an array that isn't aligned what no memoryview understands.
    return memoryview(values.view(np.uint8)).cast(values.dtype.char)


# -- code ------------------------------------------------------------------------------------------


def _is_direct(column: Column) -> bool:
    return _NATIVE and not column.shape and column.dtype.str in (*_DIRECT, "<f4")


Bound = tuple[Put, Put, Fill, Fill]


def _generate(schema: Schema, text_limit: int) -> Callable[[Store, Sequence[Any]], Bound]:
    """A function that binds the loops of this schema to a store and its columns."""
    indices = range(len(schema.columns))
    plain, timed = _assign(schema, timed=False), _assign(schema, timed=True)
    full = ["if store.text_size >= TEXT_LIMIT:", "    i += 1", "    break"] if schema.text else [""]
    source = _TEMPLATE.format(
        names=", ".join([f"c{k}" for k in indices] + [f"f{k}" for k in indices]),
        put=_lines(plain, 8),
        put_timed=_lines(timed, 8),
        fill=_lines(plain, 20),
        fill_timed=_lines(timed, 20),
        full=_lines(full, 16),
    )
    names: dict[str, Any] = {
        "UNFIT": _UNFIT, "TEXT_LIMIT": text_limit, "EARLIEST": EARLIEST, "LATEST": LATEST,
        "BIGGEST_F4": float(np.finfo("<f4").max),
    }  # fmt: skip
    exec(compile(source, ROW_STORE, "exec"), names)
    bind = names["bind"]
    return lambda store, slots: bind(store, *slots)


def _lines(lines: list[str], depth: int) -> str:
    return ("\n" + " " * depth).join(lines)


def _assign(schema: Schema, *, timed: bool) -> list[str]:
    """The statements that store one row."""
    columns = list(enumerate(schema.columns))[0 if timed else 1 :]
    targets = [_target(k, column) for k, column in columns]
    lines = _unpack(targets)
    for k, column in columns:
        lines += _convert(k, column)
    if not timed:
        lines.append("c0[i] = t")
    elif schema.columns[0].dtype.kind == "f":
        lines += ["if not EARLIEST <= c0[i] < LATEST:", "    raise ValueError"]
    return lines


def _unpack(targets: list[str]) -> list[str]:
    if len(targets) != 1:
        return [f"{', '.join(targets) or '()'} = row"]
    # One label: most getters return the value itself or a list of it.
    return [
        "if row.__class__ is list or row.__class__ is tuple:",
        f"    {targets[0]}, = row",
        "else:",
        f"    {targets[0]} = row",
    ]


def _target(k: int, column: Column) -> str:
    return f"c{k}[i]" if _is_direct(column) and column.dtype.str != "<f4" else f"a{k}"


def _convert(k: int, column: Column) -> list[str]:
    if not _is_direct(column):
        return [f"c{k}[i] = f{k}(a{k})"]
    if column.dtype.str != "<f4":
        return []
    # Its memoryview would make infinities of numbers that are too large.
    return [
        f"if a{k} > BIGGEST_F4 or a{k} < -BIGGEST_F4:",
        "    raise OverflowError",
        f"c{k}[i] = a{k}",
    ]
