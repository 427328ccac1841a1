"""Runs in the vault's tree, from their files alone, and names that can't be shared with them."""

import fcntl

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.errors import DirectoryExists, DirectoryNotFound, ReadOnly
from h5daq.flow.batch import Batch
from h5daq.flow.records import Noted
from h5daq.flow.rollover import stamp
from h5daq.flow.schema import Column, Schema
from h5daq.flow.variables import Columns
from h5daq.storage.latest import open_latest
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile
from h5daq.vault.labrad import to_data_url
from h5daq.vault.tree import ROOT, Tree

START = 1_790_000_000.0


@pytest.fixture
def make_run(tmp_path):
    """`make_run(number, *jobs)`: a file of a run, with jobs as (group, columns, values)."""

    def make(number, *jobs, run="r", name="cold", start=START, previous=0, notes=()):
        times = {"run_start": start, "file_start": start + number, "file_end": start + number + 1}
        head = FileHead(
            number, previous, 0, **times, name=name, write_period=1.0, write_period_jitter=0.0,
            rollover_interval="1 days", run_id=run,
        )  # fmt: skip
        file = RunFile.create(tmp_path / f"run-{number}.hdf5", head, durable=False)
        for group, columns, values in jobs:
            schema = Schema.of(columns)
            n = len(values[0])
            time = start + number + np.arange(n) / 16
            file.append(JobHead(group, schema), Batch(group, 1, 0, n, (time, *values)))
        for note in notes:
            file.note(Noted(number, *note))
        file.checkpoint(number)
        file.close()

    return make


def floats(*values):
    return [Column("T", np.dtype("f8"), unit="K", description="wall")], [np.array(values)]


def test_a_run_is_a_directory_and_its_files_are_one(make_run, tmp_path):
    make_run(1, ("tank/top", *floats(1.0, 2.0)), ("pump", *floats(9.0)))
    make_run(2, ("tank/top", *floats(3.0)), previous=1)
    vault = h5daq.Vault(tmp_path)
    assert vault.dir() == (["cold"], [])
    vault.cd("cold")
    assert vault.dir() == (["tank"], ["pump"])
    vault.cd("tank")
    assert vault.open(1) == "top"
    assert len(vault) == 3
    assert vault.get(limit=1)[:, 1].tolist() == [1.0]
    assert vault.get()[:, 1].tolist() == [2.0, 3.0]
    assert vault.variables() == ([("time", "s")], [("T", "wall", "K")])
    assert vault.row_type() == "*(v[s],v[K])"


def test_runs_of_one_name_stand_side_by_side_the_newest_without_a_date(make_run, tmp_path):
    for number in range(3):
        make_run(number + 1, ("a", *floats(number)), run=f"r{number}", start=START + 60 * number)
    make_run(9, ("a", *floats(9.0)), run="r9", name="")
    vault = h5daq.Vault(tmp_path)
    found = vault.dir()[0]
    assert found == ["cold", f"cold@{stamp(START)}", f"cold@{stamp(START + 60)}", "run"]
    values = []
    for name in found:
        vault.cd(["", name])
        vault.open("a")
        values += vault.get()[:, 1].tolist()
    assert values == [2.0, 0.0, 1.0, 9.0]


def test_columns_of_every_kind_come_with_the_dtypes_of_the_job(make_run, tmp_path):
    columns = [
        Column("flag", np.dtype("?")), Column("u", np.dtype("u8")), Column("f", np.dtype("f4")),
        Column("c", np.dtype("c8"), (2,), unit="V"), Column("text", str),
        Column("code", np.dtype("S3")), Column("codes", np.dtype("S2"), (2,)),
        Column("one", np.dtype("i2"), (1,), unit="mV"),
    ]  # fmt: skip
    values = [
        np.array([True, False]), np.array([2**64 - 1, 0], "u8"), np.array([0.5, 1.5], "f4"),
        np.array([[1j, 2], [3, 4]], "c8"), ["a", "ü"], np.array([b"x", b"yz"], "S3"),
        np.array([[b"a", b"bc"], [b"", b"d"]], "S2"), np.array([[7], [8]], "i2"),
    ]  # fmt: skip
    make_run(1, ("all", columns, values))
    vault = h5daq.Vault(tmp_path)
    vault.cd("cold")
    vault.open("all")
    assert vault.row_type() == "*(v[s],i,t,v[],*c[V]{2},s,s,*2i{2,2},i)"
    assert vault.variables_ex()[1][7] == ("one", "", (1,), "i", "mV")
    _, flag, u, f, c, text, code, codes, one = vault.get_ex_t()
    assert [x.dtype.str for x in (flag, u, f, c)] == ["|b1", "<u8", "<f4", "<c8"]
    assert u.tolist() == [2**64 - 1, 0]
    assert (text.tolist(), code.tolist(), one.tolist()) == (["a", "ü"], ["x", "yz"], [7, 8])
    assert codes[0].tobytes() == b"a\0bc"
    assert vault.get_ex(start_over=True)["f4"].shape == (2, 2)


