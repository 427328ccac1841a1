"""The tree on disk, as the specification numbers its cases."""

import os
import re

import h5py
import numpy as np
import pytest

from h5daq.errors import (
    BadArgument,
    DatasetNotFound,
    DirectoryExists,
    DirectoryNotFound,
    EmptyName,
    NoDataset,
    StorageError,
)
from h5daq.flow.variables import Columns
from h5daq.storage.layouts.datavault import VaultFile
from h5daq.storage.transaction import recover_directory
from h5daq.vault.tree import ROOT, Tree

XY = Columns.simple(["x"], ["y"])


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path, durable=False)


def made(tree, *titles, path=ROOT):
    """Datasets that are made and let go of; their names."""
    found = [tree.new(path, title, XY, now=1e9) for title in titles]
    for dataset in found:
        dataset.store.close()
    return [dataset.name for dataset in found]


def test_d1_a_step_goes_down_by_names_and_an_empty_one_is_the_root(tree):
    assert tree.step(ROOT, []) == (ROOT, [])
    path, new = tree.step(ROOT, ["", "m", "", "n"], create=True)
    assert (path, new) == (("", "n"), [("", "m"), ("", "n")])
    assert tree.step(path, "")[0] == ROOT
    assert tree.step(ROOT, "m")[0] == ("", "m")


def test_d2_a_number_goes_up_and_never_above_the_root(tree):
    path, _ = tree.step(ROOT, ["a", "b"], create=True)
    assert [tree.step(path, n)[0] for n in (-1, 0, 1, 2, 9)] == [
        path, path, ("", "a"), ROOT, ROOT,
    ]  # fmt: skip


def test_d3_a_missing_directory_is_not_found_and_not_made(tree):
    with pytest.raises(DirectoryNotFound, match="/a/b") as caught:
        tree.step(("", "a"), "b")
    assert caught.value.code == 5
    assert tree.dir(ROOT) == ([], [])


def test_d4_two_dots_are_a_name_like_any_other(tree, tmp_path):
    path, _ = tree.step(ROOT, ["..", "../../etc"], create=True)
    assert tree.dir(ROOT)[0] == [".."]
    assert tree.folders.folder(path) == tmp_path / "...dir" / "..%f..%fetc.dir"


def test_d5_mkdir_refuses_what_is_there_and_what_has_no_name(tree):
    assert tree.mkdir(ROOT, "a", now=0) == ("", "a")
    for name, error, code in (("a", DirectoryExists, 4), ("", EmptyName, 6)):
        with pytest.raises(error) as caught:
            tree.mkdir(ROOT, name, now=0)
        assert caught.value.code == code
    with pytest.raises(DirectoryNotFound):
        tree.mkdir(("", "b"), "c", now=0)


def test_d7_a_listing_has_datasets_and_no_other_files(tree, tmp_path):
    made(tree, "b", "a")
    for name in ("00009 - lone.csv", "notes.txt", "run.hdf5", ".00007 - x.hdf5.part", "a.dir"):
        (tmp_path / name).touch()
    (tmp_path / "00008 - lone.ini").touch()
    with h5py.File(tmp_path / "DAQ_1_2.hdf5", "w") as file:
        file.attrs["file_id"] = 1
    (tmp_path / "00002 - a.hdf5").rename(tmp_path / "named %f by hand.hdf5")
    assert tree.dir(ROOT) == ([], ["00001 - b", "00008 - lone", "named / by hand"])
    assert tree.open(ROOT, "named / by hand").rows == 0


def test_d8_d9_listings_are_filtered_by_tags_trash_is_left_out(tree):
    made(tree, "a", "b")
    tree.mkdir(ROOT, "d", now=0)
    tree.update_tags(ROOT, ["trash", "old"], "d", ["00001 - a"], now=0)
    assert tree.dir(ROOT) == ([], ["00002 - b"])
    assert tree.dir(ROOT, "old") == (["d"], ["00001 - a"])
    assert tree.dir_tags(ROOT, []) == (
        [("d", ["old", "trash"])],
        [("00001 - a", ["old", "trash"]), ("00002 - b", [])],
    )


