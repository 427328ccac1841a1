"""Damage to a run file is found and named, whatever it hits; a whole file gives no findings."""

from __future__ import annotations

import os
import shutil

import h5py
import numpy as np
import pytest

import h5daq
from h5daq.files.verify import raw
from h5daq.files.verify.file import Options, check_file
from h5daq.files.verify.report import ERROR, NOTE, FileReport
from h5daq.files.verify.telling import Collected
from h5daq.flow.records import Noted
from h5daq.flow.variables import Columns
from h5daq.storage.layouts.run import RunFile
from h5daq.storage.layouts.run_comments import BESIDE
from h5daq.storage.lock import DirectoryLock
from h5daq.storage.redo import redo_path
from h5daq.testing.runs import JOB, ROWS, START, begin_file, make_run, rows_from
from h5daq.vault.tree import ROOT, Tree


def check(path, **options):
    report = FileReport(str(path))
    check_file(path, Collected(report), Options(**{"patience": 0.0, **options}))
    return report


def kinds(report):
    return {finding.kind for finding in report.findings}


def only(report, kind):
    (finding,) = [finding for finding in report.findings if finding.kind == kind]
    return finding


def place(path, dataset, number):
    with h5py.File(path) as file:
        info = file[dataset].id.get_chunk_info(number)
        return info.byte_offset, info.size


def flip(path, at, mask=0x40):
    data = bytearray(path.read_bytes())
    data[at] ^= mask
    path.write_bytes(data)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    make_run(folder)
    return folder


@pytest.fixture
def run(made, tmp_path):
    """A copy of a run of three files."""
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def path(run):
    return run / "DAQ_1.hdf5"


def test_a_whole_directory_gives_nothing(run):
    report = h5daq.verify(run)
    assert list(report.findings()) == []
    assert report.ok
    assert report.clean
    assert [(f.what, f.state, f.rows) for f in report.files] == [
        ("run file", "sealed", {"tank/T1": ROWS})
    ] * 3
    assert all(f.chunks == 5 * 3 for f in report.files)


