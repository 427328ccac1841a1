"""The HDF5 format: what the original wrote is read, and what h5daq writes is the same.

Compared attribute by attribute with the golden files, with h5py and with h5dump.
"""

import contextlib
import errno
import re
import shutil
import subprocess

import h5py
import numpy as np
import pytest

from h5daq.errors import FileDamaged, StorageError
from h5daq.flow.variables import Columns, Variable
from h5daq.storage.disk import Disk
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.storage.layouts.datavault_head import DatasetHead
from h5daq.storage.layouts.datavault_read import VaultReader
from h5daq.vault.dataset import Cursor, Dataset
from h5daq.vault.labrad import to_data_url
from h5daq.vault.legacy import LegacyReader
from h5daq.vault.rows import from_columns

from .expected import GOLDEN, expectations, same, tagged

HDF5 = {name: one for name, one in expectations().items() if "hdf5" in one}
EVERY = expectations()


def golden_file(expected):
    return GOLDEN / (expected["file"] + ".hdf5")


def golden_columns(expected):
    independents, dependents = expected["variables_ex"]["independents"], expected["variables_ex"]
    return Columns.extended(independents, dependents["dependents"])


def columns_of(expected):
    """The rows of the expectation, column by column."""
    if "columns" in expected:
        return [tagged(column) for column in expected["columns"]]
    return list(np.array(expected["get"], dtype="f8").T)


@pytest.fixture(params=HDF5.values(), ids=HDF5)
def expected(request):
    return request.param


def write_like(expected, path, versions="server"):
    """A file by h5daq with the golden file's contents."""
    source, columns = VaultReader(golden_file(expected)), golden_columns(expected)
    head = DatasetHead.new(
        expected["title"], columns, extended="columns" in expected, now=1.5e9, versions=versions
    )
    file = VaultFile.create(path, head, durable=False)
    file.append(from_columns(columns, columns_of(expected)))
    file.add_parameters(source.parameters)
    file.add_comments(source.comments)
    file.checkpoint(1.6e9)
    file.close()


def anatomy(path):
    """Everything a reader of the format sees in a file, but for the times of its changes."""
    with h5py.File(path, "r") as file:
        dataset = file["DataVault"]
        found = {"root": sorted(file), "root attributes": attributes(file)}
        found |= {"type": described(dataset.id.get_type()), "shape": dataset.shape}
        found |= {"most": dataset.maxshape, "filters": dataset.id.get_create_plist().get_nfilters()}
        found |= {"rows": repr(dataset[:].tolist()), "attributes": attributes(dataset)}
    return found


def attributes(node):
    found = {}
    for name in node.attrs:
        attribute = node.attrs.get_id(name)
        value = None if name.endswith(" Time") else repr(node.attrs[name])
        space = attribute.get_space().get_simple_extent_type()
        found[name] = (described(attribute.get_type()), attribute.shape, space, value)
    return found


def described(kind):
    """An HDF5 type, as far as one can tell two apart."""
    if isinstance(kind, h5py.h5t.TypeCompoundID):
        members = range(kind.get_nmembers())
        return [(kind.get_member_name(k), described(kind.get_member_type(k))) for k in members]
    if isinstance(kind, h5py.h5t.TypeStringID):
        return ("text", kind.is_variable_str(), kind.get_cset(), kind.get_strpad())
    if isinstance(kind, h5py.h5t.TypeArrayID):
        return (kind.get_array_dims(), described(kind.get_super()))
    return kind.dtype.str


def test_f1_f2_f3_a_file_is_the_originals_attribute_by_attribute(expected, tmp_path):
    write_like(expected, tmp_path / "ours.hdf5")
    assert anatomy(tmp_path / "ours.hdf5") == anatomy(golden_file(expected))


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="needs h5dump, of hdf5-tools")
def test_f3_h5dump_sees_no_difference(expected, tmp_path):
    write_like(expected, tmp_path / "ours.hdf5")
    shutil.copy(golden_file(expected), tmp_path / "theirs.hdf5")
    dumps = []
    for name in ("ours.hdf5", "theirs.hdf5"):
        done = subprocess.run(["h5dump", tmp_path / name], capture_output=True, text=True)
        assert done.returncode == 0
        text = re.sub(r"(Time\" \{.*?\(0\): )[0-9.e+]+", r"\1now", done.stdout, flags=re.DOTALL)
        dumps.append(text.splitlines()[1:])
    assert dumps[0] == dumps[1]


