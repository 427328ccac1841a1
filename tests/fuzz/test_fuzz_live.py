"""Short runs of ``python -m benchmarks.fuzz``: always the same mutations, on real processes."""

import tempfile
from pathlib import Path

import pytest

from benchmarks.fuzz_cases import try_out
from benchmarks.fuzz_files import TARGETS
from benchmarks.fuzz_live import Live
from benchmarks.fuzz_worker import fuzz_worker

pytestmark = pytest.mark.processes


@pytest.fixture
def place():
    # Not tmp_path: the names of ipc sockets must be short.
    with tempfile.TemporaryDirectory(prefix="h5daq-") as name:
        yield Path(name)


@pytest.fixture
def live(place):
    begun = Live(place / "data", seed=1)
    yield begun
    begun.close()


def test_a_writer_under_fire_keeps_its_counts_its_files_and_an_honest_workers_rows(live):
    live.shoot(1000)
    live.garbage(10, 30)
    # A disk that is busy with others may bring a late change once, and no message does.
    assert live.refused_stretch(400) or live.refused_stretch(400)
    assert live.refused() == live.twin.refused
    assert live.refused().total() > 1000
    end = live.finish()
    assert end["whole"]
    assert (end["code"], end["held"], end["refused by HDF5"]) == (0, 0, 0)


def test_a_worker_that_hears_nonsense_goes_on_and_loses_no_row(place):
    end = fuzz_worker(place, 600, 1, lambda *_: None)
    assert end["alive"]
    assert end["whole"]
    assert end["code"] == 0


TRIALS = {"config": 60, "journal": 40, "records": 200, "redo": 60, "spool": 60, "endpoints": 60}


@pytest.mark.parametrize("name", TRIALS)
def test_damaged_files_are_read_or_refused_with_an_error_of_ours(place, name):
    found = try_out(TARGETS[name](), place, TRIALS[name], 1, lambda _: None)
    assert found.wrong == []
    assert found.outcomes.total() == TRIALS[name]


def test_a_damaged_run_file_is_read_or_refused_with_an_error_of_ours(place):
    found = try_out(TARGETS["hdf5"](), place, 20, 1, lambda _: None)
    assert found.wrong == []
    assert found.outcomes["FileDamaged"] > 5
