"""Files left open by a program that was killed, cut, scribbled on: what is whole is copied."""

import hashlib
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from h5daq.errors import FileBusy, FileDamaged, StorageError
from h5daq.files import salvage_link
from h5daq.files.mending import mend
from h5daq.files.salvage import salvage
from h5daq.storage.superblock import parse_superblock

pytestmark = pytest.mark.processes

WRITER = """
import sys, h5py, numpy as np
path, libver, swmr = sys.argv[1], sys.argv[2], sys.argv[3] == "swmr"
f = h5py.File(path, "w", libver=libver)
f.attrs["who"] = "me"
g = f.create_group("tank")
t = g.create_dataset("time", (0,), "f8", maxshape=(None,), chunks=(64,))
x = g.create_dataset("x", (0, 10), "f8", maxshape=(None, 10), chunks=(64, 10),
                     compression="gzip", shuffle=True, fletcher32=True)
x.attrs["units"] = "K"
f["name"] = np.arange(1000)
f.flush()
if swmr:
    f.swmr_mode = True
for n in range(10**6):
    for d in (t, x):
        d.resize(len(d) + 50, axis=0)
        d[-50:] = n
    if n % 5 == 4:
        f.flush()
    print(n, flush=True)
"""


def killed(path, libver, mode, batches=23):
    """A file whose writer was killed after so many batches of 50 rows."""
    command = [sys.executable, "-c", WRITER, str(path), libver, mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        while int(writer.stdout.readline()) < batches:
            pass
        writer.kill()
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns


@pytest.fixture
def whole(tmp_path):
    """A file with a bit of everything, closed in order."""
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w", libver="v110") as f:
        f.attrs["who"] = "me"
        f["run/time"] = np.arange(100.0)
        f["run/time"].make_scale("time")
        f.create_dataset("run/x", data=np.arange(1000).reshape(100, 10), chunks=(10, 10),
                         compression="gzip", fletcher32=True, fillvalue=-1)  # fmt: skip
        f["run/x"].dims[0].attach_scale(f["run/time"])
        f["run/x"].attrs["units"] = "K"
        f["run/x"].attrs["steps"] = np.array(["one", "two"], h5py.string_dtype())
        f["texts"] = ["a", "bcd", ""]
        f["compound"] = np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")])
        f["scalar"], f["again"] = 7, f["run/x"]
        f["soft"], f["outside"] = h5py.SoftLink("/run"), h5py.ExternalLink("other.h5", "/")
        f["enum"] = np.array([0, 1], h5py.enum_dtype({"NO": 0, "YES": 1}, "i1"))
        f["empty"] = h5py.Empty("f8")
        f["ref"] = 0
        f["ref"].attrs["to"] = f["run"].ref
    return path


def scribble(path, place, text=b"scribbled"):
    data = bytearray(path.read_bytes())
    data[place : place + len(text)] = text
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("libver", "mode"), [("latest", "swmr"), ("latest", "plain"), ("earliest", "plain")]
)
def test_what_a_killed_writer_had_flushed_is_in_the_copy(tmp_path, libver, mode):
    path = killed(tmp_path / "left.h5", libver, mode)
    before = digest(path)
    if libver == "latest":
        with pytest.raises(OSError), h5py.File(path, "r+"):
            pass
    found = salvage(path)
    assert digest(path) == before
    assert found.output == tmp_path / "left.salvaged.h5"
    with h5py.File(found.output, "r+") as copy:
        assert copy.attrs["who"] == "me"
        assert copy["name"][:].tolist() == list(range(1000))
        rows = copy["tank/time"][:]
        # Batches 0 to 19 were flushed; of what came later, chunks may be there and may not.
        assert len(rows) >= 1000
        assert rows[:1000].tolist() == [n // 50 for n in range(1000)]
        assert (copy["tank/x"][:1000] == rows[:1000, None]).all() or found.lost


def test_of_a_whole_file_the_copy_is_the_same_byte_by_byte(whole):
    found = salvage(whole)
    assert (found.lost, found.mended, found.rebuilt) == ([], [], False)
    assert found.output.read_bytes() == whole.read_bytes()
    assert (found.groups, found.datasets) == (1, 8)


def test_a_scribbled_chunk_is_filled_and_told_and_all_else_is_copied(whole, tmp_path):
    with h5py.File(whole) as f:
        place = f["run/x"].id.get_chunk_info(3)
    scribble(whole, place.byte_offset + 4)
    found = salvage(whole, tmp_path / "copy.h5")
    assert found.rebuilt
    ((name, what),) = found.lost
    assert name == "/again"  # by the first of its names
    assert what.startswith("1 of 10 chunks")
    with h5py.File(found.output) as copy:
        x = copy["run/x"][:]
        rows = [*range(30), *range(40, 100)]
        assert (x[rows] == np.arange(1000).reshape(100, 10)[rows]).all()
        assert (x[30:40] == -1).all()
        assert_same_but_data(copy, whole)


def assert_same_but_data(copy, path):
    with h5py.File(path) as f:
        assert set(copy) == set(f)
        assert dict(copy["run/x"].attrs.items()).keys() == dict(f["run/x"].attrs.items()).keys()
        assert copy["run/x"].attrs["steps"].tolist() == ["one", "two"]
        assert copy["run/x"].dims[0][0] == copy["run/time"]
        assert copy["run/x"].compression == "gzip"
        assert copy["again"] == copy["run/x"]
        assert copy["texts"].asstr()[:].tolist() == ["a", "bcd", ""]
        assert copy["compound"][0].tolist() == (1, 2.5)
        assert copy["scalar"][()] == 7
        assert h5py.check_enum_dtype(copy["enum"].dtype) == {"NO": 0, "YES": 1}
        assert copy["empty"].shape is None
        assert copy[copy["ref"].attrs["to"]] == copy["run"]
        assert isinstance(copy.get("soft", getlink=True), h5py.SoftLink)
        assert isinstance(copy.get("outside", getlink=True), h5py.ExternalLink)


def test_of_a_file_that_was_cut_what_is_left_is_copied(tmp_path):
    path = tmp_path / "cut.h5"
    with h5py.File(path, "w", libver="earliest") as f:
        f["small"] = np.arange(10)
        f["large"] = np.arange(100_000)
        place = f["large"].id.get_offset()
    os.truncate(path, place + 40_000 * 8)
    found = salvage(path)
    assert found.mended == ["480000 bytes were cut off its end"]
    with h5py.File(found.output) as copy:
        assert copy["small"][:].tolist() == list(range(10))
        assert copy["large"][:40_000].tolist() == list(range(40_000))
    ((name, what),) = found.lost
    assert (name, what.partition(",")[0]) == ("/large", "60000 of 100000 rows")


def test_a_lost_group_costs_what_is_in_it_and_no_more(whole):
    with h5py.File(whole) as f:
        place = h5py.h5o.get_info(f["run"].id).addr
    scribble(whole, place, b"X" * 40)
    found = salvage(whole)
    assert [name for name, _ in found.lost if name.startswith("/run")]
    with h5py.File(found.output) as copy:
        assert copy["texts"].asstr()[:].tolist() == ["a", "bcd", ""]
        assert (copy["again"][:] == np.arange(1000).reshape(100, 10)).all()


@pytest.mark.parametrize("libver", ["earliest", "v108", "v110"])
def test_a_mended_superblock_is_one_that_hdf5_takes(tmp_path, libver):
    path = tmp_path / "any.h5"
    with h5py.File(path, "w", libver=(libver, "v110"), userblock_size=512) as f:
        f["x"] = [1, 2, 3]
    with path.open("ab") as file:
        file.write(bytes(1000))
    mended = mend(path)
    assert parse_superblock(mended.offset, mended.raw.ljust(512)).end == path.stat().st_size
    assert len(mended.notes) == 1
    with h5py.File(salvage(path).output) as copy:
        assert copy["x"][:].tolist() == [1, 2, 3]


def test_a_reader_that_dies_or_hangs_costs_what_it_died_on(whole, monkeypatch):
    dies = """
import h5daq.files.salvage_reader as reader, os, time
chunk, rows = reader._Reader._chunk, reader._Reader.rows
def deadly(self, found, place, known):
    if place[0] == 50:
        os.abort()
    return chunk(self, found, place, known)
def hanging(self, path, first, n):
    if path == "/scalar":
        time.sleep(1000)
    return rows(self, path, first, n)
reader._Reader._chunk, reader._Reader.rows = deadly, hanging
reader._QUESTIONS["rows"] = hanging
reader.main()
"""
    monkeypatch.setattr(salvage_link, "READER", ["-c", dies])
    monkeypatch.setattr(salvage_link, "PATIENCE", 4.0)
    found = salvage(whole)
    lost = dict(found.lost)
    assert lost["/again"].startswith("1 of 10 chunks")
    assert "crashes" in lost["/again"]
    assert "does not come back" in lost["/scalar"]
    with h5py.File(found.output) as copy:
        assert (copy["run/x"][:50] == np.arange(500).reshape(50, 10)).all()
        assert (copy["run/x"][60:] == np.arange(600, 1000).reshape(40, 10)).all()
        assert copy["texts"].asstr()[1] == "bcd"


@pytest.mark.parametrize("data", [b"", b"no HDF5 at all" * 100, b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_what_is_no_hdf5_file_is_refused_and_leaves_no_copy(tmp_path, data):
    path = tmp_path / "any.h5"
    path.write_bytes(data)
    with pytest.raises(FileDamaged, match=str(path)):
        salvage(path)
    assert list(tmp_path.iterdir()) == [path]


def test_neither_a_copy_nor_a_file_in_use_is_ever_overwritten(whole, tmp_path):
    with pytest.raises(StorageError, match="there already"):
        salvage(whole, whole)
    with h5py.File(whole, "r+"), pytest.raises(FileBusy, match="another program"):
        salvage(whole)
    (tmp_path / ".whole.h5.redo").write_bytes(b"")
    with pytest.raises(FileBusy, match="pending"):
        salvage(whole)