@pytest.mark.parametrize("name", ["DAQ_1.hdf5", "DAQ_2.hdf5"], ids=["plain", "gzip"])
@pytest.mark.parametrize("number", [0, 2], ids=["full", "partial"])
@pytest.mark.parametrize("dataset", ["T", "w", "time"])
def test_a_flipped_byte_in_a_chunk_is_found_with_its_place(run, name, number, dataset):
    address, size = place(run / name, f"tank/T1/{dataset}", number)
    flip(run / name, address + size // 2)
    found = only(check(run / name), "chunk")
    assert (found.severity, found.where) == (ERROR, f"/tank/T1/{dataset}")
    assert f"from row {16 * number} on" in found.text
    assert f"at address {address:,}" in found.text
    assert found.mend


def test_quick_leaves_the_values_alone(path):
    flip(path, place(path, "tank/T1/T", 0)[0])
    report = check(path, quick=True)
    assert report.findings == []
    assert report.checked_bytes == 0


def test_every_byte_of_a_chunk_is_covered(path):
    address, size = place(path, "tank/T1/p", 1)
    whole = path.read_bytes()
    for at in range(address, address + size, 7):
        flip(path, at, 1)
        assert only(check(path), "chunk").where == "/tank/T1/p"
        path.write_bytes(whole)


def test_hdf5_has_the_last_word_on_a_checksum(path, monkeypatch):
    monkeypatch.setattr(raw, "_sum_is_right", lambda data: False)
    assert check(path).findings == []


@pytest.mark.parametrize("kept", [0, 4, 20, 47, 100, 0.3, 0.7, -1])
def test_a_cut_file_is_found_wherever_it_is_cut(path, kept):
    size = path.stat().st_size
    os.truncate(path, size + kept if kept < 0 else int(size * kept) if kept < 1 else kept)
    report = check(path)
    (found,) = report.findings
    assert found.severity == ERROR
    if kept in (100, 0.3, 0.7, -1):
        assert (found.kind, f"{size:,} bytes" in found.text) == ("cut", True)


@pytest.mark.parametrize("at", [0, 3, 8, 9, 20, 30, 45])
def test_a_damaged_superblock_is_told_as_such(path, at):
    flip(path, at)
    assert kinds(check(path)) == {"damaged"}


def test_a_damaged_object_header_names_the_object_and_the_rest_is_checked(path):
    with h5py.File(path) as file:
        at = h5py.h5o.get_info(file["tank/T1/p"].id).addr
    flip(path, at + 20)
    flip(path, place(path, "tank/T1/T", 0)[0])
    report = check(path)
    assert any(f.kind == "hdf5" and f.where == "/tank/T1/p" for f in report.findings)
    assert only(report, "chunk").where == "/tank/T1/T"


def test_a_file_whose_root_can_not_be_read_is_not_taken_for_another_programs(path):
    with h5py.File(path) as file:
        at = h5py.h5o.get_info(file.id).addr
    flip(path, at + 30)
    report = check(path)
    assert (report.what, report.ok) == ("unreadable", False)
    assert "foreign" not in kinds(report)


def test_columns_of_different_length_are_found(path):
    with h5py.File(path, "r+") as file:
        file["tank/T1/p"].resize((ROWS - 3,))
    found = only(check(path), "length")
    assert found.where == "/tank/T1"
    assert f"p has {ROWS - 3}" in found.text


@pytest.mark.parametrize("rows", [10 * ROWS, 2**62])
def test_rows_that_were_never_written_are_found(path, rows):
    with h5py.File(path, "r+") as file:
        file["tank/T1/time"].resize((rows,))
        file["tank/T1/s"].resize((rows,))
    report = check(path)
    assert {f.where for f in report.findings if f.kind in ("missing", "chunks")} == {
        "/tank/T1/time",
        "/tank/T1/s",
    }


@pytest.mark.parametrize(
    ("where", "name", "kind"),
    [
        ("/", "file_id", "attribute"),
        ("/", "journal_lsn", "attribute"),
        ("tank/T1", "signal", "nexus"),
        ("tank/T1/time", "units", "attribute"),
        ("tank/T1/p", "DIMENSION_LIST", "scale"),
        ("tank/T1/time", "REFERENCE_LIST", "scale"),
        ("tank/T1/T", "long_name", "attribute"),
    ],
)
def test_a_missing_attribute_is_found(path, where, name, kind):
    with h5py.File(path, "r+") as file:
        del file[where].attrs[name]
    report = check(path)
    assert kinds(report) == {kind}
    assert report.findings[0].where == "/" + where.strip("/")


@pytest.mark.parametrize(
    ("where", "name", "value", "kind"),
    [
        ("/", "file_start", "yesterday", "attribute"),
        ("/", "following_file_id", -1, "attribute"),
        ("/", "default", "nowhere", "nexus"),
        ("tank/T1", "signal", "gone", "nexus"),
        ("tank/T1", "auxiliary_signals", ["w"], "nexus"),
        ("tank/T1", "axes", ["p"], "nexus"),
        ("tank/T1", "lost_shape", -3, "attribute"),
        ("tank/T1/time", "units", "days", "units"),
    ],
)
def test_an_attribute_with_a_wrong_value_is_found(path, where, name, value, kind):
    with h5py.File(path, "r+") as file:
        file[where].attrs[name] = value
    assert kinds(check(path)) == {kind}


def test_swapped_times_are_found_with_their_row(path):
    with h5py.File(path, "r+") as file:
        times = file["tank/T1/time"]
        times[20], times[30] = times[30], times[20]
    found = only(check(path), "time-order")
    assert "first at row 21" in found.text
    assert "twice" in found.text or "2 times" in found.text


@pytest.mark.parametrize(("row", "shift", "kind"), [(0, -50.0, "early"), (-1, 100.0, "after")])
def test_times_outside_the_file_are_found(path, row, shift, kind):
    with h5py.File(path, "r+") as file:
        file["tank/T1/time"][row] += shift
    assert kinds(check(path)) == {f"time-{kind}"}


def test_rows_that_the_run_counted_as_late_may_go_back(run):
    path = run / "DAQ_2.hdf5"
    with h5py.File(path, "r+") as file:
        file["tank/T1/time"][5:7] = START + 50.0
        assert kinds(check_closed(file, path)) == {"time-early", "time-order"}
    with h5py.File(path, "r+") as file:
        file["tank/T1"].attrs["lost_late"] = 2
    assert kinds(check(path)) == {"late"}


def check_closed(file, path):
    file.close()
    return check(path)


# -- what the run itself recorded ----------------------------------------------------------------


def test_losses_restarts_and_an_interruption_are_notes(tmp_path):
    run_file = begin_file(tmp_path)
    restarts = [("tank/T1", START + 9.0, "killed by signal 9")]
    run_file.checkpoint(
        30, losses={"tank/T1": {"shape": 2, "late": 1}, "dead": {"getter": 7}}, restarts=restarts
    )
    run_file.seal(
        run_end=START + 60, file_end=START + 60, following_file_id=0, interrupted=True,
        new_path=tmp_path / "DAQ_1.hdf5",
    )  # fmt: skip
    report = check(tmp_path / "DAQ_1.hdf5")
    assert report.ok
    assert {f.severity for f in report.findings} == {NOTE}
    text = " ".join(f"{f.where}: {f.text}" for f in report.findings)
    assert "/tank/T1: 2 rows were lost since the run began: shape" in text
    assert "/dead: 7 rows were lost" in text
    assert "1 rows came after" in text
    assert "killed by signal 9" in text
    assert "not stopped in order" in text


# -- files that are not closed -------------------------------------------------------------------


def test_a_file_is_verified_while_it_is_recorded_and_is_not_in_the_way(tmp_path):
    with DirectoryLock(tmp_path):
        run_file = begin_file(tmp_path)
        report = check(run_file.path)
        assert (report.state, report.findings) == ("recording", [])
        run_file.append(JOB, rows_from(ROWS, 5, START))
        assert run_file.checkpoint(50).applied
        assert check(run_file.path).rows == {"tank/T1": ROWS + 5}
        run_file.close()


def left_alone(tmp_path):
    """What is left when the writer dies while a checkpoint waits for a reader."""
    run_file = begin_file(tmp_path)
    with h5py.File(run_file.path):
        run_file.append(JOB, rows_from(ROWS, 5, START))
        run_file.checkpoint(50)
        assert run_file.pending
        (tmp_path / "left").mkdir()
        for name in (run_file.path, redo_path(run_file.path)):
            shutil.copy(name, tmp_path / "left" / name.name)
    run_file.close()
    return tmp_path / "left" / run_file.path.name


def test_a_checkpoint_that_waits_names_the_command_that_brings_it_in(tmp_path):
    path = left_alone(tmp_path)
    report = check(path)
    assert {"pending", "unsealed"} <= kinds(report)
    assert only(report, "pending").mend == f"h5daq recover {path.parent}"
    h5daq.recover(path)
    assert kinds(check(path)) == set()


def test_a_checkpoint_that_is_applied_by_half_is_told_from_damage(tmp_path):
    path = left_alone(tmp_path)
    data = bytearray(path.read_bytes())
    data[8] = 0xFF
    path.write_bytes(data)
    found = only(check(path), "marked")
    assert found.mend == f"h5daq recover {path.parent}"
    redo_path(path).unlink()
    assert "not beside it" in only(check(path), "marked").text


def test_verifying_writes_nothing(tmp_path):
    path = left_alone(tmp_path)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in path.parent.iterdir()}
    h5daq.verify(path.parent)
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in path.parent.iterdir()} == before


