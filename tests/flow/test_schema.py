"""Columns and schemas: what can be described, what is refused, and the way over the wire."""

from __future__ import annotations

import string
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.errors import JobTypeError, JobValueError, WireError
from h5daq.flow.schema import (
    MAX_COLUMNS,
    MAX_ROW_BYTES,
    TIME,
    Column,
    Schema,
    check_group,
    check_label,
)

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", "c8", "c16", "S7"]

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
labels = st.text(string.ascii_letters + "_äµ ", min_size=1, max_size=12).filter(lambda s: s != TIME)
columns = st.builds(
    Column,
    labels,
    st.sampled_from(DTYPES).map(np.dtype),
    st.lists(st.integers(1, 4), max_size=3).map(tuple),
    texts,
    texts,
) | st.builds(Column, labels, st.just(np.dtype(object)), st.just(()), texts)
schemas = st.builds(
    Schema.of,
    st.lists(columns, max_size=6, unique_by=lambda c: c.label),
    st.sampled_from(["f8", "i8"]),
)

json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(schemas)
def test_a_schema_comes_back_equal_from_the_wire(schema: Schema) -> None:
    assert Schema.from_wire(schema.to_wire()) == schema
    assert Schema.from_wire(schema.to_wire()).fingerprint == schema.fingerprint


@given(schemas, st.data())
@settings(max_examples=200)
def test_a_damaged_schema_is_a_wire_error_or_a_schema(schema: Schema, data: Any) -> None:
    wire = schema.to_wire()
    column = data.draw(st.sampled_from(wire))
    column[data.draw(st.sampled_from(["label", "dtype", "shape", "unit", "desc"]))] = data.draw(
        json_like
    )
    with suppress(WireError):
        assert isinstance(Schema.from_wire(wire), Schema)


@given(json_like)
def test_anything_else_in_the_place_of_a_schema_is_a_wire_error(wire: object) -> None:
    with pytest.raises(WireError) as caught:
        Schema.from_wire(wire)
    assert caught.value.cause == "schema"


@pytest.mark.parametrize("dtype", ["<f16", "O", "<U4", "<M8[s]", "V8", ">f8", "f8", "i4,f8", "|S0"])
def test_a_dtype_off_the_list_is_refused_from_the_wire(dtype: str) -> None:
    wire = [*Schema.of([]).to_wire(), {"label": "a", "dtype": dtype, "shape": []}]
    with pytest.raises(WireError):
        Schema.from_wire(wire)


def test_dtypes_become_little_endian_and_strings_become_text() -> None:
    assert Column("a", np.dtype(">i2")).dtype.str == "<i2"
    assert Column("a", "f4").dtype == np.dtype("<f4")  # type: ignore[arg-type]
    assert Column("a", str).is_text  # type: ignore[arg-type]
    assert Column("a", "text").is_text  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["f16", "M8[s]", "V4", "nonsense", "i4,f8", "S0"])
def test_a_dtype_that_can_not_be_stored_is_a_type_error(dtype: str) -> None:
    with pytest.raises(JobTypeError):
        Column("a", dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(0,), (-1,), (2, 0), (1 << 40,), (1,) * 17, ("2",)])
def test_a_shape_that_is_no_row_is_refused(shape: tuple[Any, ...]) -> None:
    with pytest.raises(JobValueError):
        Column("a", np.dtype("f8"), shape)


@pytest.mark.parametrize("label", ["", ".", "..", "a/b", "a\0b", TIME, "x" * 256, "\ud800"])
def test_a_label_that_can_not_name_a_dataset_is_refused(label: str) -> None:
    with pytest.raises(JobValueError):
        check_label(label)


@pytest.mark.parametrize("group", ["", "/", "a//b", "a/./b", "..", "a/\0", "é" * 128, "a/" * 600])
def test_a_group_that_can_not_be_a_path_is_refused(group: str) -> None:
    with pytest.raises(JobValueError):
        check_group(group)


def test_a_group_loses_the_slashes_at_its_ends() -> None:
    assert check_group("/tank/line 1/T/") == "tank/line 1/T"


@pytest.mark.parametrize("check", [check_label, check_group])
def test_a_name_that_is_no_string_is_a_type_error(check: Any) -> None:
    with pytest.raises(JobTypeError):
        check(5)


def test_labels_must_differ_and_the_message_names_the_one_that_does_not() -> None:
    with pytest.raises(JobValueError, match="twin"):
        Schema.of([Column("twin", np.dtype("f8")), Column("twin", np.dtype("i2"))])


def test_time_comes_first_and_only_as_seconds_or_nanoseconds() -> None:
    with pytest.raises(JobValueError):
        Schema((Column("a", np.dtype("f8")),))
    with pytest.raises(JobValueError):
        Schema.of([], "f4")


def test_a_schema_knows_the_bytes_of_a_row() -> None:
    schema = Schema.of([Column("w", np.dtype("i2"), (3, 4)), Column("m", np.dtype(object))])
    assert schema.row_bytes == 8 + 24 + 8
    assert [c.label for c in schema.text] == ["m"]
    assert [c.label for c in schema.binary] == [TIME, "w"]


def test_a_row_that_no_message_can_hold_is_refused_with_the_number() -> None:
    with pytest.raises(JobValueError, match=str(MAX_ROW_BYTES)):
        Schema.of([Column("w", np.dtype("u1"), (MAX_ROW_BYTES,))])


def test_more_columns_than_a_job_may_have_are_refused() -> None:
    many = [Column(f"c{i}", np.dtype("u1")) for i in range(MAX_COLUMNS)]
    with pytest.raises(JobValueError, match=str(MAX_COLUMNS)):
        Schema.of(many)


def test_the_fingerprint_tells_schemas_apart() -> None:
    kelvin = Schema.of([Column("T", np.dtype("f8"), unit="K")])
    celsius = Schema.of([Column("T", np.dtype("f8"), unit="°C")])
    assert kelvin.fingerprint != celsius.fingerprint
    assert len(bytes.fromhex(kelvin.fingerprint)) == 8
