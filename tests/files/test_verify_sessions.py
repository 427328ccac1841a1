"""What a vault's directories remember is held against what is in them, and the mend is said."""

import pytest

from h5daq.files.verify import verify
from h5daq.files.verify.session import check_sessions
from h5daq.flow.variables import Columns
from h5daq.testing.runs import make_run
from h5daq.vault.tree import ROOT, Tree

XY = Columns.simple(["x"], ["y"])
A = ("", "a")


@pytest.fixture
def root(tmp_path):
    tree = Tree(tmp_path, durable=False)
    tree.make(A, 0.0)
    for title in ("one", "two"):
        tree.new(A, title, XY, now=0).store.close()
    tree.update_tags(A, "star", [], ["00001 - one"], now=0)
    return tmp_path


def findings(root):
    return [finding for report in check_sessions(root) for finding in report.findings]


def edit(root, old, new):
    file = root / "a.dir" / "session.ini"
    file.write_bytes(file.read_bytes().replace(old, new))


def test_directories_that_agree_with_their_files_give_no_findings(root):
    assert findings(root) == []
    report = verify(root)
    assert [file.path for file in report.files] == [
        str(root / "a.dir" / f"0000{n} - {title}.hdf5") for n, title in ((1, "one"), (2, "two"))
    ]
    assert report.ok


def test_a_counter_that_is_not_past_its_datasets_is_told_with_the_right_one(root):
    edit(root, b"counter = 3", b"counter = 2")
    report = verify(root)
    (finding,) = report.files[-1].findings
    assert (report.files[-1].path, finding.kind) == (str(root / "a.dir" / "session.ini"), "counter")
    assert "'00002 - two'" in finding.text
    assert "counter = 3" in finding.mend
    assert report.ok
    assert not report.clean
    Tree(root, durable=False).new(A, "three", XY, now=0).store.close()
    assert findings(root) == []


def test_tags_of_what_is_not_there_are_noted(root):
    (root / "a.dir" / "00001 - one.hdf5").unlink()
    (finding,) = findings(root)
    assert (finding.severity, finding.kind) == ("note", "tags")
    assert "00001 - one" in finding.text


def test_a_number_that_two_datasets_have_is_told(root):
    (root / "a.dir" / "00001 - one.hdf5").rename(root / "a.dir" / "00002 - one.hdf5")
    assert {finding.kind for finding in findings(root)} == {"number", "tags"}


@pytest.mark.parametrize("data", [b"\x00garbage", b"[File System]\r\ncounter = 3\r\n[Tags]\r\n"
                                  b"sessions = {}\r\ndatasets = {'a': open('x')}\r\n"])  # fmt: skip
def test_a_session_file_that_cannot_be_read_is_told(root, data):
    (root / "a.dir" / "session.ini").write_bytes(data)
    assert "session" in {finding.kind for finding in findings(root)}


def test_a_session_file_that_is_missing_is_told_where_there_was_one(root):
    (root / "a.dir" / "session.ini").unlink()
    (finding,) = findings(root)
    assert finding.kind == "no-session"
    assert not (root / "session.ini").exists()


def test_runs_may_be_tagged_like_directories(root):
    make_run(root)
    tree = Tree(root, durable=False)
    (run,) = set(tree.dir(ROOT)[0]) - {"a"}
    tree.update_tags(ROOT, "good", [run], [], now=0)
    assert findings(root) == []