def test_a_file_that_no_writer_has_and_that_was_not_sealed_is_told(tmp_path):
    run_file = begin_file(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "copy")
    run_file.close()
    assert kinds(check(tmp_path / "copy" / "DAQ_1.hdf5")) == {"unsealed"}


def test_a_reopened_file_is_whole(tmp_path):
    run_file = begin_file(tmp_path)
    run_file.close()
    again = RunFile.reopen(run_file.path, durable=False)
    again.append(JOB, rows_from(ROWS, 9, START))
    again.checkpoint(60)
    again.close()
    assert check(run_file.path).findings == []


# -- files of other programs ---------------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path):
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as file:
        file["contiguous"] = np.arange(1000)
        file["scalar"] = 3
        file["text"] = ["a", "b"]
        file["empty"] = h5py.Empty("f8")
        file.create_dataset("lzf", data=np.arange(100), compression="lzf", fletcher32=True)
        file.create_dataset("grid", data=np.ones((9, 9)), chunks=(4, 4), compression="gzip")
        file.create_dataset("pairs", data=np.zeros(3, dtype=[("a", "i4"), ("b", "f8")]))
        file["circle/back"] = file["/"]
        file["soft"] = h5py.SoftLink("/nowhere")
        file.create_dataset("objects", (2,), h5py.vlen_dtype("i4"), chunks=(1,))[0] = [1, 2]
    return path


