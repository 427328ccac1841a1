"""Rows in blocks: whatever their sizes, they are read from memory and files as they came."""

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from h5daq.flow.variables import Columns
from h5daq.flow.vaultwire import encode_columns
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.storage.layouts.datavault_head import DatasetHead
from h5daq.storage.layouts.waiting import Waiting
from h5daq.vault.tree import ROOT, Tree

from .served import EXTENDED, SIMPLE, Served

COLUMNS = Columns.simple(["f [GHz]"], ["S21", "phase"])


def table(start, count):
    """Rows of three floats that all differ."""
    return np.arange(3 * start, 3 * (start + count), dtype=float).reshape(count, 3)


def rows_of(floats):
    return np.ascontiguousarray(floats).view(COLUMNS.dtype).reshape(-1)


@given(st.lists(st.integers(-1, 5), max_size=12), st.integers(0, 30), st.integers(0, 30))
def test_what_waits_is_read_as_it_came_from_anywhere(sizes, start, stop):
    waiting, count = Waiting(COLUMNS.dtype), 0
    for size in sizes:
        if size < 0:
            waiting.append_row(table(count, 1).tobytes())
        else:
            block = table(count, size)
            waiting.append(np.asfortranarray(block) if size % 2 else rows_of(block))
        count += abs(size)
    assert waiting.count == count
    assert waiting.read(start, stop).tolist() == rows_of(table(0, count))[start:stop].tolist()


@pytest.fixture
def file(tmp_path):
    head = DatasetHead.new("scan", COLUMNS, extended=False, now=1.0)
    file = VaultFile.create(tmp_path / "a.hdf5", head, durable=False)
    yield file
    file.abort()


def test_chunks_and_what_is_no_full_chunk_are_written_and_read_alike(file):
    """The sizes begin and end before, at and behind the ends of chunks."""
    with h5py.File(file.path) as plain:
        chunk = plain["DataVault"].chunks[0]
    for size in (1, chunk - 1, chunk, 3 * chunk + 5, 2, 40 * chunk, chunk - 7, 1):
        file.append(np.asfortranarray(table(file.rows, size)))
        file.checkpoint(2.0)
        stop = file.rows
        for start in (0, stop - size, max(0, stop - size - 1), stop - 1, stop):
            assert file.read(start, stop).tolist() == rows_of(table(start, stop - start)).tolist()
    with h5py.File(file.path) as plain:
        assert plain["DataVault"][:].tolist() == rows_of(table(0, file.rows)).tolist()


def test_reading_goes_on_over_the_end_of_the_file_into_what_waits(file):
    file.append(table(0, 3000))
    file.checkpoint(2.0)
    file.append(table(3000, 10))
    assert file.read(2990, 3005).tolist() == rows_of(table(2990, 15)).tolist()


def test_no_rows_are_read_from_anywhere(file):
    file.append(table(0, 3000))
    file.checkpoint(2.0)
    with h5py.File(file.path) as plain:
        chunk = plain["DataVault"].chunks[0]
    for start in (0, 1, chunk, 3000):
        assert len(file.read(start, start)) == 0


def test_a_reader_that_holds_the_file_open_keeps_nobody_from_reading_on(file):
    with h5py.File(file.path):
        for start in (0, 700, 1400):
            file.append(table(start, 700))
            file.checkpoint(2.0)
            assert file.read(0, start + 700).tolist() == rows_of(table(0, start + 700)).tolist()
        assert file.pending
    assert file.apply_pending()
    assert file.read(0, 2100).tolist() == rows_of(table(0, 2100)).tolist()


def test_a_file_of_a_filter_or_another_dtype_is_written_and_read_by_hdf5(file, tmp_path):
    file.append(table(0, 10))
    file.checkpoint(2.0)
    file.close()
    with h5py.File(tmp_path / "a.hdf5", "r+") as plain:
        old, attrs = plain["DataVault"][:], dict(plain["DataVault"].attrs)
        del plain["DataVault"]
        made = plain.create_dataset(
            "DataVault", data=old.astype([(n, ">f8") for n in old.dtype.names]),
            maxshape=(None,), chunks=(4,), compression="gzip",
        )  # fmt: skip
        made.attrs.update(attrs)
    again = VaultFile.reopen(tmp_path / "a.hdf5", durable=False)
    again.append(table(10, 11))
    again.checkpoint(3.0)
    assert again.read(0, 21).tolist() == rows_of(table(0, 21)).tolist()
    again.close()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("verb", ["add", "add_ex_t", "table"])
def test_adds_that_are_alike_are_stored_as_the_first_one_was(tmp_path, verb, count):
    served, times = Served(tmp_path), 4
    client = served.client()
    client("new", name="scan", **SIMPLE)
    args = None
    for number in range(times):
        block = table(0, count)[:, :2] + 100 * number
        fields, frames = encode_columns([block] if verb == "table" else list(block.T.copy()))
        args = args or fields
        served.ask("anna", 1, "add" if verb == "table" else verb, args, frames)
    expected = np.concatenate([table(0, count)[:, :2] + 100 * n for n in range(times)])
    assert client.get(start_over=True)[0].tolist() == expected.tolist()
    adds = [record for record in served.records if record.verb == "add"]
    assert [hasattr(record, "parts") for record in adds] == [False, True, True, True]
    served.checkpoint()
    assert Tree(tmp_path).open(ROOT, 1).store.read(0, 99).tolist() == [*map(tuple, expected)]


def test_an_add_with_texts_is_checked_each_time(tmp_path):
    served = Served(tmp_path)
    client = served.client()
    client("new_ex", name="scan", **EXTENDED)
    for number in range(3):
        client.add([number], ["text"], [1j], [[1.0, 2.0, 3.0]], verb="add_ex_t")
    assert [record.verb for record in served.records] == ["new", "add", "add", "add"]
    assert client.get(verb="get_ex")[0].tolist() == [0, 1, 2]


def test_what_was_found_of_one_dataset_is_not_taken_for_another(tmp_path):
    """The same arguments fit the first dataset, and not the second."""
    served = Served(tmp_path)
    client = served.client()
    client("new", name="narrow", **SIMPLE)
    fields, frames = encode_columns([np.array([1.0]), np.array([2.0])])
    for _ in range(2):
        served.ask("anna", 1, "add", fields, frames)
    client("new", name="wide", independents=[["a", ""]], dependents=[["b", "", ""], ["c", "", ""]])
    with pytest.raises(Exception, match="3 columns are wanted, not 2"):
        served.ask("anna", 1, "add", fields, frames)
    client("open", name=1)
    with pytest.raises(Exception, match="open for reading"):
        served.ask("anna", 1, "add", fields, frames)