@pytest.mark.parametrize("expected", EVERY.values(), ids=EVERY)
def test_o4_what_the_original_wrote_is_read(expected):
    name = expected["backing_files"][0]
    path = GOLDEN / name
    store = VaultReader(path) if name.endswith(".hdf5") else LegacyReader(path)
    dataset = Dataset(expected["name"], store)
    assert dataset.version == expected["version"]
    assert (dataset.row_type, dataset.transpose_type) == (
        expected["row_type"], expected["transpose_type"],
    )  # fmt: skip
    for verb in ("variables", "variables_ex"):
        for side, wanted in zip(getattr(dataset, verb)(), expected[verb].values(), strict=True):
            assert [[list(x) if isinstance(x, tuple) else x for x in one] for one in side] == wanted
    rows = dataset.get_ex(Cursor())
    found = [rows[name] for name in rows.dtype.names] if dataset.extended else list(rows.T)
    for values, wanted in zip(found, columns_of(expected), strict=True):
        assert same(values if values.dtype != object else values.tolist(), wanted)
    assert dataset.parameters() == expected["parameter_names_in_order"]
    for name, parameter in expected["parameters"].items():
        value = tagged(parameter["value"])
        assert same(dataset.get_parameter(name), np.nan if name == "nan" else value)
    comments = [tuple(comment.values()) for comment in expected["comments"]]
    assert [comment[1:] for comment in store.comments] == [comment[1:] for comment in comments]
    assert store.head.title == expected["title"]


@pytest.mark.parametrize(
    ("versions", "numbers"), [("guide", ([1, 0, 0], [2, 0, 0])), ("server", ([2, 0, 0], [3, 0, 0]))]
)
@pytest.mark.parametrize("extended", [False, True])
def test_g1_versions_are_the_guides_unless_asked_and_both_are_told_apart(
    tmp_path, versions, numbers, extended
):
    columns = Columns.simple(["x"], ["y"])
    head = DatasetHead.new("t", columns, extended=extended, now=0, versions=versions)
    VaultFile.create(tmp_path / "a.hdf5", head, durable=False).close()
    found = VaultReader(tmp_path / "a.hdf5").head
    assert list(found.version) == numbers[extended]
    assert (found.extended, found.columns) == (extended, columns)


@pytest.mark.parametrize("numbers", [[1, 0, 0], [2, 0, 0], [3, 0, 0]])
def test_g1_columns_that_are_no_floats_are_extended_whatever_the_number(tmp_path, numbers):
    columns = Columns.extended([("n", [1], "i", "")], [])
    head = DatasetHead.new("t", columns, extended=True, now=0)
    VaultFile.create(tmp_path / "a.hdf5", head, durable=False).close()
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        file.attrs["Version"] = np.array(numbers, "i4")
    assert VaultReader(tmp_path / "a.hdf5").head.extended


def test_f2_every_type_and_array_comes_back_over_several_checkpoints(tmp_path):
    shapes = [(1,), (3,), (2, 3), (1, 1)]
    arrays = [Variable(f"{kind}{shape}", "", shape, kind) for kind in "itvc" for shape in shapes]
    columns = Columns((), (*arrays, Variable("text", type="s")))
    rng = np.random.default_rng(1)
    rows = np.zeros(500, columns.dtype)
    for name, column in zip(rows.dtype.names, columns.all, strict=True):
        if column.type == "s":
            rows[name] = [f"{k} ünï" * (k % 3) for k in range(500)]
        else:
            rows[name] = rng.integers(-9, 9, rows[name].shape)
    file = VaultFile.create(
        tmp_path / "a.hdf5", DatasetHead.new("t", columns, extended=True, now=0), durable=False
    )
    for start in range(0, 500, 130):
        file.append(rows[start : start + 130])
        assert np.array_equal(file.read(0, 10**9), rows[: start + 130])
        if start != 130:
            file.checkpoint(1.0)
    assert np.array_equal(file.read(125, 300), rows[125:300])
    file.close()
    assert np.array_equal(VaultReader(tmp_path / "a.hdf5").read(0, 10**9), rows)
    assert VaultReader(tmp_path / "a.hdf5").head.columns == columns


