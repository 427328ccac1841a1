"""`h5daq.Vault`: trees of the original, and a tree that a writer works in and is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import h5daq
from h5daq.storage.layouts.datavault_read import VaultReader
from h5daq.vault.dataset import Dataset
from h5daq.vault.labrad import Quantity
from h5daq.vault.tree import ROOT, Tree

from .expected import GOLDEN

WRITER = """
import sys
from datetime import datetime
from pathlib import Path
from h5daq.flow.variables import Columns
from h5daq.vault.dataset import Cursor
from h5daq.vault.tree import ROOT, Tree
dataset = Tree(Path(sys.argv[1])).new(ROOT, "t", Columns.simple(["x"], ["y"]), now=0)
for k in range(10**9):
    dataset.add(Cursor(writing=True), [[n, k] for n in range(50 * k, 50 * k + 50)])
    dataset.add_parameter(f"p{k}", k)
    dataset.add_comment(f"c{k}", now=float(k))
    dataset.store.checkpoint(float(k), lsn=k + 1)
    print(k + 1, flush=True)
"""


@pytest.mark.parametrize("steps", [1, 7, 30])
def test_o7_a_killed_writer_leaves_whole_checkpoints_that_readers_see_meanwhile(tmp_path, steps):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    root = Path(h5daq.__file__).parents[1]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)}
    ) as writer:
        told = [int(writer.stdout.readline()) for _ in range(steps)][-1]
        seen = h5daq.Vault(tmp_path)
        seen.open(1)
        assert len(seen) >= 50 * told
        writer.send_signal(signal.SIGKILL)
    store = Tree(tmp_path).open(ROOT, 1, writable=True).store
    assert store.lsn >= told
    assert store.rows == 50 * store.lsn
    assert store.read(0, 10**9)["f0"].tolist() == list(range(store.rows))
    assert len(store.parameters) == len(store.comments) == store.lsn
    store.close()


def test_a_tree_of_the_original_is_looked_through(golden):
    vault = h5daq.Vault(golden)
    directories, datasets = vault.dir()
    assert directories == ['all % / \\ : * ? " < > | of them', "extended", "legacy csv"]
    assert datasets == ["00001 - simple scan"]
    assert vault.cd("extended") == ["", "extended"]
    assert vault.open(1) == "00001 - every scalar type"
    assert len(vault) == 4
    assert len(vault.get_ex(limit=3)) == 3
    assert len(vault.get_ex_t()[0]) == 1
    assert vault.parameter("value") == vault.parameters()["value"] == Quantity(1.5, "GHz")
    assert vault.comments()[0].user == "üser"
    assert vault.tags() == ([], [("00001 - every scalar type", [])])
    assert "every scalar type" in repr(vault)


def test_the_golden_tree_is_not_changed_by_looking(golden):
    before = {path: path.read_bytes() for path in golden.rglob("*") if path.is_file()}
    vault = h5daq.Vault(golden)
    for directory in vault.dir()[0]:
        vault.cd(["", directory])
        vault.open(1)
        vault.get_ex()
        vault.comments()
    assert {path: path.read_bytes() for path in golden.rglob("*") if path.is_file()} == before


def test_c4_who_leaves_the_directory_keeps_the_dataset(golden):
    vault = h5daq.Vault(golden)
    with pytest.raises(h5daq.NoDataset):
        vault.get()
    vault.open(1)
    vault.cd("extended")
    assert vault.get().shape == (4, 4)
    with pytest.raises(h5daq.DatasetNotFound):
        vault.open(99)
    assert vault.dataset.name == "00001 - simple scan"
    with pytest.raises(h5daq.DirectoryNotFound):
        h5daq.Vault(golden / "nowhere")


def test_a_dataset_on_a_read_only_disk_is_read():
    assert Dataset("x", VaultReader(GOLDEN / "00001 - simple scan.hdf5")).rows == 4
