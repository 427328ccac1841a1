"""Run files: rows, attributes and the end, as plain h5py finds them."""

import errno
import json
import math
import os

import h5py
import numpy as np
import pytest

from h5daq.errors import FileBusy, FileDamaged, StorageError
from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column, Schema
from h5daq.storage.disk import Disk
from h5daq.storage.layouts import columns, sealing
from h5daq.storage.layouts.attributes import attribute_value
from h5daq.storage.layouts.run import FileHead, JobHead, RunFile
from h5daq.storage.transaction import recover
from h5daq.testing.layouts import check_rows, sample_batch

START = 1_790_000_000.0
TANK = Schema.of([
    Column("T", np.dtype("f8"), unit="K", description="wall temperature"),
    Column("n", np.dtype("i4")),
    Column("P", np.dtype("f8"), unit="mbar"),
])  # fmt: skip
WAVES = Schema.of([Column("wave", np.dtype("f4"), (5,)), Column("cov", np.dtype("f8"), (2, 2))])
ALL = [np.dtype(d) for d in ("?", "i1", "u2", "i8", "u8", "f2", "f4", "f8", "c8", "c16", "S4")]
KINDS = Schema.of([*(Column(d.str, d) for d in ALL), Column("text", str)], "i8")


def head(**changes):
    values = {
        "file_id": 2**64 - 1,
        "previous_file_id": 3,
        "following_file_id": 4,
        "run_start": START,
        "file_start": START,
        "file_end": START + 100.0,
        "name": "run",
        "write_period": 1.0,
        "write_period_jitter": 0.5,
        "rollover_interval": "1 days",
    }
    return FileHead(**(values | changes))


def job(name="tank", schema=TANK, **changes):
    return JobHead(name, schema, **({"period": 0.5} | changes))


def create(tmp_path, **options):
    return RunFile.create(tmp_path / "run.hdf5", options.pop("head", head()), **options)


def written(tmp_path, *jobs, rows=7, **options):
    run_file = create(tmp_path, **options)
    for each in jobs or [job()]:
        run_file.append(each, sample_batch(each, 0, rows))
    run_file.checkpoint(1)
    run_file.close()
    return tmp_path / "run.hdf5"


# -- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", [TANK, WAVES, KINDS], ids=["tank", "waves", "kinds"])
@pytest.mark.parametrize(
    "compression",
    [None, {"compression": "gzip", "compression_opts": 1, "shuffle": True}, {"compression": "lzf"}],
    ids=["plain", "gzip", "lzf"],
)
def test_all_rows_are_there_after_checkpoints_and_reopening(tmp_path, schema, compression):
    tank, run_file, count = job("a/b", schema, chunk_length=8), None, 0
    for n in (3, 20, 1, 8, 5, 16):
        options = {"compression": compression, "durable": False}
        if run_file is None or n == 8:
            path = tmp_path / "run.hdf5"
            if run_file is not None:
                run_file.close()
                run_file = RunFile.reopen(path, **options)
            else:
                run_file = create(tmp_path, **options)
        run_file.append(tank, sample_batch(tank, count, n))
        count += n
        run_file.checkpoint(count)
        with h5py.File(path) as file:
            check_rows(file["a/b"], tank, count)
            assert {len(file["a/b"][label]) for label in schema.labels} == {count}
            assert file.attrs["journal_lsn"] == count
    run_file.close()


def test_a_full_chunk_is_written_once_and_rows_wait_for_the_checkpoint(tmp_path, monkeypatch):
    chunks = []
    original = h5py.h5d.DatasetID.write_direct_chunk

    def counted(self, file, index, chunk):
        chunks.append((self.column.label, index))
        self.extend(file, self._filler.rows)
        original(self.open(file), (index * 4,), chunk)

    monkeypatch.setattr(columns.BinaryColumn, "write_encoded", counted)
    run_file, tank = create(tmp_path), job(chunk_length=4)
    for first in range(0, 12, 3):
        run_file.append(tank, sample_batch(tank, first, 3))
    assert sorted(chunks) == sorted((c, i) for c in TANK.labels for i in range(3))
    run_file.checkpoint(1)
    assert len(chunks) == 12
    run_file.close()