def test_f4_files_of_python_2_are_read(tmp_path):
    old = h5py.string_dtype("ascii")
    write_like(HDF5["00001 - every scalar type"], tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        dataset = file["DataVault"]
        for name, text in (("Title", "Grüße"), ("Dependent0.label", "é")):
            dataset.attrs.create(name, text.encode(), dtype=old)
        dataset.attrs.create("Independent0.label", b"x", dtype="S5")
        kind = np.dtype([("Timestamp", "<f8"), ("User", old), ("Comment", old)])
        dataset.attrs.create("Comments", np.array([(1.0, "ü".encode(), b"c")], dtype=kind))
    reader = VaultReader(tmp_path / "a.hdf5")
    assert reader.head.title == "Grüße"
    assert reader.head.columns.dependents[0].label == "é"
    assert reader.head.columns.independents[0].label == "x"
    assert reader.comments == [Comment(1.0, "ü", "c")]


def test_an_originals_file_is_gone_on_with(golden, expected):
    """Rows, parameters and comments are added to a file with HDF5's old headers."""
    path = golden / (expected["file"] + ".hdf5")
    file = VaultFile.reopen(path, durable=False)
    before, count = file.rows, len(file.comments)
    file.append(file.read(0, 1))
    file.add_parameters({"new": "data:x"})
    file.add_comments([Comment(1.0, "me", f"no {k}") for k in range(3000)])
    file.checkpoint(1.7e9)
    file.close()
    reader = VaultReader(path)
    assert reader.rows == before + 1
    assert repr(reader.read(before, before + 1)) == repr(reader.read(0, 1))
    assert reader.parameters["new"] == "data:x"
    assert len(reader.comments) == count + 3000
    assert reader.comments[-1] == Comment(1.0, "me", "no 2999")


@pytest.mark.parametrize(
    "spoil", ["Version", "Title", "Independent0.datatype", "Independent0.label"]
)
def test_n4_o4_half_a_dataset_is_an_error_that_names_the_file(tmp_path, spoil):
    path = tmp_path / "00001 - half.hdf5"
    write_like(HDF5["00001 - simple scan"], path)
    with h5py.File(path, "r+") as file:
        del (file if spoil == "Version" else file["DataVault"]).attrs[spoil]
    with pytest.raises(FileDamaged, match=r"Data Vault.*00001 - half"):
        VaultReader(path)


def test_o7_a_file_that_the_originals_crash_left_is_an_error_that_names_it(golden):
    path = golden / "00001 - simple scan.hdf5"
    with h5py.File(path, "r") as file:
        header = h5py.h5o.get_info(file["DataVault"].id).addr
    with open(path, "r+b") as raw:
        raw.seek(header)
        raw.write(bytes(64))
    for read in (VaultReader, VaultFile.reopen):
        with pytest.raises(StorageError, match="simple scan"):
            read(path)


# -- comments --------------------------------------------------------------------------------------


def test_g2_g3_g4_g5_what_the_guide_leaves_open_is_as_the_original_has_it(tmp_path):
    columns = Columns.extended([("n", [1], "i", "")], [("w", "", [2, 3], "v", "")])
    head = DatasetHead.new("t", columns, extended=True, now=0)
    file = VaultFile.create(tmp_path / "x.hdf5", head, durable=False)
    file.add_parameters({"p": to_data_url(1.5)})
    file.checkpoint(1.0)
    file.close()
    with h5py.File(tmp_path / "x.hdf5") as found:
        attrs = found["DataVault"].attrs
        # A unit is there for each type; shapes are lists of lengths; counting begins at 0.
        assert (attrs["Independent0.unit"], attrs["Dependent0.unit"]) == ("", "")
        assert attrs["Independent0.shape"].tolist() == [1]
        assert attrs["Dependent0.shape"].tolist() == [2, 3]
        assert attrs["Param.p"].startswith("data:application/labrad;base64,")


@pytest.fixture
def file(tmp_path):
    columns = Columns.simple(["x"], ["y"])
    head = DatasetHead.new("t", columns, extended=False, now=0)
    with_comments = VaultFile.create(tmp_path / "c.hdf5", head, durable=False)
    yield with_comments
    with_comments.close()


def in_attribute(path):
    with h5py.File(path, "r") as file:
        return len(file["DataVault"].attrs["Comments"])


def test_m3_comments_have_no_limit_and_the_attribute_keeps_the_first(file):
    every = [Comment(float(k), "u", f"comment {k}") for k in range(5000)]
    for start in range(0, 5000, 400):
        file.add_comments(every[start : start + 400])
        file.checkpoint(1.0)
        assert file.comments == every[: start + 400]
    file.close()
    assert VaultReader(file.path).comments == every
    assert in_attribute(file.path) == 1600


def test_m1_m3_single_comments_are_in_the_attribute_and_waste_little_room(file):
    text = "ünï\nof forty characters or some more of them"
    for k in range(300):
        file.add_comments([Comment(float(k), "anonymous", text)])
        file.checkpoint(1.0)
    assert [comment.time for comment in VaultReader(file.path).comments] == list(range(300))
    assert in_attribute(file.path) >= 300 * 15 // 16 - 1
    file.close()
    assert in_attribute(file.path) == 300
    assert file.path.stat().st_size < 2 << 20


def test_m1_long_comments_and_empty_ones_come_back(file):
    every = [Comment(1.0, "", ""), Comment(2.0, "Jürgen 漢字", "x" * 100_000)]
    file.add_comments(every)
    file.checkpoint(1.0)
    assert VaultReader(file.path).comments == file.comments == every


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(12))
def test_a_checkpoint_that_fails_leaves_the_last_one_and_loses_nothing(file, monkeypatch, number):
    every = [np.full(40, k, dtype=[("f0", "<f8"), ("f1", "<f8")]) for k in range(3)]
    file.append(every[0].view(file.head.columns.dtype))
    file.checkpoint(1.0, lsn=1)
    file.append(every[1].view(file.head.columns.dtype))
    file.add_parameters({"a": "x"})
    file.add_comments([Comment(1.0, "u", "c" * 9000)])
    left = [number]

    def full(self, fd, offset, data, write=Disk.write):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, fd, offset, data)

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "write", full)
        with contextlib.suppress(StorageError):
            file.checkpoint(2.0, lsn=2)
    assert file.changed or number > 0
    if file.changed:
        assert (VaultReader(file.path).rows, file.lsn) == (40, 1)
    assert (file.rows, file.parameters, len(file.comments)) == (80, {"a": "x"}, 1)
    file.checkpoint(3.0, lsn=3)
    file.apply_pending()
    reader = VaultReader(file.path)
    assert reader.read(0, 99)["f0"].tolist() == [0.0] * 40 + [1.0] * 40
    assert (reader.parameters, reader.comments) == (file.parameters, file.comments)


def test_a_reader_that_holds_the_file_keeps_its_state_and_the_owner_goes_on(file):
    rows = np.ones(10, file.head.columns.dtype)
    file.append(rows)
    file.checkpoint(1.0)
    with h5py.File(file.path, "r") as held:
        file.append(rows)
        file.checkpoint(2.0)
        assert file.pending
        assert held["DataVault"].shape == (10,)
        assert len(file.read(0, 99)) == 20
    assert file.apply_pending()
    assert VaultReader(file.path).rows == 20
