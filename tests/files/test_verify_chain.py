"""The files of a run as a chain: what is missing, doubled, misplaced or turned round is named."""

from __future__ import annotations

import shutil

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.errors import StorageError
from h5daq.files import verify
from h5daq.files.verify.chain import check_chain
from h5daq.files.verify.report import ERROR, WARNING, FileReport
from h5daq.testing.runs import make_run


def link(file_id, previous, following, **changes):
    head = {
        "file_id": file_id, "previous_file_id": previous, "following_file_id": following,
        "run_id": "r", "run_start": 0.0, "file_start": 100.0 * file_id,
        "file_end": 100.0 * (file_id + 1), **changes,
    }  # fmt: skip
    return FileReport(f"/data/{file_id}.hdf5", "run file", "sealed", head=head)


def found(*links):
    check_chain(links)
    return {(file.head["file_id"], f.kind, f.severity) for file in links for f in file.findings}


def test_a_whole_chain_and_two_runs_beside_each_other_give_nothing():
    other = link(7, 0, 8, run_id="s"), link(8, 7, 0, run_id="s")
    assert found(link(1, 0, 2), *other, link(3, 2, 0), link(2, 1, 3)) == set()


def test_the_file_that_is_recorded_may_name_one_that_is_not_there_yet():
    newest = link(2, 1, 99)
    newest.state = "recording"
    assert found(link(1, 0, 2), newest) == set()


def test_a_file_that_is_missing_between_others_is_damage():
    assert found(link(1, 0, 2), link(3, 2, 4), link(4, 3, 0)) == {
        (1, "missing-file", ERROR),
        (3, "missing-file", ERROR),
    }


def test_a_file_that_is_missing_at_an_end_is_a_warning():
    assert found(link(2, 1, 3), link(3, 2, 4)) == {
        (2, "missing-file", WARNING),
        (3, "missing-file", WARNING),
    }


def test_a_fork_is_named_at_the_file_that_nobody_names():
    kinds = found(link(1, 0, 2), link(2, 1, 0), link(3, 1, 0))
    assert kinds == {(3, "fork", ERROR), (3, "chain", ERROR)}


def test_a_loop_is_told_once():
    kinds = found(link(1, 3, 2), link(2, 1, 3), link(3, 2, 1))
    assert {k for k in kinds if k[1] == "loop"} == {(1, "loop", ERROR)}


def test_a_file_that_follows_itself_is_a_loop():
    assert (1, "loop", ERROR) in found(link(1, 1, 1))


def test_a_neighbour_that_names_another_one_is_told():
    assert (1, "chain", ERROR) in found(link(1, 0, 2), link(2, 5, 0))


def test_neighbours_of_different_runs_are_told():
    assert found(link(1, 0, 2), link(2, 1, 0, run_id="s")) == {(1, "chain", ERROR)}


@pytest.mark.parametrize(("start", "severity"), [(50.0, ERROR), (150.0, WARNING)])
def test_a_file_that_begins_before_its_time_is_told(start, severity):
    kinds = found(link(1, 0, 2), link(2, 1, 0, file_start=start))
    assert kinds == {(1, "chain-order", severity)}


# -- with real files -----------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    make_run(tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "run").mkdir()


def told(paths):
    return {(f.path.rpartition("/")[2], x.kind) for f, x in h5daq.verify(paths).findings()}


def test_a_directory_without_its_middle_file_is_damaged(run):
    (run / "DAQ_2.hdf5").unlink()
    assert told(run) == {("DAQ_1.hdf5", "missing-file"), ("DAQ_3.hdf5", "missing-file")}


def test_files_that_a_run_begins_or_renames_meanwhile_are_checked_too(run, monkeypatch):
    late, first = run / "DAQ_3.hdf5", run / "DAQ_1.hdf5"
    late.rename(run.parent / "later")
    original = verify.check_in_child

    def meanwhile(files, **options):
        done = original(files, **options)
        if (run.parent / "later").exists():
            (run.parent / "later").rename(late)
            first.rename(run / "DAQ_first.hdf5")
        return done

    monkeypatch.setattr(verify, "check_in_child", meanwhile)
    report = h5daq.verify(run)
    assert report.clean
    assert {f.path.rpartition("/")[2] for f in report.files} == {
        "DAQ_2.hdf5", "DAQ_3.hdf5", "DAQ_first.hdf5",
    }  # fmt: skip


def test_a_single_file_is_not_asked_for_its_neighbours(run):
    assert told(run / "DAQ_2.hdf5") == set()


def test_a_copied_file_and_a_broken_chain_are_named(run):
    shutil.copy(run / "DAQ_3.hdf5", run / "DAQ_3-again.hdf5")
    with h5py.File(run / "DAQ_1.hdf5", "r+") as file:
        file.attrs["following_file_id"] = np.uint64(3)
    assert told([run / "DAQ_1.hdf5", str(run / "DAQ_[23]*.hdf5")]) == {
        ("DAQ_1.hdf5", "chain"),
        ("DAQ_2.hdf5", "chain"),
        ("DAQ_3.hdf5", "copy"),
    }


def test_what_is_not_there_is_an_error_and_no_report(tmp_path):
    for source in (tmp_path / "none.h5", str(tmp_path / "*.h5"), tmp_path / "run"):
        with pytest.raises(StorageError, match=r"no such file|no file named"):
            h5daq.verify(source)