def test_d10_a_new_directory_has_its_session_file_and_a_name_too_long_is_an_error(tree, tmp_path):
    tree.mkdir(ROOT, "é" * 125, now=0)
    assert (tmp_path / ("é" * 125 + ".dir") / "session.ini").exists()
    with pytest.raises(StorageError, match="can't be made"):
        tree.mkdir(ROOT, "é" * 126, now=0)
    with pytest.raises(DirectoryNotFound):
        tree.step(ROOT, "é" * 126)


def test_a_tree_without_suffixes_is_read_and_written(tmp_path):
    tree = Tree(tmp_path, suffix="", durable=False)
    path, _ = tree.step(ROOT, ["a", "b / c"], create=True)
    (tmp_path / ".h5daq").mkdir()
    assert (tmp_path / "a" / "b %f c" / "session.ini").exists()
    assert tree.dir(ROOT)[0] == ["a"]
    with pytest.raises(BadArgument):
        tree.step(path, "..", create=True)


def test_n1_numbers_count_per_directory_and_outlive_the_files(tree, tmp_path):
    assert made(tree, "a", "a") == ["00001 - a", "00002 - a"]
    (tmp_path / "00002 - a.hdf5").unlink()
    again = Tree(tmp_path, durable=False)
    assert made(again, "b") == ["00003 - b"]
    path, _ = again.step(ROOT, "sub", create=True)
    assert made(again, "c", path=path) == ["00001 - c"]


def test_n1_a_crash_before_the_counter_was_noted_gives_no_number_twice(tree, tmp_path):
    tree.new(ROOT, "a", XY, now=0).store.close()
    (tmp_path / "session.ini").unlink()
    assert made(Tree(tmp_path, durable=False), "b") == ["00002 - b"]


def test_n2_only_a_simple_dataset_without_title_is_called_untitled(tree):
    assert tree.new(ROOT, "", XY, now=0).name == "00001 - untitled"
    assert tree.new(ROOT, "", XY, extended=True, now=0).name == "00002 - "


def test_n4_a_refused_creation_takes_no_number_and_leaves_no_file(tree, tmp_path):
    columns = Columns.simple([str(k) for k in range(3000)], [])
    with pytest.raises(BadArgument, match="3000 columns"):
        tree.new(ROOT, "broken", columns, now=0)
    with pytest.raises(StorageError):
        tree.new(ROOT, "x" * 300, XY, now=0)
    with pytest.raises(BadArgument):
        tree.new(ROOT, "nul\0", XY, now=0)
    assert os.listdir(tmp_path) == []
    assert made(tree, "a") == ["00001 - a"]


def test_d10_a_title_may_be_as_long_as_the_disk_takes(tree, tmp_path):
    title = "é" * 121
    dataset = tree.new(ROOT, title, XY, now=0)
    assert len(os.fsencode(dataset.store.path.name)) == 255
    dataset.store.append(dataset.checked_rows([1, 2]))
    with h5py.File(dataset.store.path, "r"):
        dataset.store.checkpoint(1.0)
        dataset.store.abort()
    # The checkpoint is in the log, whose name is another one than the file's.
    assert tree.open(ROOT, 1).rows == 0
    assert [found.action for found in recover_directory(tmp_path)] == ["applied"]
    assert tree.open(ROOT, f"00001 - {title}").rows == 1
    with pytest.raises(StorageError, match="too long"):
        tree.new(ROOT, title + "x", XY, now=0)


def test_n4_what_the_originals_refused_creation_left_is_named_and_harms_nobody(tree, tmp_path):
    with h5py.File(tmp_path / "00001 - broken.hdf5", "w") as file:
        file.attrs["Version"] = np.array([3, 0, 0], "i4")
    with pytest.raises(StorageError, match=r"00001 - broken.*|holds no dataset"):
        tree.open(ROOT, 1)
    assert made(tree, "a") == ["00002 - a"]


