"""A writer that is killed at any change of any file goes on by itself, and no row is lost.

A sample, always the same one; `python -m benchmarks.faults` goes through all of them.
"""

import random
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.fault_points import (
    enumerate_kills,
    kill_and_recover,
    modern,
    old_file_system,
    sample,
)
from benchmarks.fault_power import lose_power, record
from h5daq.storage.disk import Disk
from h5daq.storage.exclusive import rename_exclusive

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs fork, and inodes that are not used again"
)
SYSTEMS = {"modern": modern, "without exclusive rename": old_file_system}


@pytest.fixture
def folder():
    # In memory where there is such a place: a kill leaves what was written, synced or not.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name) / "box"


@pytest.mark.parametrize("system", SYSTEMS)
def test_after_a_kill_at_any_point_the_next_start_has_every_row_once(folder, system):
    kills, dice, deaths, wrong = enumerate_kills(folder, SYSTEMS[system]), random.Random(1), [], []
    for kill in sample(kills, dice, 16):
        done = kill_and_recover(folder, kill, dice, SYSTEMS[system])
        deaths += done.points
        wrong += done.wrong
    assert wrong == []
    assert len(set(deaths)) >= 16


def test_the_points_are_in_all_that_a_writer_does(folder):
    points = {kill.point for kill in enumerate_kills(folder)}
    said = {point.split(": ")[0] for point in points}
    assert said >= {"start", "recovery", "journal append", "journal sync", "checkpoint", "apply",
                    "rollover", "seal", "close"}  # fmt: skip
    ops = {point.split(": ")[1].split(" of ")[0] for point in points}
    assert ops >= {"write", "sync", "sync-names", "rename", "unlink", "cut", "make", "mkdir"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_after_a_loss_of_power_the_next_start_has_every_committed_row_once(folder, system):
    diary, wrong = record(folder, SYSTEMS[system]), []
    for seed in range(8):
        dice = random.Random(seed)
        wrong += lose_power(folder, diary, dice, 1 + seed % 3, SYSTEMS[system])
    assert wrong == []


def test_an_exclusive_rename_replaces_nothing(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("mine")
    new.write_text("another's")
    with pytest.raises(FileExistsError):
        Disk().publish(old, new)
    assert (old.read_text(), new.read_text()) == ("mine", "another's")
    new.unlink()
    assert rename_exclusive(old, new) in (True, False)


def test_a_file_that_a_kill_left_with_both_names_is_published_by_dropping_the_old_one(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("mine")
    new.hardlink_to(old)
    Disk().publish(old, new)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
