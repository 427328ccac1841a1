"""The vault's changes are there once or not at all, whenever its writer is killed or loses power.

A sample, always the same one; `python -m benchmarks.faults --only vault` goes through all of them.
"""

import random
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.fault_points import sample
from benchmarks.fault_vault import kill_and_recover, kills, stricken

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs fork, and inodes that are not used again"
)


@pytest.fixture
def folder():
    # In memory where there is such a place: a kill leaves what was written, synced or not.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name) / "box"


def test_after_a_kill_at_any_point_each_change_of_the_vault_is_done_once(folder):
    every = [kill for kill in kills(folder) if kill.point.startswith("vault")]
    said = {kill.point.split(": ")[0] for kill in every}
    assert said >= {"vault change", "vault checkpoint", "vault close"}
    dice = random.Random(4)
    done = [kill_and_recover(folder, kill, dice) for kill in sample(every, dice, 5)]
    assert [flaw for killing in done for flaw in killing.wrong] == []


def test_after_a_loss_of_power_answered_changes_are_there_and_others_whole_or_not_at_all(folder):
    assert stricken(folder, range(5)) == []