def test_o1_a_dataset_is_opened_by_its_full_name_or_its_number(tree):
    made(tree, "a", "b")
    assert tree.open(ROOT, 2).name == tree.open(ROOT, "00002 - b").name == "00002 - b"
    for unknown in ("b", "2", 0, 3, "00002 - B", "x\0"):
        with pytest.raises(DatasetNotFound, match=re.escape(f"{unknown!r}")) as caught:
            tree.open(ROOT, unknown)
        assert caught.value.code == 3


def test_o2_files_without_numbers_are_no_hindrance(tree, tmp_path):
    made(tree, "a")
    for name in ("foreign.hdf5", "foreign.csv", "00000x.hdf5"):
        (tmp_path / name).touch()
    assert tree.open(ROOT, 1).name == "00001 - a"
    with pytest.raises(DatasetNotFound):
        tree.open(ROOT, 2)


def test_n3_a_number_of_six_digits_is_found(tree, tmp_path):
    (tmp_path / "session.ini").write_text("[File System]\ncounter = 100000\n")
    assert made(tree, "a") == ["100000 - a"]
    assert tree.open(ROOT, 100000).name == "100000 - a"


def test_o5_reading_changes_nothing_on_disk(tree, tmp_path):
    made(tree, "a")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert tree.open(ROOT, 1).rows == 0
    tree.dir(ROOT)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_t1_t4_tags_are_kept_for_what_exists_and_what_does_not(tree, tmp_path):
    told = tree.update_tags(ROOT, "t", ["d"], "later", now=0)
    assert told == ([("d", ["t"])], [("later", ["t"])])
    again = Tree(tmp_path)
    assert again.get_tags(ROOT, "d", ["later", "x"]) == (
        [("d", ["t"])],
        [("later", ["t"]), ("x", [])],
    )
    assert again.update_tags(ROOT, "t", ["d"], "later", now=0) == ([], [])


def test_t2_tags_without_dataset_are_the_current_ones(tree, tmp_path):
    assert tree.update_tags(ROOT, "t", [], current="00001 - a", now=0)[1] == [("00001 - a", ["t"])]
    assert "object at" not in (tmp_path / "session.ini").read_text()
    with pytest.raises(NoDataset) as caught:
        tree.update_tags(ROOT, "t", [], now=0)
    assert caught.value.code == 2


def test_t3_a_percent_sign_in_tags_and_names_harms_nothing(tree, tmp_path):
    tree.update_tags(ROOT, "50%", "10 %", ["a % (b)s"], now=0)
    assert made(tree, "next %") == ["00001 - next %"]
    again = Tree(tmp_path)
    assert again.get_tags(ROOT, "10 %", "a % (b)s") == (
        [("10 %", ["50%"])],
        [("a % (b)s", ["50%"])],
    )


def test_t6_only_new_datasets_move_the_date_of_modification(tree):
    tree.new(ROOT, "a", XY, now=1e9).store.close()
    tree.update_tags(ROOT, "t", "d", [], now=1.1e9)
    session = tree.folders.session(ROOT)
    assert (session.modified, session.accessed) == (1e9, 1.1e9)


def test_a_session_file_that_is_damaged_is_kept_aside(tree, tmp_path):
    (tmp_path / "session.ini").write_text("rubbish")
    assert made(tree, "a") == ["00001 - a"]
    assert (tmp_path / "session.ini.damaged").read_text() == "rubbish"
    assert not tree.folders.session(ROOT).damaged


def test_a_dataset_in_use_is_opened_for_writing_once(tree):
    dataset = tree.new(ROOT, "a", XY, now=0)
    with pytest.raises(StorageError):
        tree.open(ROOT, 1, writable=True)
    dataset.store.close()
    assert isinstance(tree.open(ROOT, 1, writable=True).store, VaultFile)
