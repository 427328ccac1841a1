"""Datasets of two files, CSV and INI, which the original wrote in its first days."""

import math

import pytest

from h5daq.errors import BadArgument, FileDamaged, ReadOnly
from h5daq.vault.labrad import Quantity
from h5daq.vault.legacy import LegacyReader, parameter_value
from h5daq.vault.tree import Tree


@pytest.fixture
def old(golden):
    return golden / "legacy csv.dir" / "00001 - old style.csv"


def test_r18_g11_an_old_dataset_is_read_and_never_written(golden):
    tree = Tree(golden)
    dataset = tree.open(("", "legacy csv"), 1)
    assert (dataset.version, dataset.extended) == ("1.0.0", False)
    assert dataset.parameters() == ["b second", "a first", "txt"]
    with pytest.raises(BadArgument, match="only read"):
        tree.open(("", "legacy csv"), 1, writable=True)
    with pytest.raises(ReadOnly):
        dataset.add_comment("x", now=0)


def test_o4_of_two_kinds_the_old_one_counts(golden):
    place = golden / "legacy csv.dir"
    (place / "00001 - old style.hdf5").touch()
    tree = Tree(golden)
    assert tree.dir(("", "legacy csv"))[1] == ["00001 - old style"]
    for which in (1, "00001 - old style"):
        assert isinstance(tree.open(("", "legacy csv"), which).store, LegacyReader)


def test_f5_numbers_are_read_as_windows_spelled_them_and_half_a_line_is_not(old):
    old.write_bytes(b"1.#QNAN,-1.#INF,1.#INF0,-1.#IND\r\n1,2,3,4\r\n5,6,7")
    rows = LegacyReader(old).read(0, 9).tolist()
    assert repr(rows) == "[(nan, -inf, inf, nan), (1.0, 2.0, 3.0, 4.0)]"
    old.write_bytes(b"")
    assert LegacyReader(old).rows == 0
    old.unlink()
    assert LegacyReader(old).rows == 0


def test_f5_rows_that_come_later_are_seen(old):
    reader = LegacyReader(old)
    with open(old, "ab") as file:
        file.write(b"9,9,9,9\r\n")
    assert reader.rows == 4


@pytest.mark.parametrize("data", [b"1,2\r\n", b"1,2,3,x\r\n", b"1,2,3,4\r\n1,2\r\n"])
def test_f5_a_table_that_is_none_is_an_error_that_names_the_file(old, data):
    old.write_bytes(data)
    with pytest.raises(FileDamaged, match=r"old style\.csv"):
        LegacyReader(old).read(0, 1)


@pytest.mark.parametrize("data", [b"", b"[General]\r\n", b"rubbish", b"[General]\nindependent=x\n"])
def test_f5_an_ini_that_describes_nothing_is_an_error_that_names_the_file(old, data):
    old.with_suffix(".ini").write_bytes(data)
    with pytest.raises(FileDamaged, match=r"old style\.ini"):
        LegacyReader(old)


@pytest.mark.parametrize(
    ("text", "value"),
    [("Value(1.5, 'GHz')", Quantity(1.5, "GHz")), ("Value(1.5, None)", 1.5), ("10L", 10),
     ("Complex((1+2j), 'V')", Quantity(1 + 2j, "V")), ("(1, 'a', [2, 3])", (1, "a", [2, 3])),
     ("-1.#INF", -math.inf), ("__import__('os')", "__import__('os')"),
     ("T.Value(2, 'V')", Quantity(2, "V")),
     ("ValueArray(array([1., 2.]), 'V')", Quantity([1.0, 2.0], "V"))],
)  # fmt: skip
def test_f5_old_parameters_are_reprs_and_are_not_evaluated(text, value):
    assert parameter_value(text) == value