def test_a_dataset_of_the_vault_is_no_damaged_run(tmp_path):
    columns = Columns.simple(["f [GHz]"], ["S21 [dB]"])
    dataset = Tree(tmp_path, durable=False).new(ROOT, "scan", columns, now=0.0, lsn=7)
    dataset.store.append(dataset.checked_rows([[1.0, 2.0]]))
    dataset.store.checkpoint(1.0, 8)
    dataset.store.close()
    report = check(dataset.store.path)
    assert not [finding for finding in report.findings if finding.severity != NOTE]
    assert "Data Vault" in only(report, "foreign").text


def test_a_foreign_file_is_named_as_such_and_checked(foreign):
    report = check(foreign)
    assert report.what == "foreign"
    assert kinds(report) == {"foreign"}
    assert report.ok
    assert report.chunks >= 1 + 9 + 2


@pytest.mark.parametrize(("dataset", "where"), [("lzf", "row 0"), ("grid", "index (4, 8)")])
def test_damage_to_a_foreign_file_is_found(foreign, dataset, where):
    number = 5 if dataset == "grid" else 0
    address, size = place(foreign, dataset, number)
    flip(foreign, address + size // 2)
    found = only(check(foreign), "chunk")
    assert (found.where, where in found.text) == (f"/{dataset}", True)


def test_what_is_no_hdf5_file_is_said(tmp_path):
    (tmp_path / "a.h5").write_text("hello")
    assert "no HDF5 file" in only(check(tmp_path / "a.h5"), "foreign").text
    assert only(check(tmp_path / "none.h5"), "file").severity == ERROR


@pytest.fixture
def noted(tmp_path):
    """A file with more comments about its job than their attributes hold."""
    file = begin_file(tmp_path)
    for number in range(4010):
        file.note(Noted(1, JOB.job, "comment", [START, "anna", f"{number}"]))
    file.note(Noted(1, JOB.job, "parameters", [["p", "data:"]]))
    file.checkpoint(20)
    end = {"run_end": START + 9, "file_end": START + 9, "following_file_id": 0}
    return file.seal(**end, new_path=tmp_path / "noted.hdf5")


def test_notes_about_jobs_are_nothing_to_complain_of(noted):
    assert not [finding for finding in check(noted).findings if finding.severity != NOTE]


@pytest.mark.parametrize("what", ["user", "beside"])
def test_comments_that_miss_a_part_are_found(noted, what):
    with h5py.File(noted, "r+") as file:
        if what == "user":
            del file[JOB.job].attrs["Comments.User"]
        else:
            next(iter(file[BESIDE].values()))["User"].resize((1,))
    assert only(check(noted), "comments").severity == ERROR
