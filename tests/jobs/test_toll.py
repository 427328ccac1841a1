"""The toll of a worker: found by others when it is dead, and not before."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import h5daq
from h5daq.jobs.spool_places import place_of
from h5daq.jobs.toll import Owner, Toll, left

OWNER = Owner("tank/T", 7, "run", "/data")

CODE = """
import sys
from h5daq.jobs.toll import Owner, Toll
toll = Toll(Owner("tank/T", 7, "run", "/data"))
toll.count.add(5)
{}
print("so far", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def found(**which):
    return [(toll.owner, toll.produced, toll.cause) for toll in left("/data", **which)]


def killed(more=""):
    """What is found of a process that was killed, while it lived and then."""
    environment = {**os.environ, "PYTHONPATH": str(Path(h5daq.__file__).parents[1])}
    worker = subprocess.Popen([sys.executable, "-c", CODE.format(more)], env=environment,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    with worker:
        worker.stdout.readline()
        alive = found()
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        return alive, found()


def test_the_toll_of_a_killed_process_is_found_and_that_of_a_living_one_is_not():
    assert killed() == ([], [(OWNER, 5, "killed")])


def test_a_copy_that_outlives_the_worker_holds_no_toll():
    copy = "import os\nif os.fork() == 0:\n toll.let_go(); toll.count.add(9); sys.stdin.read()"
    assert killed(copy)[1] == [(OWNER, 5, "killed")]


def test_tolls_are_told_apart_by_destination_and_job():
    for owner in (OWNER, Owner("other", 8, "run", "/data"), Owner("tank/T", 9, "run", "/else")):
        Toll(owner).let_go()
    assert [owner.inc for owner, _, _ in found(jobs=["tank/T"])] == [7]
    assert len(found()) == 2


def test_a_worker_that_ends_whole_leaves_none_and_one_that_does_not_says_so():
    Toll(OWNER).close(whole=True)
    assert found() == []
    toll = Toll(OWNER)
    toll.count.add(2)
    toll.close(whole=False)
    toll.let_go()
    assert found() == [(OWNER, 2, "undelivered")]


def test_a_toll_knows_of_the_spool_of_its_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    Toll(OWNER).let_go()
    (toll,) = left("/data")
    assert not toll.spooled
    place = place_of("run", "tank/T", 7)
    place.mkdir(parents=True)
    (place / "about").touch()
    assert toll.spooled


def test_one_that_was_told_or_that_makes_no_sense_is_gone(tmp_path):
    Toll(OWNER).let_go()
    (toll,) = left("/data")
    toll.forget()
    toll.path.write_bytes(b"\1" * 5000)
    assert found() == []
    assert not list(tmp_path.rglob("*.toll"))


def test_without_a_place_rows_are_counted_for_the_worker_alone(tmp_path, caplog):
    (tmp_path / f"h5daq-{os.getuid()}").write_text("in the way")
    toll = Toll(OWNER)
    toll.count.add(3)
    toll.close(whole=False)
    assert toll.count.total == 3
    assert "tank/T" in caplog.text
