"""The wire format: every message comes back, and whatever is no message is one WireError."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import WireError
from h5daq.flow import packing
from h5daq.flow.batch import Batch
from h5daq.flow.fields import PUBLISHED, WORKER
from h5daq.flow.packing import MAX_ITEMS, MAX_LENGTH
from h5daq.flow.schema import Column, Schema
from h5daq.flow.wire import (
    MAX_MESSAGE_BYTES,
    Head,
    decode,
    decode_head,
    encode,
    encode_rows,
    rows_of,
)

SCHEMA = Schema.of(
    [
        Column("T", np.dtype("f8"), unit="K"),
        Column("note", np.dtype(object)),
        Column("wave", np.dtype("i2"), (2, 3)),
        Column("on", np.dtype("?")),
        Column("mode", np.dtype("S4")),
        Column("log", np.dtype(object)),
        Column("z", np.dtype("c8")),
    ]
)
DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", "c8", "c16", "S7"]
UINT64 = st.integers(0, 2**64 - 1)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)

FROM: dict[str, Any] = {"job": "tank/T", "inc": 2**64 - 1}
SMALL: list[tuple[str, dict[str, Any]]] = [
    ("hello", {**FROM, "schema": SCHEMA.to_wire(), "attrs": {"a": 1, "b": ["x", 2.5]},
               "host": "pi1", "pid": 77, "period": 0.5, "mode": "schedule", "chunk": 0,
               "hash": SCHEMA.fingerprint}),
    ("skip", {**FROM, "first": 5, "n": 3, "cause": "trimmed"}),
    ("status", {**FROM, "state": "reading", "counts": {"shape": 2}, "overruns": 1, "held": 9,
                "late": 0.001, "cmd": 4, "message": ""}),
    ("log", {"job": "tank/T", "level": "INFO", "name": "mylab", "time": 1.5, "text": "hello"}),
    ("bye", {**FROM, "end": 2**40}),
]  # fmt: skip
SIGNALS: list[tuple[str, dict[str, Any]]] = [
    ("position", {"boot": "b", "run": "r", "inc": 5, "next": 7, "window": 9, "need": "hello"}),
    ("heartbeat", {"boot": "b", "run": "r", "time": 1.0, "positions": {"a": [1, 2]}}),
    ("command", {"seq": 1, "verb": "trigger", "n": 3}),
    ("refused", {"cause": "key"}),
    ("new-dir", {"path": "run", "name": "tank"}),
    ("new-dataset", {"path": "run/tank", "name": "T", "columns": ["time", "T"]}),
    ("data-available", {"path": "run/T", "rows": 1, "total": 2, "last_time": 5, "last": {"T": 1}}),
    ("alarm", {"text": "disk full"}),
]  # fmt: skip


def batch_of(schema: Schema, n: int, first: int = 0, inc: int = 1) -> Batch:
    """A batch whose values follow from their place."""
    columns: list[Any] = [np.arange(n, dtype=schema.columns[0].dtype)]
    for column in schema.columns[1:]:
        count = n * int(np.prod(column.shape))
        flat = [f"é{i}" for i in range(count)] if column.is_text else np.arange(count) % 2
        columns.append(
            flat if column.is_text else flat.astype(column.dtype).reshape(n, *column.shape)
        )
    return Batch("tank/T", inc, first, n, tuple(columns))


ROWS = encode_rows(batch_of(SCHEMA, 4, first=10, inc=2**63), SCHEMA)
WORKER_MESSAGES = [ROWS, *(encode(kind, **fields) for kind, fields in SMALL)]
PUBLISHED_MESSAGES = [encode(kind, **fields) for kind, fields in SIGNALS]


def same_rows(a: Batch, b: Batch) -> bool:
    heads = (a.job, a.inc, a.first, a.n) == (b.job, b.inc, b.first, b.n)
    pairs = zip(a.columns, b.columns, strict=True)
    return heads and all(type(x) is type(y) and np.array_equal(x, y) for x, y in pairs)


def read_all(message: bytes) -> None:
    """Whatever the writer does with a message before it acts on it."""
    head = decode_head(message)
    if head.k == "hello":
        Schema.from_wire(head.fields["schema"])
    if head.k == "rows":
        rows_of(head, SCHEMA)


def cause(read: Callable[[bytes], Any], message: bytes) -> str:
    with pytest.raises(WireError) as caught:
        read(message)
    return caught.value.cause


# -- every message comes back ----------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(1, 3), max_size=3)), max_size=5
    ),
    st.integers(0, 2),
    st.integers(1, 6),
    UINT64,
    st.integers(0, 2**60),
)
@settings(deadline=None)
def test_rows_come_back(binary: list[Any], texts: int, n: int, inc: int, first: int) -> None:
    columns = [Column(f"c{i}", np.dtype(d), tuple(s)) for i, (d, s) in enumerate(binary)]
    columns += [Column(f"t{i}", np.dtype(object)) for i in range(texts)]
    schema = Schema.of(columns)
    batch = batch_of(schema, n, first, inc)
    head = decode_head(encode_rows(batch, schema))
    assert (head.k, head.job, head.inc, head.first, head.end) == (
        "rows", batch.job, inc, first, batch.end
    )  # fmt: skip
    assert same_rows(rows_of(head, schema), batch)


@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_texts_of_any_script_come_back(texts: list[str]) -> None:
    schema = Schema.of([Column("s", np.dtype(object))])
    batch = Batch("j", 1, 0, len(texts), (np.zeros(len(texts)), texts))
    assert decode_head(encode_rows(batch, schema)).text == [texts]


@pytest.mark.parametrize(("kind", "fields"), SMALL)
def test_small_messages_come_back(kind: str, fields: dict[str, Any]) -> None:
    head = decode_head(encode(kind, **fields))
    back = {**head.fields, "job": head.job, "inc": head.inc, "first": head.first, "n": head.n}
    assert head.k == kind
    assert {name: back[name] for name in fields} == fields


@pytest.mark.parametrize(("kind", "fields"), SIGNALS)
def test_published_messages_come_back(kind: str, fields: dict[str, Any]) -> None:
    assert decode(encode(kind, **fields)) == {"v": 1, "k": kind, **fields}


@pytest.mark.parametrize("rows", [1, 16])
def test_the_data_of_rows_are_views_of_the_message(rows: int) -> None:
    schema = Schema.of([Column("w", np.dtype("f8"), (10_000,))])
    message = bytearray(encode_rows(batch_of(schema, rows), schema))
    batch = rows_of(decode_head(message), schema)
    message[-8:] = np.float64(42.0).tobytes()
    assert batch.columns[1][-1, -1] == 42.0  # type: ignore[call-overload]


def test_text_of_more_than_a_list_may_have_comes_back() -> None:
    schema = Schema.of([Column("s", np.dtype(object))])
    batch = batch_of(schema, 3 * MAX_LENGTH)
    assert same_rows(rows_of(decode_head(encode_rows(batch, schema)), schema), batch)


def test_numpy_values_are_sent_as_plain_ones() -> None:
    message = encode("alarm", a=np.int16(3), b=np.float32(0.5), c=np.arange(2), d=np.True_)
    assert decode(message) == {"v": 1, "k": "alarm", "a": 3, "b": 0.5, "c": [0, 1], "d": True}


# -- other writers of the format -------------------------------------------------------------------


def test_the_examples_of_the_protocol_are_messages() -> None:
    bye = "85 a176 01 a16b a3627965 a36a6f62 a161 a3696e63 01 a3656e64 05"
    assert bytes.fromhex(bye) == encode("bye", job="a", inc=1, end=5)
    rows = "87 a176 01 a16b a4726f7773 a36a6f62 a161 a3696e63 01 a56669727374 00 a16e 02"
    message = bytes.fromhex(rows + "a464617461 c420") + np.arange(4.0).tobytes()
    batch = rows_of(decode_head(message), Schema.of([Column("x", np.dtype("f8"))]))
    assert [list(column) for column in batch.columns] == [[0, 1], [2, 3]]


def test_the_protocol_names_every_kind_and_field() -> None:
    text = Path(packing.__file__).with_name("PROTOCOL.md").read_text(encoding="utf-8")
    kinds = {**WORKER, **PUBLISHED}
    names = set(kinds) | {name for fields in kinds.values() for name in fields}
    assert [name for name in names if f"`{name}`" not in text and f"### {name} " not in text] == []


def test_keys_in_another_order_and_unknown_keys_are_fine() -> None:
    fields = msgpack.unpackb(ROWS)
    turned = {"v": 1, "new": [1, {"x": b"y"}], "data": fields["data"]}
    rest = {k: fields[k] for k in reversed(list(fields)) if k not in turned}
    head = decode_head(msgpack.packb({**turned, **rest, "tail": b"z" * 100_000}))
    assert same_rows(rows_of(head, SCHEMA), rows_of(decode_head(ROWS), SCHEMA))


def test_a_field_that_its_kind_does_not_list_is_ignored() -> None:
    head = decode_head(msgpack.packb({"v": 1, "k": "bye", **FROM, "end": 1, "path": b"x", "z": 1}))
    assert head.fields == {"end": 1}


def test_nil_stands_for_a_field_that_is_left_out() -> None:
    assert decode_head(encode("status", **FROM, counts=None)).fields == {}
    assert cause(decode_head, encode("bye", **FROM, end=None)) == "field"


def test_a_map_with_a_long_header_is_the_same_map() -> None:
    message = encode("bye", **FROM, end=1)
    assert decode_head(b"\xde\x00" + bytes([message[0] & 0x0F]) + message[1:]).fields == {"end": 1}


# -- what is no message ----------------------------------------------------------------------------


@given(st.binary(max_size=80))
@settings(max_examples=300)
def test_random_bytes_are_a_wire_error(noise: bytes) -> None:
    for read in (read_all, decode):
        cause(read, noise)


json_like = st.recursive(
    st.none() | st.booleans() | UINT64 | st.floats() | st.text(max_size=4) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.sampled_from(WORKER_MESSAGES + PUBLISHED_MESSAGES), st.data())
@settings(max_examples=400, deadline=None)
def test_a_message_with_bytes_changed_is_read_or_a_wire_error(message: bytes, data: Any) -> None:
    changed = bytearray(message)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    for read in (read_all, decode):
        with suppress(WireError):
            read(bytes(changed))


@given(st.sampled_from(WORKER_MESSAGES + PUBLISHED_MESSAGES), st.data())
@settings(max_examples=400, deadline=None)
def test_a_message_with_a_field_changed_is_read_or_a_wire_error(message: bytes, data: Any) -> None:
    fields = msgpack.unpackb(message)
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(json_like)
    for read in (read_all, decode):
        with suppress(WireError):
            read(msgpack.packb(fields))


@given(st.sampled_from(WORKER_MESSAGES + PUBLISHED_MESSAGES), st.data())
@settings(max_examples=400, deadline=None)
def test_what_is_read_in_one_go_is_what_a_walk_finds(message: bytes, data: Any) -> None:
    if data.draw(st.booleans()):
        fields = msgpack.unpackb(message)
        fields[data.draw(st.sampled_from([*sorted(fields), "new"]))] = data.draw(json_like)
        message = msgpack.packb(fields)
    changed = bytearray(message)
    for _ in range(data.draw(st.integers(0, 2))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    assert_walk_finds(packing._read_small(bytes(changed)), bytes(changed))


@given(st.sampled_from(WORKER_MESSAGES), st.data())
@settings(max_examples=400, deadline=None)
def test_what_is_read_by_its_opening_is_what_a_walk_finds(message: bytes, data: Any) -> None:
    fields, rest = msgpack.unpackb(message), data.draw(st.binary(max_size=9)) + bytes(20_000)
    fields[data.draw(st.sampled_from([*sorted(fields), "new"]))] = data.draw(json_like)
    last = data.draw(st.sampled_from([rest, {"x": rest}, [rest], {"": b"", "y": rest}, "text"]))
    changed = bytearray(msgpack.packb({**fields, "last": last}))
    for _ in range(data.draw(st.integers(0, 2))):
        changed[data.draw(st.integers(0, min(len(changed), 300) - 1))] = data.draw(
            st.integers(0, 255)
        )
    del changed[len(changed) - data.draw(st.integers(0, 1)) :]
    assert_walk_finds(packing._read_opening(bytes(changed)), bytes(changed))


def assert_walk_finds(quick: dict[str, Any] | None, message: bytes) -> None:
    if quick is None:
        return
    walked = packing._Walk(message).pairs("")
    assert repr(list(quick.items())) == repr(list(walked.items())) or (
        list(map(type, quick.values())) == list(map(type, walked.values()))
        and msgpack.packb(quick) == msgpack.packb(walked)
    )


def test_large_rows_are_read_by_their_opening_alone() -> None:
    batch = Batch("tank/T", 2**64 - 1, 7, 4096, (np.zeros(4096), np.zeros(4096)))
    message = encode_rows(batch, Schema.of([Column("T", np.dtype("f8"))]))
    found = packing._read_opening(message)
    assert found is not None
    assert found["data"].nbytes == 65536
    assert found["data"].obj is message


@pytest.mark.parametrize("message", WORKER_MESSAGES)
def test_a_message_cut_anywhere_is_a_wire_error(message: bytes) -> None:
    for length in range(len(message)):
        cause(decode_head, message[:length])
    assert cause(decode_head, message + b"\x00") == "trailing"


def with_field(kind: str, **changed: Any) -> bytes:
    fields = dict(SMALL)[kind] if kind in dict(SMALL) else msgpack.unpackb(ROWS)
    return msgpack.packb({"v": 1, "k": kind, **fields, **changed})  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("bye", "inc", -1), ("bye", "inc", True), ("bye", "inc", 1.0), ("bye", "end", "5"),
        ("bye", "job", "/a"), ("bye", "job", "a//b"), ("bye", "job", ""), ("bye", "job", 5),
        ("rows", "n", 0), ("rows", "first", -1), ("rows", "first", 2**63), ("rows", "data", "x"),
        ("rows", "text", b"\x90"), ("rows", "text", "x"), ("skip", "cause", ""),
        ("skip", "cause", "a\0"), ("skip", "n", 2**63), ("status", "counts", [1]),
        ("status", "counts", {"a": -1}), ("status", "counts", {"": 1}),
        ("status", "late", float("nan")), ("hello", "schema", {}), ("hello", "attrs", [1]),
        ("hello", "attrs", {"a": None}), ("hello", "attrs", {"a": "x\0"}),
        ("hello", "attrs", {"": 1}), ("hello", "period", "1"), ("log", "text", 5),
    ],
)  # fmt: skip
def test_a_field_of_the_wrong_kind_is_refused(kind: str, field: str, value: Any) -> None:
    assert cause(decode_head, with_field(kind, **{field: value})) == "field"


def rows_with(**changed: Any) -> bytes:
    return with_field("rows", **changed)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (rows_with(n=5), "size"),
        (rows_with(data=b""), "size"),
        (rows_with(text=[]), "size"),
        (rows_with(text=[["a"] * 4]), "size"),
        (rows_with(text=[["a"] * 4, ["a"] * 3]), "size"),
        (rows_with(text=[["a"] * 4, ["\0"] * 4]), "text"),
        (rows_with(text=[["a"] * 4, [b"a"] * 4]), "text"),
        (rows_with(n=2**62), "size"),
    ],
)
def test_rows_that_do_not_fit_their_schema_are_refused(message: bytes, why: str) -> None:
    assert cause(read_all, message) == why


@pytest.mark.parametrize("time", [float("nan"), float("inf"), 1e12, -1e12])
def test_rows_with_a_time_that_is_none_are_refused(time: float) -> None:
    data = bytearray(msgpack.unpackb(ROWS)["data"])
    data[8:16] = np.float64(time).tobytes()
    assert cause(read_all, rows_with(data=bytes(data))) == "time"


def test_a_bool_that_is_neither_is_refused() -> None:
    schema = Schema.of([Column("on", np.dtype("?"))])
    message = encode_rows(batch_of(schema, 2), schema)[:-1] + b"\x02"
    assert cause(lambda m: rows_of(decode_head(m), schema), message) == "value"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"v": 2, "k": "bye"}, "version"),
        ({"v": True, "k": "bye"}, "version"),
        ({"k": "bye", "v": 1}, "version"),
        ({}, "version"),
        ({"v": 1}, "kind"),
        ({"v": 1, "k": "tea"}, "kind"),
        ({"v": 1, "k": ["bye"]}, "kind"),
        ({"v": 1, "k": "position"}, "kind"),
    ],
)
def test_unknown_versions_and_kinds_are_told_apart(fields: dict[str, Any], why: str) -> None:
    assert cause(decode_head, msgpack.packb(fields)) == why


def test_a_workers_message_is_nothing_that_the_writer_publishes() -> None:
    assert cause(decode, encode("bye", **FROM, end=1)) == "kind"


def test_a_record_of_the_journal_is_no_message() -> None:
    record = msgpack.packb({"j": "end", "v": 1, "k": "bye", **FROM, "end": 1})
    assert cause(decode_head, record) == "version"


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        b"\xdd\xff\xff\xff\xff",  # a list that claims 4 billion elements
        b"\xdf\xff\xff\xff\xff",  # a map that does
        b"\xdd\x00\x10\x00\x00" * 500,  # lists in lists, each claiming a million
        b"\x91" * 5_000 + b"\xc0",  # nesting without end
        b"\xc7\x00\x05",  # an extension
        b"\xd6\xff\x00\x00\x00\x00",  # a time stamp
        b"\xc6\xff\xff\xff\xff",  # a bin longer than the message
        b"\xdb\xff\xff\xff\xff",  # a string longer than the message
    ],
)
def test_claims_beyond_the_limits_are_refused(value: bytes) -> None:
    message = b"\x83\xa1v\x01\xa1k\xa5alarm\xa1x" + value
    assert cause(decode, message)
    assert cause(decode_head, message.replace(b"\xa5alarm\xa1x", b"\xa4rows\xa4text"))


def test_many_small_lists_are_too_many_together() -> None:
    lists = [[[] for _ in range(1000)] for _ in range(MAX_ITEMS // 1000)]
    assert cause(decode, msgpack.packb({"v": 1, "k": "alarm", "x": lists})) == "limit"


def test_too_many_keys_are_refused() -> None:
    message = {"v": 1, "k": "alarm", **{str(i): i for i in range(300)}}
    assert cause(decode, msgpack.packb(message)) == "limit"


def test_a_message_over_the_limit_is_refused_unread() -> None:
    assert cause(decode_head, bytes(MAX_MESSAGE_BYTES + 1)) == "size"


def test_a_batch_over_the_limit_is_not_sent() -> None:
    schema = Schema.of([Column("w", np.dtype("u1"), (1 << 20,))])
    batch = Batch("j", 1, 0, 64, (np.zeros(64), np.zeros((64, 1 << 20), "u1")))
    with pytest.raises(WireError, match=str(MAX_MESSAGE_BYTES)):
        encode_rows(batch, schema)


@pytest.mark.parametrize("value", [object(), 2**64, "\ud800", {1, 2}])
def test_a_value_without_a_form_on_the_wire_is_not_sent(value: Any) -> None:
    with pytest.raises(WireError):
        encode("alarm", x=value)


def test_a_batch_that_does_not_fit_its_schema_is_not_sent() -> None:
    schema = Schema.of([Column("x", np.dtype("f4"))])
    for columns in ((np.zeros(2), np.zeros(2)), (np.zeros(2), np.zeros(3, "f4")), (np.zeros(2),)):
        with pytest.raises(WireError):
            encode_rows(Batch("j", 1, 0, 2, columns), schema)
    with pytest.raises(WireError):
        encode_rows(Batch("j", 1, 0, 0, (np.zeros(0), np.zeros(0, "f4"))), schema)


def test_a_head_is_what_other_code_may_build_for_itself() -> None:
    assert Head(1, "bye", "a", 5).end == 0
