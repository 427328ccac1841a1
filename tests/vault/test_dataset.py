"""Rows, variables, parameters and comments of one dataset, as the specification numbers its cases.

What the server adds (contexts, messages, codes) is in `test_service.py`; its latch alone is in
`tests/flow/test_latch.py`.
"""

import math
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import h5daq
from h5daq.errors import (
    BadArgument,
    BadData,
    BadParameter,
    DataVersionMismatch,
    ParameterInUse,
    ReadOnly,
)
from h5daq.flow.requests import ErrorCode
from h5daq.flow.variables import Columns, Variable, parse_dependent
from h5daq.vault.dataset import Cursor
from h5daq.vault.labrad import Quantity
from h5daq.vault.rows import from_columns, from_rows
from h5daq.vault.tree import ROOT, Tree

EXTENDED = Columns.extended(
    [("n", [1], "i", "")],
    [("t", "", [1], "t", ""), ("s", "", [1], "s", ""), ("v", "", [1], "v", "mV"),
     ("c", "", [1], "c", ""), ("w", "", [3], "v", "ns")],
)  # fmt: skip
ROW = (1, 2**40, "ünï", 0.5, 1 + 2j, [1.0, 2.0, 3.0])


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path, durable=False)


@pytest.fixture
def make(tree):
    """`make(columns, extended)`: a new dataset, and the cursor of who made it."""
    begun = []

    def new(columns, extended=False):
        begun.append(tree.new(ROOT, "t", columns, extended=extended, now=0))
        return begun[-1], Cursor(writing=True)

    yield new
    for dataset in begun:
        dataset.store.abort()


@pytest.fixture
def simple(make):
    return make(Columns.simple(["x"], ["y"]))


@pytest.fixture
def extended(make):
    return make(EXTENDED, extended=True)


@pytest.fixture
def floats_ex(make):
    return make(Columns.simple(["x"], ["y"]), extended=True)


@pytest.mark.parametrize("code", [code for code in ErrorCode if code < 100])
def test_errors_have_the_codes_that_were_declared(code):
    known = {getattr(h5daq, name) for name in h5daq.__all__}
    errors = [e for e in known if isinstance(e, type) and issubclass(e, h5daq.VaultError)]
    assert [e.__name__ for e in errors if e.code == code] == [
        code.wire_name.title().replace(" ", "")
    ]


# -- columns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a(b)(c)[d][e]", ("a", "b)(c", "d][e")), (" S21 mag (log) [dB] ", ("S21 mag", "log", "dB")),
     ("[V]", ("", "", "V")), ("x", ("x", "", "")), ("", ("", "", ""))],
)  # fmt: skip
def test_n5_a_text_names_label_legend_and_unit(text, parts):
    column = parse_dependent(text)
    assert (column.label, column.legend, column.unit) == parts
    assert parse_dependent(parts) == column


@pytest.mark.parametrize("columns", [([], ["y"]), (["x"], [])])
def test_n6_one_side_is_enough_and_none_is_refused(columns):
    assert len(Columns.simple(*columns).all) == 1
    with pytest.raises(BadArgument, match="at least one column"):
        Columns.simple([], [])


@pytest.mark.parametrize(
    "column",
    [("x", [1], "v[]", ""), ("x", [1], "w", ""), ("x", [1], "", ""), ("x", [1], "i", "V"),
     ("x", [1], "s", "V"), ("x", [1], "t", "s"), ("x", [2], "s", ""), ("x", [], "v", ""),
     ("x", [0], "v", ""), ("x", [-1], "v", ""), ("x", [2**40], "v", ""), ("x", "1", "v", ""),
     ("x\0", [1], "v", ""), (1, [1], "v", ""), ("x", [1], "v", None), ("x", [1], "v"), "x"],
)  # fmt: skip
def test_n7_n8_columns_that_are_none_are_refused(column):
    with pytest.raises(BadArgument):
        Columns.extended([column], [])


