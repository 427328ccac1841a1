"""What users give as rows, as columns: by type, and in stretches that fit into a message."""

import numpy as np
import pytest

from h5daq.errors import BadData
from h5daq.vaultclient.rows import as_array, from_columns, from_floats, from_rows, joined, pages


def test_tuples_structured_arrays_and_tables_become_columns():
    tuples = from_rows([(1, 2.5, "a", [1, 2]), (2, 3.5, "b", [3, 4])])
    assert [np.asarray(column).tolist() for column in tuples] == [
        [1, 2], [2.5, 3.5], ["a", "b"], [[1, 2], [3, 4]],
    ]  # fmt: skip
    table = np.array([(1, "a"), (2, "b")], dtype=[("n", "i4"), ("s", "O")])
    assert [list(column) for column in from_rows(table)] == [[1, 2], ["a", "b"]]
    assert [column.tolist() for column in from_rows(np.arange(4).reshape(2, 2))] == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    "given",
    [
        [(1, 2), (3,)],
        [(1, "a"), (2, 3)],
        [("a", 1), (2, 3)],
        [(1, object())],
        [(1, 2**70)],
        [(1, None)],
        5,
        [(1, [1, 2]), (2, [3])],
    ],
)
def test_what_is_no_rows_is_refused_in_words(given):
    with pytest.raises(BadData, match=r"\w+ \w+"):
        from_rows(given)


def test_columns_are_of_one_length():
    with pytest.raises(BadData, match="length"):
        from_columns([[1, 2], ["a"]])
    with pytest.raises(BadData, match="per column"):
        from_columns("ab")


def test_nothing_has_no_columns_and_a_table_without_rows_has_its_own():
    assert from_floats([]) == from_rows([]) == []
    assert from_floats(np.empty((0, 2)))[0].shape == (0, 2)


def test_a_long_text_among_many_takes_no_room_for_all():
    column = ["x"] * 100_000 + ["y" * 100_000]
    assert from_columns([column]) == [column]


def test_stretches_have_all_rows_in_order():
    columns = from_columns([np.arange(40_000), ["t"] * 40_000])
    stretches = list(pages(columns))
    assert len(stretches) == 4
    whole = joined(stretches)
    assert whole[0].tolist() == list(range(40_000))
    assert len(whole[1]) == 40_000


def test_what_came_in_a_message_is_copied_for_the_user():
    view = np.frombuffer(bytes(16))
    assert as_array(view).flags.writeable
