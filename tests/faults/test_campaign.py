"""A short campaign of kills, always the same one: no row is lost, doubled or misordered.

The long one, at random and at the worst moments, is ``python -m benchmarks.faults``.
"""

import tempfile
from pathlib import Path

import pytest

from benchmarks.faults import Campaign

pytestmark = pytest.mark.processes


@pytest.fixture
def campaign():
    # Not tmp_path: the names of ipc sockets must be short.
    with tempfile.TemporaryDirectory(prefix="h5daq-") as name:
        begun = Campaign(Path(name), seed=1)
        yield begun
        begun.close()


def account(campaign, *rounds):
    for kinds, end in rounds:
        campaign.round(kinds, end, lambda: 0.3)
    found = campaign.finish()
    assert not found.wrong
    assert found.counts["found"] >= found.counts["committed"] > 0
    return found.counts


def test_kills_of_one_process_lose_no_committed_row(campaign):
    kinds = ["writer", "worker", "writer in a checkpoint", "nursery", "writer and worker"]
    counts = account(campaign, (kinds, "clean"))
    assert counts["reader opened"]


def test_a_killed_daemon_leaves_all_rows_to_the_next(campaign):
    counts = account(campaign, (["writer"], "daemon"), ([], "daemon and writer"))
    # None of the workers was killed, and so no row of theirs may be missing.
    assert counts["produced"] == counts["found"]


def test_when_all_is_killed_at_once_what_was_committed_is_kept(campaign):
    account(campaign, ([], "all"), (["writer stopped"], "all"))