def test_r15_r16_r17_variables_and_types_are_told_as_the_original_does(extended):
    dataset, _ = extended
    assert dataset.row_type == "*(i,t,s,v[mV],c[],*v[ns]{3})"
    assert dataset.transpose_type == "(*i,*t,*s,*v[mV],*c[],*2v[ns]{N,3})"
    assert Variable("m", "", (1, 1), "c", "V").tag() == "*2c[V]{1,1}"
    assert Variable("m", "", (2, 3)).tag(transposed=True) == "*3v[]{N,2,3}"
    assert dataset.variables_ex()[1][-1] == ("w", "", (3,), "v", "ns")
    assert dataset.variables()[0] == [("n", "")]


# -- rows in -------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["simple", "floats_ex"])
def test_r1_add_takes_one_row_or_many(which, request):
    dataset, cursor = request.getfixturevalue(which)
    assert [dataset.add(cursor, rows) for rows in ([1, 2], [[3.0, 4], [5, 6]], np.eye(2))] == [
        1,
        2,
        2,
    ]
    assert dataset.get(Cursor()).tolist() == [[1, 2], [3, 4], [5, 6], [1, 0], [0, 1]]


@pytest.mark.parametrize(
    "rows", [[1], [1, 2, 3], [1, 2, 3, 4], [[1], [2]], [[[1, 2]]], 5, ["a", "b"], [1j, 2],
             [[1, 2], [3]], [None, 1], [True, False]],
)  # fmt: skip
def test_r2_add_of_what_is_no_row_of_floats_is_bad_data(simple, rows):
    dataset, cursor = simple
    with pytest.raises(BadData) as caught:
        dataset.add(cursor, rows)
    assert (caught.value.code, dataset.rows) == (8, 0)


def test_r3_rows_come_as_tuples_as_columns_and_as_arrays(extended):
    dataset, cursor = extended
    columns = [[value] for value in ROW]
    dataset.add_ex(cursor, [ROW, ROW])
    dataset.add_ex_t(cursor, columns)
    dataset.add_ex(cursor, dataset.get_ex(Cursor(), limit=1))
    assert dataset.rows == 4
    rows = dataset.get_ex(Cursor())
    assert len(set(map(repr, rows.tolist()))) == 1
    assert rows[0][2] == "ünï"


def test_r3_the_extended_verbs_work_on_a_simple_dataset(simple):
    dataset, cursor = simple
    dataset.add_ex(cursor, [(1, 2), (3, 4)])
    dataset.add_ex(cursor, np.array([[5, 6]]))
    dataset.add_ex_t(cursor, [np.array([7]), [8]])
    assert dataset.get(Cursor()).tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]


def test_r4_rows_need_a_dataset_that_is_open_for_writing(simple, tree):
    dataset, cursor = simple
    with pytest.raises(ReadOnly) as caught:
        dataset.add(Cursor(), [1, 2])
    assert caught.value.code == 7
    dataset.add_comment("but comments are welcome", now=0)
    with pytest.raises(ReadOnly):
        tree.open(ROOT, 1).add(cursor, [1, 2])


def test_r5_no_rows_are_no_error(simple, extended):
    for dataset, cursor in (simple, extended):
        assert dataset.add_ex(cursor, []) == 0
        assert dataset.add_ex_t(cursor, [[] for _ in dataset.columns.all]) == 0
    assert simple[0].add(simple[1], []) == simple[0].add(simple[1], np.zeros((0, 2))) == 0
    assert extended[0].get_ex(Cursor()).dtype == EXTENDED.dtype


def spoiled(k, value):
    return (*ROW[:k], value, *ROW[k + 1 :])


@pytest.mark.parametrize(
    ("k", "value"),
    [(0, 2**31), (0, -(2**31) - 1), (0, 1.7), (0, math.nan), (0, 2**70), (0, "1"), (0, None),
     (1, 2**63), (1, 2.0**63), (1, 0.5), (2, 1), (2, b"bytes"), (2, "nul\0"),
     (2, "\ud800"), (2, None), (2, ["a"]), (3, 1j), (3, "x"), (4, "x"), (5, [1.0, 2.0]), (5, 1.0),
     (5, [[1.0], [2.0], [3.0]])],
)  # fmt: skip
def test_r6_r7_a_value_that_does_not_fit_takes_the_whole_batch_with_it(extended, k, value):
    dataset, cursor = extended
    dataset.add_ex(cursor, [ROW])
    for add, batch in (
        (dataset.add_ex, [ROW, spoiled(k, value), ROW]),
        (dataset.add_ex_t, [[value] for value in spoiled(k, value)]),
    ):
        with pytest.raises(BadData) as caught:
            add(cursor, batch)
        assert (caught.value.code, dataset.rows) == (8, 1)
    assert dataset.columns.all[k].label in str(caught.value)


