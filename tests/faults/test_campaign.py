"""A short campaign of kills and failing disks, always the same one: no row is lost or doubled.

The long one, at random and at the worst moments, is ``python -m benchmarks.faults``.
"""

import tempfile
from pathlib import Path

import pytest

from benchmarks.faults import KINDS, Campaign

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]

ROUNDS = [
    (["disk full", "some syncs fail (EIO)"], "clean"),
    (["writer", "worker", "writer in a checkpoint", "nursery", "writer and worker"], "clean"),
    (["writer"], "daemon"),
    ([], "daemon and writer"),
    ([], "all"),
    (["writer stopped"], "all"),
]
"""What happens while the run goes on, as far as it can be done here, and what it ends with."""


@pytest.fixture(scope="module")
def campaign():
    # Not tmp_path: the names of ipc sockets must be short.
    with tempfile.TemporaryDirectory(prefix="h5daq-") as name:
        begun = Campaign(Path(name), seed=1)
        try:
            for kinds, end in ROUNDS:
                fit = [kind for kind in kinds if not KINDS[kind].unfit()]
                begun.round(fit, end, lambda: 0.3)
            yield begun, begun.finish()
        finally:
            begun.close()


def test_kills_and_a_disk_that_fails_for_a_while_lose_no_committed_row(campaign):
    _, found = campaign
    assert not found.wrong
    assert found.counts["found"] >= found.counts["committed"] > 0
    assert not found.counts["doubled"] + found.counts["out of order"]


def test_a_worker_that_nobody_killed_misses_no_row_whoever_else_was(campaign):
    begun, found = campaign
    assert {"daemon", "writer", "worker", "nursery"} <= set(begun.prey.kills)
    assert found.counts["missing of others"] == 0


def test_a_stranger_who_reads_all_the_while_sees_nothing_half_done(campaign):
    begun, found = campaign
    assert found.counts["reader opened"]
    assert not begun.wrong
