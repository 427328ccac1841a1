"""Rows of the Data Vault on the wire: always by column, numbers as one frame, texts beside them.

``{"n": rows, "columns": [["<f8", []], ["<i4", [3]], ["text"]], "text": [[…]]}`` stands in the map
of a request or reply, and the columns of numbers follow one after the other in a single frame,
little-endian, in C order. Whoever decodes it checks every length before anything is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import WireError
from h5daq.flow.packing import MAX_LENGTH, Buffer

__all__ = ["MAX_PAGE_BYTES", "Field", "decode_columns", "encode_columns"]

MAX_PAGE_BYTES = 32 << 20
"""Most bytes of rows in one reply; a reader asks again for those that follow."""

MAX_DIMENSIONS = 31

DTYPES = (
    "|b1", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8", "<c8",
    "<c16",
)  # fmt: skip
"""Kinds of numbers that travel."""

_SCALARS = {name: np.dtype(name) for name in DTYPES}

Field = NDArray[Any] | list[str]
"""One column: numbers of shape (rows, …), or texts."""


def encode_columns(
    columns: Iterable[Any], *, copy: bool = True
) -> tuple[dict[str, Any], list[Buffer]]:
    """Columns as a part of a message's map, and the frames that follow it.

    Parameters
    ----------
    columns : iterable of ndarray or of lists of str
        Each of shape (rows, …), all with the same number of rows. Texts may also be an array.
    copy : bool
        False if they will not change any more: then a single one, or several that lie one after
        the other in an array of bytes, are sent from where they lie.

    Returns
    -------
    fields : dict
        ``n``, ``columns`` and, if there are texts, ``text``.
    frames : list of bytes
        One, or none where no column holds numbers.

    Raises
    ------
    WireError
        If the columns differ in length or hold what is neither numbers nor texts.

    Examples
    --------
    >>> fields, frames = encode_columns([np.array([1.5, 2.5]), ["a", "b"]])
    >>> fields
    {'n': 2, 'columns': [['<f8', []], ['text']], 'text': [['a', 'b']]}
    >>> len(frames[0])
    16
    """
    given = [_field(column) for column in columns]
    lengths = {len(column) for column in given}
    if len(lengths) > 1:
        raise WireError(f"columns of different lengths: {sorted(lengths)}", cause="length")
    arrays = [column for column in given if not isinstance(column, list)]
    texts = [column for column in given if isinstance(column, list)]
    fields = {"n": lengths.pop() if lengths else 0, "columns": [_spec(c) for c in given]}
    if texts:
        fields["text"] = texts
    whole = None if copy or not arrays or not fields["n"] else _whole(arrays)
    if whole is not None:
        return fields, [whole]
    frames: list[Buffer] = [b"".join(map(_bytes_of, arrays))] if arrays else []
    return fields, frames


def _whole(arrays: Sequence[NDArray[Any]]) -> Buffer | None:
    """The memory in which they lie one after the other; None if they don't."""
    base = arrays[0].base
    if not all(array.flags.c_contiguous and array.size for array in arrays):
        return None
    if len(arrays) == 1:
        return _bytes_of(arrays[0])
    if not isinstance(base, np.ndarray) or base.dtype != np.uint8 or base.ndim != 1:
        return None
    begin = end = arrays[0].ctypes.data - base.ctypes.data
    for array in arrays:
        if array.base is not base or array.ctypes.data - base.ctypes.data != end:
            return None
        end += array.nbytes
    return base[begin:end].data


def _bytes_of(array: NDArray[Any]) -> Buffer:
    """The bytes of an array, where they lie if they lie in order."""
    if array.flags.c_contiguous and array.size:
        return array.reshape(-1).view(np.uint8).data
    return array.tobytes()


def decode_columns(
    fields: Mapping[str, Any], frames: Sequence[Buffer], *, most_rows: int = 1 << 40
) -> list[Field]:
    """The columns that `encode_columns` was given.

    Parameters
    ----------
    fields : mapping
        As it stood in the message: ``n``, ``columns``, ``text``; others are ignored.
    frames : sequence of bytes-like
        What followed the map; arrays are read-only views of it.
    most_rows : int
        More are refused.

    Raises
    ------
    WireError
        If the message is not what it says of itself.
    """
    n, specs, texts = fields.get("n"), fields.get("columns"), fields.get("text") or []
    _need(type(n) is int and 0 <= n <= most_rows, f"n {n!r:.40}")
    _need(isinstance(specs, list) and len(specs) <= MAX_LENGTH, "columns")
    _need(isinstance(texts, list) and len(frames) <= 1, "text or frames")
    assert isinstance(n, int)
    assert isinstance(specs, list)
    kinds = [_kind(spec) for spec in specs]
    data = memoryview(frames[0]).cast("B") if frames else memoryview(b"")
    wanted = sum(n * kind.itemsize for kind in kinds if kind is not None)
    _need(len(data) == wanted, f"{len(data)} bytes of numbers where {wanted} are announced")
    # Not by ==: numpy takes None for the name of a dtype.
    _need(len(texts) == sum(kind is None for kind in kinds), "number of text columns")
    return list(_cut(n, kinds, data, iter(texts)))


def _cut(
    n: int, kinds: Sequence[np.dtype[Any] | None], data: memoryview, texts: Any
) -> Iterable[Field]:
    offset = 0
    for kind in kinds:
        if kind is None:
            yield _texts(next(texts), n)
            continue
        size = n * kind.itemsize
        flat = np.frombuffer(data[offset : offset + size], dtype=kind.base)
        yield flat.reshape((n, *kind.shape))
        offset += size


def _field(column: Any) -> Field:
    if isinstance(column, list):
        return _texts(column, len(column))
    array = np.asarray(column)
    if array.dtype.kind in "OU":
        return _texts(array.tolist(), len(array))
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if array.ndim == 0 or array.dtype.str not in DTYPES:
        raise WireError(f"a column of {array.dtype} and shape {array.shape} has no form")
    return array


def _spec(column: Field) -> list[Any]:
    if isinstance(column, list):
        return ["text"]
    return [column.dtype.str, list(column.shape[1:])]


def _kind(spec: Any) -> np.dtype[Any] | None:
    """The dtype of one row of a column; None for texts."""
    if spec == ["text"]:
        return None
    _need(isinstance(spec, list) and len(spec) == 2 and spec[0] in DTYPES, f"column {spec!r:.60}")
    shape = spec[1]
    _need(isinstance(shape, list) and len(shape) <= MAX_DIMENSIONS, f"shape {shape!r:.60}")
    _need(all(type(length) is int and 0 < length < 1 << 31 for length in shape), "shape")
    _need(math.prod(shape) < 1 << 26, f"shape {shape!r:.60}")
    return np.dtype((spec[0], tuple(shape))) if shape else _SCALARS[spec[0]]


def _texts(values: Any, n: int) -> list[str]:
    _need(isinstance(values, list) and len(values) == n, "texts")
    _need(all(type(value) is str for value in values), "texts")
    return list(values)


def _need(sound: bool, what: str) -> None:
    if not sound:
        raise WireError(f"rows without proper {what}", cause="rows")