@pytest.mark.parametrize("compression", [None, {"compression": 1}, {"shuffle": True}])
def test_large_chunks_go_through_other_threads_and_come_in_order(tmp_path, compression):
    run_file = create(tmp_path, compression=compression)
    blocks = np.random.default_rng(1).integers(0, 99, (40, 1 << 17), "i2")
    schema = Schema((Column("time", np.dtype("<f8")), Column("y", np.dtype("<i2"), (1 << 17,))))
    wave = job("wave", schema, chunk_length=1)
    for first in range(0, 40, 8):
        times = np.arange(first, first + 8.0)
        run_file.append(wave, Batch("wave", 1, first, 8, (times, blocks[first : first + 8])))
    run_file.checkpoint(1)
    run_file.close()
    with h5py.File(tmp_path / "run.hdf5") as file:
        np.testing.assert_array_equal(file["wave/y"][:], blocks)


def test_a_full_disk_is_said_and_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    run_file, tank = create(tmp_path), job(chunk_length=10_000)
    run_file.append(tank, sample_batch(tank, 0, 6))
    run_file.checkpoint(1)

    def full(self, fd, offset, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Disk, "write", full)
        with pytest.raises(StorageError) as error:
            run_file.append(tank, sample_batch(tank, 6, 200_000))
        run_file.abort()
    assert error.value.errno == errno.ENOSPC
    with h5py.File(tmp_path / "run.hdf5") as file:
        check_rows(file["tank"], tank, 6)


def test_what_no_checkpoint_holds_is_gone_after_abort(tmp_path):
    run_file, tank = create(tmp_path), job(chunk_length=4)
    run_file.append(tank, sample_batch(tank, 0, 6))
    run_file.checkpoint(1)
    run_file.append(tank, sample_batch(tank, 6, 60))
    run_file.abort()
    again = RunFile.reopen(tmp_path / "run.hdf5")
    assert (again.rows("tank"), again.lsn, again.file_id) == (6, 1, 2**64 - 1)
    assert again.last_time == 5.0
    again.append(tank, sample_batch(tank, 6, 3))
    again.checkpoint(2)
    again.close()
    with h5py.File(tmp_path / "run.hdf5") as file:
        check_rows(file["tank"], tank, 9)


def test_the_rest_of_a_partial_chunk_is_the_fill_value(tmp_path):
    path = written(tmp_path, job(chunk_length=10))
    with h5py.File(path, "r+") as file:
        file["tank/T"].resize((10,))
        assert np.isnan(file["tank/T"][7:]).all()
        assert np.isnan(file["tank/T"].fillvalue)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_hdf5_can_not_hold_is_refused_before_any_column_grows(tmp_path, text):
    note = job("log", Schema.of([Column("text", str)]))
    run_file = create(tmp_path)
    run_file.append(note, sample_batch(note, 0, 2))
    with pytest.raises(ValueError, match=r"NUL|surrogates"):
        run_file.append(note, Batch("log", 1, 2, 1, (np.array([START]), [text])))
    assert run_file.rows("log") == 2
    run_file.checkpoint(1)
    run_file.close()


def test_other_columns_of_a_known_job_are_refused(tmp_path):
    written(tmp_path)
    run_file = RunFile.reopen(tmp_path / "run.hdf5")
    for schema in (Schema(TANK.columns[:2]), Schema.of([Column("T", np.dtype("f4"))]), WAVES):
        changed = job("tank", schema)
        with pytest.raises(ValueError, match=r"labels|columns"):
            run_file.append(changed, sample_batch(changed, 0, 1))
    run_file.close()


def test_a_job_below_a_dataset_is_refused(tmp_path):
    run_file = create(tmp_path)
    run_file.append(job(), sample_batch(job(), 0, 1))
    with pytest.raises(ValueError, match="'/tank/T' is a dataset"):
        run_file.append(job("tank/T/x"), sample_batch(job(), 0, 1))
    run_file.close()


def test_jobs_nest(tmp_path):
    path = written(tmp_path, job("a/b"), job("a"), job("a/b/c", WAVES))
    with h5py.File(path) as file:
        check_rows(file["a"], job(), 7)
        check_rows(file["a/b/c"], job("", WAVES), 7)


