"""`h5daq vault`, on a plain directory and with a writer that runs."""

import json

import numpy as np
import pytest

import h5daq
from h5daq.cli import main
from h5daq.flow.variables import Columns
from h5daq.testing.runs import ROWS, make_run
from h5daq.vault.tree import ROOT, Tree


@pytest.fixture
def tree(tmp_path):
    """A directory with a vault: one directory, and in it two datasets."""
    tree = Tree(tmp_path / "vault")
    tree.folders.root.mkdir()
    path, _ = tree.step(ROOT, "T1", create=True, now=0.0)
    scan = tree.new(path, "decay", Columns.simple(["t [us]"], ["P", "P"]), now=0.0)
    scan.store.append(scan.checked_rows([[1.0, 0.5, 0.25], [2.0, 0.4, 0.2]]))
    scan.store.add_parameters(scan.checked_parameters([("power", -20.0)])[0])
    scan.store.add_comments([scan.checked_comment("warm", "anna", 0.0)])
    scan.store.checkpoint(now=1.0)
    columns = Columns.extended(
        [("n", [1], "i", "")], [("wave", "", [2], "v", "V"), ("s", "", [1], "s", "")]
    )
    traces = tree.new(path, "traces", columns, extended=True, now=0.0)
    traces.store.append(traces.checked_rows_ex([(1, [0.5, 1.5], "a"), (2, [2.5, 3.5], "b")]))
    traces.store.checkpoint(now=1.0)
    tree.update_tags(path, "star", (), "00001 - decay", now=1.0)
    return tree.folders.root


def said(capsys, *words, code=0):
    assert main(["vault", *map(str, words)]) == code
    return capsys.readouterr().out


def test_ls_lists_directories_and_datasets_with_their_tags(tree, capsys):
    assert said(capsys, "ls", "--directory", tree).split() == ["T1/"]
    found = json.loads(said(capsys, "ls", "T1", "--directory", tree, "--json"))
    assert found["datasets"] == {"00001 - decay": ["star"], "00002 - traces": []}
    assert "decay" not in said(capsys, "ls", "T1", "--filter=-star", "--directory", tree)


def test_a_slash_within_a_name_is_written_as_ls_shows_it(tree, capsys):
    Tree(tree).step(ROOT, ["a/b", "c"], create=True, now=0.0)
    assert "a\\/b/" in said(capsys, "ls", "--directory", tree)
    assert said(capsys, "ls", "a\\/b", "--directory", tree).split() == ["c/"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("show", "T1"), "It is a directory"),
        (("ls", "T1/00001 - decay"), "It is a dataset"),
        (("show", "T1/00001 - deca"), "Did you mean '00001 - decay'"),
        (("ls", "T11"), "Did you mean 'T1'"),
        (("show", "T1/traces"), "Did you mean '00002 - traces'"),
    ],
)
def test_what_is_not_there_is_said_with_what_may_be_meant(tree, capsys, words, hint):
    assert main(["vault", *map(str, words), "--directory", str(tree)]) == 1
    assert hint in capsys.readouterr().err


def test_show_tells_columns_rows_parameters_and_comments(tree, capsys):
    text = said(capsys, "show", "T1/1", "--directory", tree)
    for words in ("00001 - decay  2 rows", "[us] (independent)", "power = -20.0", "anna: warm"):
        assert words in text
    shown = json.loads(said(capsys, "show", "T1/00002 - traces", "--directory", tree, "--json"))
    assert (shown["rows"], shown["last"]) == (2, [2, [2.5, 3.5], "b"])


def test_export_writes_csv_and_replaces_only_when_told(tree, capsys, tmp_path):
    target = tmp_path / "out.csv"
    said(capsys, "export", "T1/1", target, "--directory", tree)
    assert target.read_text().splitlines() == ["t,P (1),P (2)", "1.0,0.5,0.25", "2.0,0.4,0.2"]
    assert main(["vault", "export", "T1/2", str(target), "--directory", str(tree)]) == 1
    assert "--force" in capsys.readouterr().err
    said(capsys, "export", "T1/2", target, "--directory", tree, "--force")
    assert target.read_text().splitlines()[:2] == ["n,wave[0],wave[1],s", "1,0.5,1.5,a"]
    said(capsys, "export", "T1/2", tmp_path / "out.xls", "--directory", tree, code=2)


def test_export_writes_parquet(tree, capsys, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "out.parquet"
    said(capsys, "export", "T1/2", target, "--directory", tree)
    assert parquet.read_table(target).to_pydict()["wave"] == [[0.5, 1.5], [2.5, 3.5]]


def test_export_writes_netcdf(tree, capsys, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    target = tmp_path / "out.nc"
    said(capsys, "export", "T1/2", target, "--directory", tree)
    with xarray.open_dataset(target, group="00002 - traces", engine="h5netcdf") as found:
        assert found["wave"].values.tolist() == [[0.5, 1.5], [2.5, 3.5]]
        assert found["wave"].attrs["units"] == "V"


def test_export_keeps_the_dtypes_of_a_job(tmp_path, capsys):
    parquet = pytest.importorskip("pyarrow.parquet")
    make_run(tmp_path, files=1)
    said(capsys, "export", "tank/tank/T1", tmp_path / "out.parquet", "--directory", tmp_path)
    table = parquet.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("w").type) == "fixed_size_list<element: int16>[3]"
    assert table.num_rows == ROWS


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("show", "T1/9"), "Dataset 9 not found"),
        (("show", ""), "the root is no dataset"),
        (("ls", "T2"), "no directory"),
        (("comment", "T1/1", "x"), "no writer is running"),
    ],
)
def test_what_is_not_there_is_said(tree, capsys, words, text):
    assert main(["vault", *words, "--directory", str(tree)]) == 1
    assert text in capsys.readouterr().err


@pytest.mark.processes
def test_a_running_writer_takes_notes_and_is_followed(tmp_path, capsys):
    job = h5daq.DAQJob("idle", ["x"], lambda: None, read_period=1.0)
    where = "--directory", tmp_path
    with (
        h5daq.DAQDaemon([job], directory=tmp_path),
        h5daq.connect(directory=tmp_path) as client,
        client.vault(timeout=60.0) as vault,
    ):
        vault.cd("T1", create=True)
        vault.new("decay", ["t [us]"], ["P"])
        vault.add(np.arange(6.0).reshape(3, 2))
        assert "T1/" in said(capsys, "ls", *where)
        assert "warm" in said(capsys, "comment", "T1/1", "warm", "--user", "anna", *where)
        assert said(capsys, "tag", "T1/1", "star", "old", *where).split() == ["old,", "star"]
        assert json.loads(said(capsys, "tag", "T1", "^x", "--json", *where)) == ["x"]
        said(capsys, "param", "T1/1", "power", "-20.5", "--unit=dBm", *where)
        assert "power" in said(capsys, "param", "T1/1", *where)
        found = json.loads(said(capsys, "param", "T1/1", "power", "--json", *where))
        assert found == {"power": {"value": -20.5, "unit": "dBm"}}
        assert "3 rows" in said(capsys, "show", "T1/1", *where)
        lines = said(capsys, "tail", "T1/1", "--seconds", "0.1", "--json", *where)
        assert lines.splitlines() == ["[0.0, 1.0]", "[2.0, 3.0]", "[4.0, 5.0]"]