def test_r8_a_time_column_takes_integers_and_no_dates(extended):
    dataset, cursor = extended
    dataset.add_ex(cursor, [spoiled(1, 3660000000)])
    for date in (datetime(2020, 1, 1), np.datetime64("2020-01-01")):
        with pytest.raises(BadData):
            dataset.add_ex(cursor, [spoiled(1, date)])


def test_whole_floats_and_small_dtypes_fit_integer_columns():
    columns = Columns.extended([("i", [1], "i", ""), ("t", [1], "t", "")], [])
    given = [np.array([1.0, -2.0]), np.array([3, 4], "u1")]
    assert from_columns(columns, given).tolist() == [(1, 3), (-2, 4)]
    assert from_columns(columns, [[-(2.0**31)], [-(2.0**63)]]).tolist() == [(-(2**31), -(2**63))]


@pytest.mark.parametrize("rows", [[(1,)], [(1, 2, 3)], [(1, 2), (3,)], [1, 2], 5, "ab", [(1, "2")],
                                  np.zeros((2, 3)), np.zeros(2), [[1, [2]]]])  # fmt: skip
def test_r2_rows_of_another_length_or_kind_are_bad_data(rows):
    with pytest.raises(BadData):
        from_rows(Columns.simple(["x"], ["y"]), rows)


@pytest.mark.parametrize(
    "columns", [[[1]], [[1], [2], [3]], [[1, 2], [3]], [1, 2], "ab", None, 5, [None, None]]
)
def test_r3_columns_of_another_number_or_length_are_bad_data(columns):
    with pytest.raises(BadData):
        from_columns(Columns.simple(["x"], ["y"]), columns)


def test_rows_that_were_taken_are_the_vaults_own(simple, extended):
    table = np.ones((3, 2))
    simple[0].add(simple[1], table)
    columns = [np.repeat(value, 2) for value in ROW[:5]] + [np.ones((2, 3))]
    extended[0].add_ex_t(extended[1], columns)
    table[:], columns[5][:] = 9, 9
    page = simple[0].get(Cursor())
    page[:] = 7
    assert simple[0].get(Cursor()).tolist() == [[1, 1]] * 3
    assert extended[0].get_ex_t(Cursor())[5].tolist() == [[1, 1, 1]] * 2


# -- rows out ------------------------------------------------------------------------------------


def test_r9_get_goes_on_from_the_contexts_position(simple):
    dataset, cursor = simple
    dataset.add(cursor, [[k, k] for k in range(10)])
    reader = Cursor()
    assert [len(dataset.get(reader, limit)) for limit in (0, 3, 1, None, None, 5)] == [
        0,
        3,
        1,
        6,
        0,
        0,
    ]
    assert dataset.get(reader).shape == (0, 2)
    assert dataset.get(reader, 2, start_over=True).tolist() == [[0, 0], [1, 1]]
    assert dataset.unread(reader)
    with pytest.raises(BadArgument):
        dataset.get(reader, -1)
    assert reader.position == 2


def test_r11_get_is_for_floats_and_a_refusal_moves_only_who_starts_over(extended, floats_ex):
    dataset, cursor = extended
    dataset.add_ex(cursor, [ROW, ROW])
    reader = Cursor(position=1)
    for start_over, position in ((False, 1), (True, 0)):
        with pytest.raises(DataVersionMismatch) as caught:
            dataset.get(reader, None, start_over)
        assert (caught.value.code, reader.position) == (11, position)
    with pytest.raises(DataVersionMismatch):
        dataset.add(cursor, [1, 2, 3, 4, 5, 6])
    assert floats_ex[0].get(Cursor()).shape == (0, 2)


def test_r12_r13_r14_rows_and_columns_share_one_position_and_have_no_units(extended):
    dataset, cursor = extended
    dataset.add_ex(cursor, [ROW] * 5)
    reader = Cursor()
    assert len(dataset.get_ex(reader, 2)) == 2
    columns = dataset.get_ex_t(reader)
    assert [column.shape for column in columns] == [(3,)] * 5 + [(3, 3)]
    assert [column.dtype.kind for column in dataset.get_ex_t(reader)] == list("iiOfcf")
    assert [column.shape for column in dataset.get_ex_t(reader)] == [(0,)] * 5 + [(0, 3)]


