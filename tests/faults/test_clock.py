"""Clocks that are set while a run goes on: rows keep their order, and the file says what happened.

Real processes, whose wall clock is shifted together while their monotonic clocks go on.
"""

import os
import shutil
import tempfile
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks.fault_check import read_part, verify
from benchmarks.faults import Campaign
from h5daq.storage.recovery import recover_run

pytestmark = pytest.mark.processes

HOUR = 3600.0


@pytest.fixture
def campaign():
    # Not tmp_path: the names of ipc sockets must be short.
    with tempfile.TemporaryDirectory(prefix="h5daq-") as name:
        begun = Campaign(Path(name), seed=1)
        yield begun
        begun.close()


def zone_file(name):
    for place in zoneinfo.TZPATH:
        if Path(place, name).exists():
            return Path(place, name)
    return pytest.skip(f"this system has no time zone {name}")


@pytest.fixture
def jumps(monkeypatch):
    """`jumps(*seconds)`: names of faults that set the clock so."""
    from benchmarks import faults
    from benchmarks.fault_kinds import Fault

    def names(*seconds):
        made = [Fault(f"set by {s}", lambda c, s=s: c.clock.jump(s)) for s in seconds]
        monkeypatch.setattr(faults, "KINDS", {**faults.KINDS, **{f.name: f for f in made}})
        return [fault.name for fault in made]

    return names


def account(campaign):
    """What became of each row, once a round has ended in order."""
    # What a checkpoint left waiting while the stranger held its file.
    campaign.end_reader()
    recover_run(campaign.data)
    found = verify(campaign.folder, campaign.data, campaign.told, campaign.prey.killed,
                   clock_set=bool(campaign.clock.sets))  # fmt: skip
    assert not found.wrong + campaign.wrong
    return found.counts


def recorded(campaign, job):
    """The jumps that the run's last file tells of a job, which tells of all."""
    paths = sorted(campaign.data.glob("*.hdf5"), key=lambda path: path.stat().st_mtime_ns)
    with h5py.File(paths[-1], "r") as file:
        return file[f"jobs/{job}"].attrs["clock_jumps"]


def test_a_clock_set_by_hours_and_a_second_that_comes_twice_cost_no_row(campaign, jumps):
    kinds = jumps(5 * HOUR, -7 * HOUR)
    more = ["clock: a second twice", "writer", "clock: back at the end of a file"]
    campaign.round([*kinds, *more], "clean", lambda: 1.1)
    counts = account(campaign)
    assert counts["produced"] == counts["found"]
    assert counts["late"] > 0
    # Before the writer was killed, and after it.
    for job in ("count", "text"):
        sizes = recorded(campaign, job)[:, 1]
        assert np.allclose(sizes, [5 * HOUR, -7 * HOUR, -1.0, -2.0], atol=0.2)
    said = (campaign.folder / "log.txt").read_text()
    assert "the clock of this computer was set back by 25200" in said


def test_nothing_depends_on_the_zone_of_the_computer(campaign):
    zone = campaign.folder / "localtime"
    shutil.copy(zone_file("Pacific/Auckland"), zone)
    campaign.environment["TZ"] = f":{zone}"

    def other_zone():
        shutil.copy(zone_file("America/St_Johns"), zone.with_suffix(".new"))
        os.replace(zone.with_suffix(".new"), zone)
        return 0.2

    campaign.round(["writer", "worker"], "clean", other_zone)
    account(campaign)
    for path in campaign.data.glob("*.hdf5"):
        start = datetime.fromtimestamp(read_part(path).attrs["file_start"], UTC)
        assert path.name.startswith(f"DAQ_{start:%Y%m%dT%H%M%S}.")