def test_many_small_texts_share_their_heap(tmp_path):
    note = job("log", Schema.of([Column("text", str)]))
    run_file = create(tmp_path, durable=False)
    for first in range(200):
        run_file.append(note, sample_batch(note, first, 1))
        run_file.checkpoint(first + 1)
    assert run_file.size_bytes < 40_000
    run_file.close()
    with h5py.File(tmp_path / "run.hdf5") as file:
        check_rows(file["log"], note, 200)


def test_slow_jobs_leave_a_file_of_the_size_of_their_rows(tmp_path):
    run_file, tank = create(tmp_path, durable=False, write_period=1.0), job(period=0.01)
    pages = []
    for second in range(100):
        run_file.append(tank, sample_batch(tank, 100 * second, 100))
        pages.append(run_file.checkpoint(second + 1).pages)
    assert run_file.size_bytes < 1.3 * 10_000 * TANK.row_bytes
    assert max(pages[1:]) < 8 * len(TANK.columns)
    run_file.close()


# -- attributes ---------------------------------------------------------------------------------


def test_the_root_says_what_the_lineage_says(tmp_path):
    attrs = {"operator": "Zoë", "name": "taken", "tags": ["a", "b"], "gains": [1, 2.5]}
    with h5py.File(written(tmp_path, head=head(attrs=attrs))) as file:
        found = dict(file.attrs)
    assert found["file_id"] == 2**64 - 1
    assert (found["previous_file_id"], found["following_file_id"]) == (3, 4)
    assert (found["run_start"], found["file_start"]) == (START, START)
    assert math.isnan(found["run_end"])
    assert (found["write_period"], found["write_period_jitter"]) == (1.0, 0.5)
    assert (found["name"], found["user_name"], found["operator"]) == ("run", "taken", "Zoë")
    assert found["rollover_interval"] == "1 days"
    assert found["tags"].tolist() == ["a", "b"]
    assert found["gains"].tolist() == [1.0, 2.5]
    assert found["layout_version"] == 1


ODD = [None, True, -(2**63), 2**64 - 1, 2**70, 1.5, 1 + 2j, "", "a\0b", "\ud800", b"", b"\0\1",
       [], [1, 2], [True, 1.5], [1, 2**70], ["a", 1], [[1, 2], [3]], [None], {"a": [1]},
       np.arange(3), np.float32(2), np.array(["a"]), "x" * 100_000]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=lambda v: repr(v)[:20])
def test_any_attribute_can_be_written_and_read(tmp_path, value):
    path = written(tmp_path, job(attrs={"odd": value}), head=head(attrs={"odd": value}))
    with h5py.File(path) as file:
        assert repr(file.attrs["odd"]) == repr(file["tank"].attrs["odd"])
    assert json.dumps(repr(attribute_value(value)))


def test_losses_and_restarts_stand_with_their_job(tmp_path):
    run_file = create(tmp_path)
    run_file.append(job(), sample_batch(job(), 0, 2))
    lost = {"tank": {"shape": 3, "late": 0}, "mute": {"overflow": 7}}
    run_file.checkpoint(1, losses=lost, restarts=[("tank", START + 5, "died: signal 9")])
    assert run_file.checkpoint(2, losses=lost).pages == 0
    lost["tank"]["shape"] = 4
    run_file.checkpoint(3, losses=lost)
    run_file.close()
    with h5py.File(tmp_path / "run.hdf5") as file:
        tank = file["tank"].attrs
        assert tank["lost_shape"] == 4
        assert "lost_late" not in tank
        assert tank["restart_times"].tolist() == [START + 5]
        assert tank["restart_causes"].tolist() == ["died: signal 9"]
        assert file["mute"].attrs["lost_overflow"] == 7


def test_jumps_of_the_clock_stand_with_their_job_and_the_newest_are_kept(tmp_path):
    run_file = create(tmp_path)
    run_file.append(job(), sample_batch(job(), 0, 2))
    jumps = [[START + 1, 3600.0], [START + 2, -3600.0]]
    run_file.checkpoint(1, jumps={"tank": jumps[:1]})
    run_file.checkpoint(2, jumps={"tank": jumps})
    assert run_file.checkpoint(3, jumps={"tank": jumps}).pages == 0
    with h5py.File(tmp_path / "run.hdf5") as file:
        assert file["tank"].attrs["clock_jumps"].tolist() == jumps
    many = [[START + k, 1.0] for k in range(10_000)]
    run_file.checkpoint(4, jumps={"tank": many})
    run_file.close()
    with h5py.File(tmp_path / "run.hdf5") as file:
        assert file["tank"].attrs["clock_jumps"][-1].tolist() == many[-1]


