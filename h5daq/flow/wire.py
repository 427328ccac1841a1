"""Message <-> bytes: the wire format, version 1 (PROTOCOL.md says it for other languages).

A message is one msgpack map that begins with its version and kind. `encode_rows` puts a batch into
bytes with a single copy, `seal_rows` without one where it can; `decode_head` reads any message of
a worker and leaves the rows' data where they are; `rows_of` makes a batch of views of them, once
their schema is known. `encode` and `decode` are for the small messages and signals.

What comes from a socket is checked here, field by field, before anybody acts on it: the rest of
the code meets a well-formed message or one `WireError` that names the cause.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import WireError
from h5daq.flow.batch import EARLIEST, LATEST, Batch, ColumnData
from h5daq.flow.fields import PUBLISHED, WORKER, Kinds, check_fields
from h5daq.flow.packing import MAX_MESSAGE_BYTES, Buffer, check_size, pack, read_map
from h5daq.flow.schema import MAX_TEXT_BYTES, Column, Schema
from h5daq.flow.topics import parse

__all__ = [
    "MAX_MESSAGE_BYTES",
    "VERSION",
    "Buffer",
    "Head",
    "decode",
    "decode_head",
    "decode_signal",
    "encode",
    "encode_rows",
    "rows_of",
    "seal_rows",
]

VERSION = 1
"""Version of the wire format that this module speaks."""

_HEAD = {"v", "k", "job", "inc", "first", "n"}
_ROWS = {*_HEAD, "data", "text"}
_OWN = {
    kind: fields.keys() - (_ROWS if kind == "rows" else _HEAD) for kind, fields in WORKER.items()
}
"""Fields that only this kind has. A log message has a text of its own: a field like any other."""

_BIN32 = b"\xc6"

_SMALL_BYTES = 4096
"""Values of so few bytes are copied once more than need be: that is quicker than not to."""


@dataclass(slots=True)
class Head:
    """A message of a worker, its rows' data still where the transport put them.

    Nobody changes it. It is made for each message, and what is frozen takes three times as long.

    Attributes
    ----------
    v, k, job, inc : int, str, str, int
        Version, kind, the job's group, the worker's incarnation (0 in a log message without one).
    first, n : int
        Number of the first row, and how many (rows and skip; else 0).
    fields : dict
        The rest of a small message: the fields that its kind lists. Others are ignored, and
        those whose value is nil are left out.
    data : memoryview
        Of rows: the binary columns one after the other. A view of the message.
    text : list of list of str
        Of rows: the text columns.
    """

    v: int
    k: str
    job: str
    inc: int = 0
    first: int = 0
    n: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    data: memoryview = field(default=memoryview(b""), repr=False)
    text: list[list[str]] = field(default_factory=list, repr=False)

    @property
    def end(self) -> int:
        """Number of the row after the last."""
        return self.first + self.n


def encode(kind: str, /, **fields: Any) -> bytes:
    """A small message: ``{"v": 1, "k": kind, …}``.

    Raises
    ------
    WireError
        If the kind is unknown or a field has no form on the wire.
    """
    if kind not in WORKER and kind not in PUBLISHED:
        raise WireError(f"no kind of message: {kind!r}", cause="kind")
    return pack({"v": VERSION, "k": kind, **fields})


def decode(message: Buffer) -> dict[str, Any]:
    """A message of the writer to all, as its map (``v`` and ``k`` included).

    Raises
    ------
    WireError
        If it is not a whole message of a known version and kind, its fields of the right types.
    """
    fields = _known(read_map(message), PUBLISHED)
    return {k: bytes(v) if isinstance(v, memoryview) else v for k, v in fields.items()}


def decode_signal(topic: bytes, message: Buffer) -> dict[str, Any]:
    """What was published under a topic, as `decode` gives it.

    Raises
    ------
    WireError
        If either is none, or the message is of another kind than its topic says: whoever goes by
        the topic relies on the fields of that kind.
    """
    kind, _ = parse(topic)
    fields = decode(message)
    if fields["k"] != kind:
        raise WireError(f"a {fields['k']} under the topic of a {kind}", cause="topic")
    return fields


def decode_head(message: Buffer) -> Head:
    """A message of a worker. Its rows' data is a view of `message`, which must stay as it is.

    Raises
    ------
    WireError
        If it is not a whole message of a known version and kind, its fields of the right types.
    """
    fields = _known(read_map(message, block="text"), WORKER)
    kind = fields["k"]
    own = _OWN[kind]
    return Head(
        v=fields["v"],
        k=kind,
        job=fields["job"],
        inc=fields.get("inc", 0),
        first=fields.get("first", 0),
        n=fields.get("n", 0),
        data=fields.get("data", memoryview(b"")),
        text=fields.get("text", []) if kind == "rows" else [],
        fields={name: value for name, value in fields.items() if name in own},
    )


def _known(fields: dict[str, Any], kinds: Kinds) -> dict[str, Any]:
    """The fields of a message, once version, kind and types are seen to be right."""
    # The version comes first also because the journal knows messages by their first key.
    if next(iter(fields), None) != "v":
        raise WireError("a message begins with its version", cause="version")
    if type(fields["v"]) is not int or fields["v"] != VERSION:
        raise WireError(f"version {reprlib.repr(fields['v'])}, not {VERSION}", cause="version")
    kind = fields.get("k")
    if not isinstance(kind, str) or kind not in kinds:
        raise WireError(f"unknown kind {reprlib.repr(kind)}", cause="kind")
    given = {key: value for key, value in fields.items() if value is not None}
    check_fields(kind, kinds[kind], given)
    return given


# -- rows ----------------------------------------------------------------------------------------


def encode_rows(batch: Batch, schema: Schema) -> bytes:
    """A batch as one rows message; its values are copied once.

    Raises
    ------
    WireError
        If the batch does not fit the schema or is over `MAX_MESSAGE_BYTES`.
    """
    arrays, head = _parts(batch, schema)
    numbers = [_bytes(array) for array in arrays]
    size = sum(map(len, numbers))
    if size <= _SMALL_BYTES:
        return pack({**head, "data": b"".join(numbers)})
    return b"".join([_opening(head, size), *numbers])


def seal_rows(batch: Batch, schema: Schema) -> Buffer:
    """As `encode_rows`; where the batch has a block, the message is made of that and not copied.

    Its bytes are the same, and stay so. They are the batch's columns, too.
    """
    if batch.block is not None:
        _, head = _parts(batch, schema)
        message = batch.block.message(_opening(head, batch.block.nbytes))
        if message is not None:
            return message
    return encode_rows(batch, schema)


def _parts(batch: Batch, schema: Schema) -> tuple[list[NDArray[Any]], dict[str, Any]]:
    """The columns of numbers, once all are seen to fit, and the message but for them."""
    if batch.n < 1 or len(batch.columns) != len(schema.columns):
        found = f"{batch.n} rows of {len(batch.columns)} columns"
        raise WireError(f"{found}; {len(schema.columns)} columns are wanted", cause="size")
    pairs = list(zip(schema.columns, batch.columns, strict=True))
    texts = [list(values) for column, values in pairs if column.is_text]
    if any(len(values) != batch.n for values in texts):
        raise WireError(f"a text column without {batch.n} texts", cause="size")
    head: dict[str, Any] = {
        "v": VERSION, "k": "rows", "job": batch.job, "inc": batch.inc,
        "first": batch.first, "n": batch.n,
    }  # fmt: skip
    if texts:
        head["text"] = texts
    return [_numbers(c, values, batch.n) for c, values in pairs if not c.is_text], head


def _opening(head: dict[str, Any], data_bytes: int) -> bytes:
    """The start of a message whose last pair is ``data``, up to the data themselves."""
    packed = pack(head)
    # A map of up to 15 pairs says their count in its first byte.
    length = data_bytes.to_bytes(4, "big")
    opening = b"".join([bytes([packed[0] + 1]), packed[1:], b"\xa4data", _BIN32, length])
    check_size(len(opening) + data_bytes)
    return opening


def _numbers(column: Column, values: ColumnData, n: int) -> NDArray[Any]:
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.dtype != column.dtype or array.shape != (n, *column.shape):
        wanted = (column.dtype, (n, *column.shape))
        found = f"{array.dtype} {array.shape}"
        raise WireError(f"label {column.label!r}: {found} instead of {wanted}", cause="size")
    return array


def _bytes(array: NDArray[Any]) -> bytes | memoryview:
    if array.nbytes <= _SMALL_BYTES:
        return array.tobytes()
    # As bytes: not every dtype can be exported as a buffer.
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def rows_of(head: Head, schema: Schema) -> Batch:
    """The rows of a message as views of it, read-only where the message is.

    Raises
    ------
    WireError
        If sizes or counts do not fit the schema, a time is no time, or a bool is neither 0 nor 1.
    """
    if head.n * (schema.row_bytes - 8 * len(schema.text)) != len(head.data):
        raise WireError(f"{len(head.data)} bytes for {head.n} rows", cause="size")
    if head.text or schema.text:
        _check_texts(head, schema)
    batch = Batch(head.job, head.inc, head.first, head.n, tuple(_columns(head, schema)))
    span = batch.span
    # NaN fails both comparisons.
    if not (span.oldest >= EARLIEST and span.newest < LATEST):
        raise WireError("a time is not between the years 1 and 10000", cause="time")
    return batch


def _check_texts(head: Head, schema: Schema) -> None:
    """No row may have more text than one message, and what is made of it, has room for."""
    if [len(texts) for texts in head.text] != [head.n] * len(schema.text):
        raise WireError(f"text columns do not have {head.n} strings each", cause="size")
    # A row can't have more than all together, and a character has four bytes at most.
    if 4 * sum(sum(map(len, texts)) for texts in head.text) <= MAX_TEXT_BYTES:
        return
    rows = zip(*head.text, strict=True)
    if any(sum(len(text.encode()) for text in row) > MAX_TEXT_BYTES for row in rows):
        raise WireError(f"texts of one row exceed {MAX_TEXT_BYTES} bytes", cause="size")


def _columns(head: Head, schema: Schema) -> Iterator[ColumnData]:
    texts, offset = iter(head.text), 0
    for column in schema.columns:
        if column.is_text:
            yield next(texts)
        else:
            yield _array(column, head, offset)
            offset += head.n * column.row_bytes


def _array(column: Column, head: Head, offset: int) -> NDArray[Any]:
    dtype = column.dtype
    values = np.frombuffer(head.data, dtype, head.n * column.row_bytes // dtype.itemsize, offset)
    if dtype.kind == "b" and values.view(np.uint8).max() > 1:
        raise WireError(f"label {column.label!r}: a bool is 0 or 1", cause="value")
    return values.reshape(head.n, *column.shape) if column.shape else values
