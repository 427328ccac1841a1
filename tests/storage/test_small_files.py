"""Files of slow jobs: what HDF5 needs for itself is kept small, and readers find it as it was."""

import h5py
import numpy as np
import pytest
from h5py import h5a, h5ds

from benchmarks.slow_floor import smallest_file
from h5daq.flow.schema import Column, Schema
from h5daq.storage.layouts.group_form import MOST_COMPACT, group_properties
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile
from h5daq.testing.layouts import check_rows, sample_batch

HEAD = FileHead(1, 0, 2, 0.0, 0.0, 100.0, "run", 1.0, 0.0, "1 days")
FLOAT = np.dtype("f8")
HEAP, PIECE = b"FRHP", b"OCHK"
"""How HDF5 marks a heap of links, and a header that is continued elsewhere."""


def job(name, columns, attrs=None):
    schema = Schema.of([Column(f"c{i}", FLOAT, unit="K") for i in range(columns)])
    return JobHead(name, schema, attrs or {}, period=1.0)


def written(path, jobs, rows=120, step=24):
    """A run file with a checkpoint each few rows."""
    run_file = RunFile.create(path, HEAD, durable=False, write_period=1.0)
    for first in range(0, rows, step):
        for each in jobs:
            run_file.append(each, sample_batch(each, first, step))
        run_file.checkpoint(first + 1)
    run_file.close()
    return path


def test_a_column_of_a_slow_job_costs_little_more_than_a_kilobyte_beside_its_rows(tmp_path):
    jobs = [job(f"job{j}", 8) for j in range(20)]
    path = written(tmp_path / "run.hdf5", jobs)
    with h5py.File(path) as file:
        stored = sum(d.id.get_storage_size() for each in jobs for d in file[each.job].values())
    assert path.stat().st_size - stored < 1100 * 9 * len(jobs)


def test_a_file_of_slow_jobs_is_a_tenth_larger_than_the_smallest_that_hdf5_can_make(tmp_path):
    path = written(tmp_path / "run.hdf5", [job(f"job{j}", 8) for j in range(20)])
    assert path.stat().st_size < 1.1 * len(smallest_file(path))


@pytest.mark.parametrize("attrs", [{}, {"place": "hall", "names": ["a", "b"], "x": 2.5}])
def test_no_header_is_continued_and_no_heap_made_for_the_links_of_a_job(tmp_path, attrs):
    few, more = (
        written(tmp_path / f"{n}.hdf5", [job("tank", n, attrs)]).read_bytes() for n in (1, 30)
    )
    assert more.count(HEAP) == few.count(HEAP)
    # One more where the global heap got its next block in between.
    assert more.count(PIECE) <= few.count(PIECE) + 1


@pytest.mark.parametrize("columns", [7, 8, MOST_COMPACT - 1, MOST_COMPACT, 3 * MOST_COMPACT])
def test_labels_are_found_in_their_order_however_many_they_are(tmp_path, columns):
    each = job("a/b", columns)
    with h5py.File(written(tmp_path / "run.hdf5", [each])) as file:
        assert list(file["a/b"]) == list(each.schema.labels)
        check_rows(file["a/b"], each, 120)
        time = file["a/b/time"]
        assert all(file["a/b"][f"c{i}"].dims[0][0] == time for i in range(columns))


@pytest.mark.parametrize("room", [None, 0, 1, 1000, 10**9])
def test_a_group_keeps_its_properties_whatever_room_it_has(tmp_path, room):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        made = h5py.h5g.create(file.id, b"made", gcpl=group_properties(room)).get_create_plist()
        both = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
        assert made.get_link_creation_order() == made.get_attr_creation_order() == both
        assert made.get_attr_phase_change() == (65535, 0)


def test_scales_are_attached_just_as_hdf5_itself_attaches_them(tmp_path):
    each = JobHead("tank", Schema.of([Column("T", FLOAT), Column("wave", FLOAT, (3, 2))]))
    with h5py.File(written(tmp_path / "run.hdf5", [each]), "r+") as file:
        tank = file["tank"]
        again = [file.create_dataset(f"again/{n}", tank[n].shape, "f8") for n in tank]
        again[0].make_scale("time")
        for dataset in again[1:]:
            dataset.dims[0].attach_scale(again[0])
        for ours, theirs in zip(tank.values(), again, strict=True):
            assert {*ours.attrs} > {*theirs.attrs}
            for name in theirs.attrs:
                assert_like(h5a.open(ours.id, name.encode()), h5a.open(theirs.id, name.encode()))
        assert all(h5ds.is_attached(tank[n].id, tank["time"].id, 0) for n in ("T", "wave"))
        scaled = [file[r].name for r, _ in tank["time"].attrs["REFERENCE_LIST"]]
        assert scaled == ["/tank/T", "/tank/wave"]


def assert_like(ours, theirs):
    assert ours.get_type().equal(theirs.get_type())
    assert ours.shape == theirs.shape
    assert ours.get_storage_size() == theirs.get_storage_size()


def test_another_program_can_attach_and_detach_scales_afterwards(tmp_path):
    with h5py.File(written(tmp_path / "run.hdf5", [job("tank", 2)]), "r+") as file:
        time, more = file["tank/time"], file.create_dataset("tank/more", (120,), "f8")
        more.dims[0].attach_scale(time)
        file["tank/c0"].dims[0].detach_scale(time)
        scaled = {file[r].name for r, _ in time.attrs["REFERENCE_LIST"]}
        assert scaled == {"/tank/c1", "/tank/more"}
        assert not file["tank/c0"].dims[0]


def test_the_smallest_file_holds_the_same_tree(tmp_path):
    path, small = written(tmp_path / "run.hdf5", [job("a/b", 3, {"n": 1})]), tmp_path / "small"
    small.write_bytes(smallest_file(path))
    with h5py.File(path) as ours, h5py.File(small) as theirs:
        nodes = {}
        ours.visititems(lambda name, node: nodes.update({name: node}))
        assert {*nodes} == {"a", "a/b", *(f"a/b/{n}" for n in ("time", "c0", "c1", "c2"))}
        for name, node in nodes.items():
            assert list(theirs[name].attrs) == list(node.attrs)
            if isinstance(node, h5py.Dataset):
                assert theirs[name].maxshape == (None,)
                np.testing.assert_array_equal(theirs[name], node)