def test_groups_and_labels_keep_their_order(tmp_path):
    labels = [f"z{i}" for i in range(20, 0, -1)]
    many = job("many", Schema.of([Column(label, np.dtype("f8")) for label in labels]))
    with h5py.File(written(tmp_path, job("z"), many, job("a"))) as file:
        assert list(file) == ["z", "many", "a"]
        assert list(file["many"]) == ["time", *labels]


# -- the end ------------------------------------------------------------------------------------


def seal(run_file, tmp_path, **changes):
    options = {"run_end": START + 7, "file_end": START + 7, "following_file_id": 0,
               "new_path": tmp_path / "last.hdf5"}  # fmt: skip
    return run_file.seal(**(options | changes))


def test_a_sealed_file_is_complete_and_has_its_last_name(tmp_path):
    run_file = create(tmp_path)
    run_file.append(job(), sample_batch(job(), 0, 5))
    assert seal(run_file, tmp_path, interrupted=True) == tmp_path / "last.hdf5"
    assert os.listdir(tmp_path) == ["last.hdf5"]
    with h5py.File(tmp_path / "last.hdf5") as file:
        check_rows(file["tank"], job(), 5)
        assert (file.attrs["run_end"], file.attrs["file_end"]) == (START + 7, START + 7)
        assert (file.attrs["following_file_id"], file.attrs["interrupted"]) == (0, 1)


def test_a_run_that_goes_on_has_no_end_yet(tmp_path):
    run_file = create(tmp_path)
    run_file.append(job(), sample_batch(job(), 0, 5))
    seal(run_file, tmp_path, run_end=None, following_file_id=2**63)
    with h5py.File(tmp_path / "last.hdf5") as file:
        assert math.isnan(file.attrs["run_end"])
        assert file.attrs["following_file_id"] == 2**63
        assert "interrupted" not in file.attrs


def test_a_file_without_rows_is_removed(tmp_path):
    run_file = create(tmp_path)
    run_file.checkpoint(1, losses={"tank": {"shape": 1}})
    assert run_file.empty
    assert seal(run_file, tmp_path) is None
    assert os.listdir(tmp_path) == []


def test_a_reader_keeps_what_it_sees_while_the_file_is_sealed(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "_PATIENCE", 0.0)
    run_file = create(tmp_path)
    run_file.append(job(), sample_batch(job(), 0, 5))
    run_file.checkpoint(1)
    with h5py.File(tmp_path / "run.hdf5") as reader:
        run_file.append(job(), sample_batch(job(), 5, 5))
        assert seal(run_file, tmp_path) == tmp_path / "last.hdf5"
        check_rows(reader["tank"], job(), 5)
    recover(tmp_path / "last.hdf5")
    with h5py.File(tmp_path / "last.hdf5") as file:
        check_rows(file["tank"], job(), 10)


def test_a_seal_never_overwrites_another_file(tmp_path):
    (tmp_path / "last.hdf5").write_text("precious")
    run_file = create(tmp_path)
    run_file.append(job(), sample_batch(job(), 0, 5))
    with pytest.raises(FileBusy):
        seal(run_file, tmp_path)
    run_file.close()
    assert (tmp_path / "last.hdf5").read_text() == "precious"
    with h5py.File(tmp_path / "run.hdf5") as file:
        check_rows(file["tank"], job(), 5)


def test_a_new_file_never_overwrites_another(tmp_path):
    (tmp_path / "run.hdf5").write_text("precious")
    with pytest.raises(StorageError):
        create(tmp_path)
    assert os.listdir(tmp_path) == ["run.hdf5"]


def test_a_file_that_is_none_of_ours_is_not_gone_on_with(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(FileDamaged, match="file_id"):
        RunFile.reopen(tmp_path / "other.h5")