def test_a_column_that_came_with_a_later_file_is_filled_before(make_run, tmp_path):
    make_run(1, ("a", *floats(1.0)))
    more = [*floats()[0], Column("n", np.dtype("i4"))]
    make_run(2, ("a", more, [np.array([2.0]), np.array([5], "i4")]), previous=1)
    vault = h5daq.Vault(tmp_path)
    vault.cd("cold")
    vault.open("a")
    np.testing.assert_array_equal(vault.get()[:, 1:], [[1.0, np.nan], [2.0, 5.0]])


def test_notes_are_joined_and_the_newest_tags_count(make_run, tmp_path):
    notes = [("a", "parameters", [["p", to_data_url(1)]]), ("a", "comment", [1.0, "anna", "x"])]
    make_run(1, ("a", *floats(1.0)), notes=[*notes, ("a", "tags", ["old"])])
    make_run(2, ("a", *floats(2.0)), previous=1,
             notes=[("a", "comment", [2.0, "ben", "y"]), ("a", "tags", [])])  # fmt: skip
    vault = h5daq.Vault(tmp_path)
    vault.cd("cold")
    vault.open("a")
    assert vault.parameters() == {"p": 1}
    assert [c.comment for c in vault.comments()] == ["x", "y"]
    assert vault.dir_tags(()) == ([], [("a", [])])


def test_directories_and_datasets_of_the_vault_don_t_take_the_place_of_runs(make_run, tmp_path):
    make_run(1, ("a", *floats(1.0)), name="fridge/cold")
    tree = Tree(tmp_path, durable=False)
    with pytest.raises(DirectoryExists):
        tree.mkdir(ROOT, "fridge", now=0.0)
    for path in (("", "fridge", "cold", "x"), ("", "fridge", "cold", "a", "x")):
        with pytest.raises(ReadOnly):
            tree.step(ROOT, path, create=True, now=0.0)
    with pytest.raises(ReadOnly):
        tree.new(("", "fridge", "cold"), "scan", Columns.simple(["x"], ["y"]), now=0.0)
    # Beside the run, in the directory above it, there is room.
    tree.step(ROOT, ("fridge", "warm"), create=True, now=0.0)
    tree.new(("", "fridge"), "scan", Columns.simple(["x"], ["y"]), now=0.0).store.close()
    vault = h5daq.Vault(tmp_path)
    vault.cd("fridge")
    assert vault.dir() == (["cold", "warm"], ["00001 - scan"])
    with pytest.raises(DirectoryNotFound):
        vault.cd(["cold", "b"])


def test_the_process_that_writes_a_file_sees_what_waits_for_a_reader(make_run, tmp_path):
    make_run(1, ("a", *floats(1.0)))
    path = tmp_path / "run-1.hdf5"
    columns, values = floats(2.0)
    head = JobHead("a", Schema.of(columns))
    run_file = RunFile.reopen(path, durable=False)
    with h5py.File(path) as reader:
        run_file.append(head, Batch("a", 1, 1, 1, (np.array([START]), *values)))
        run_file.checkpoint(2)
        assert run_file.pending
        assert reader["a/T"][:].tolist() == [1.0]
        with open_latest(path) as file:
            assert file["a/T"][:].tolist() == [1.0, 2.0]
            assert file.attrs["journal_lsn"] == 2
    run_file.close()
    with open_latest(path) as file:
        assert file["a/T"][:].tolist() == [1.0, 2.0]


def test_a_listing_opens_files_again_only_when_they_have_changed(make_run, tmp_path, monkeypatch):
    make_run(1, ("a", *floats(1.0)))
    Tree(tmp_path, durable=False).new(ROOT, "scan", Columns.simple(["x"], ["y"]), now=0.0)
    vault = h5daq.Vault(tmp_path)
    before = vault.dir()
    with monkeypatch.context() as patch:
        patch.setattr(h5py, "File", lambda *_args, **_more: pytest.fail("a file was opened"))
        assert vault.dir() == before == (["cold"], ["00001 - scan"])
    make_run(2, ("b", *floats(1.0)), run="s", name="warm")
    assert vault.dir() == (["cold", "warm"], ["00001 - scan"])
    (tmp_path / "run-1.hdf5").unlink()
    assert vault.dir() == (["warm"], ["00001 - scan"])


def test_a_run_that_was_busy_once_is_there_when_its_file_is_free(make_run, tmp_path, monkeypatch):
    make_run(1, ("a", *floats(1.0)))
    monkeypatch.setattr("h5daq.vault.runs._PATIENCE", 0.0)
    vault = h5daq.Vault(tmp_path)
    with open(tmp_path / "run-1.hdf5", "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert vault.dir() == ([], [])
    assert vault.dir() == (["cold"], [])