def test_r12_r13_a_simple_dataset_has_rows_and_no_columns(simple):
    dataset, cursor = simple
    dataset.add(cursor, [1, 2])
    assert dataset.get_ex(Cursor()).tolist() == [[1, 2]]
    with pytest.raises(DataVersionMismatch, match="use get"):
        dataset.get_ex_t(Cursor())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 7)), max_size=12), st.data())
def test_r9_pages_over_waiting_and_stored_rows_are_the_rows_in_order(
    tmp_path_factory, limits, data
):
    tree = Tree(tmp_path_factory.mktemp("pages"), durable=False)
    dataset, n = tree.new(ROOT, "t", Columns.simple(["x"], []), now=0), 0
    reader, seen = Cursor(), []
    for limit in limits:
        for _ in range(data.draw(st.integers(0, 3))):
            dataset.add(Cursor(writing=True), [[n + k] for k in range(n % 4)])
            n += n % 4 or 1
        if data.draw(st.booleans()):
            dataset.store.checkpoint(1.0)
        page = dataset.get(reader, limit)
        seen += page[:, 0].tolist()
        assert limit is None or len(page) <= limit
        assert dataset.unread(reader) == (len(seen) < dataset.rows)
    assert seen == dataset.get(Cursor())[: len(seen), 0].tolist()
    dataset.store.close()


# -- parameters and comments ---------------------------------------------------------------------


def test_p1_p3_p4_parameters_are_unique_sorted_and_found_in_either_case(simple):
    dataset, _ = simple
    dataset.add_parameters([("case", 1), ("Case", "x"), ("b", Quantity(1.5, "mV"))])
    dataset.store.checkpoint(1.0)
    assert dataset.parameters() == ["Case", "b", "case"]
    assert dataset.get_parameter("case") == 1
    assert dataset.get_parameter("CASE", case_sensitive=False) == "x"
    assert dataset.get_parameters()["b"] == Quantity(1.5, "mV")
    for name, error, code in (("case", ParameterInUse, 10), ("CASE", BadParameter, 9)):
        with pytest.raises(error) as caught:
            (dataset.add_parameter(name, 2) if code == 10 else dataset.get_parameter(name))
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("bad", "error"),
    [(("a", 2), ParameterInUse), (("b", {}), BadArgument), (("\0", 1), BadArgument)],
)
def test_p2_parameters_before_the_first_that_fails_stay(simple, bad, error):
    dataset, _ = simple
    with pytest.raises(error):
        dataset.add_parameters([("a", 1), bad, ("z", 1)])
    assert dataset.get_parameters() == {"a": 1}
    dataset.add_parameters(())


def test_p6_large_values_and_strange_names_are_kept(simple, tree):
    dataset, _ = simple
    values = {"text": "x" * 70_000, "name with / slash & ünï": 1, "": 2,
              "array": np.arange(10**6, dtype="f8")}  # fmt: skip
    dataset.add_parameters(values.items())
    dataset.store.checkpoint(1.0)
    found = tree.open(ROOT, 1).get_parameters()
    assert np.array_equal(found.pop("array"), values.pop("array"))
    assert found == values


@pytest.mark.parametrize("name", ["nul\0", "\udc80", "x" * 40_000, 5])
def test_p6_names_that_hdf5_would_cut_are_refused(simple, name):
    with pytest.raises(BadArgument):
        simple[0].add_parameter(name, 1)


def test_m2_comments_are_read_from_the_contexts_position(simple):
    dataset, _ = simple
    for k in range(3):
        dataset.add_comment(f"comment {k}", "me", now=float(k))
    reader = Cursor()
    assert [len(dataset.get_comments(reader, limit)) for limit in (0, 2, None, None)] == [
        0,
        2,
        1,
        0,
    ]
    assert dataset.get_comments(reader, 1, start_over=True) == [(0.0, "me", "comment 0")]
    assert dataset.unread_comments(reader)
    with pytest.raises(BadArgument):
        dataset.add_comment("nul\0", now=0)
