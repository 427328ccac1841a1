"""Clocks that are set while a run goes on: rows keep their order, and the file says what happened.

Real processes, whose wall clock is shifted together while their monotonic clocks go on.
"""

import os
import re
import shutil
import tempfile
import zoneinfo
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks import faults
from benchmarks.fault_check import read_part, verify
from benchmarks.fault_kinds import Fault, by_name
from benchmarks.fault_site import until
from benchmarks.faults import Campaign
from h5daq.storage.recovery import recover_run

pytestmark = pytest.mark.processes

HOUR = 3600.0
JOBS = ("count", "text")
AT_THE_END = "back at the end of a file"


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


def jump(seconds):
    return Fault(f"set by {seconds}", lambda campaign: campaign.clock.jump(seconds))


def seen(campaign):
    """How many jumps each job has told of."""
    said = (campaign.folder / "log.txt").read_text()
    return [said.count(f"job jobs/{job}: the clock of this computer was set") for job in JOBS]


def until_seen(fault, campaign):
    """Do it, and wait until each job has: two jumps between two of its looks are one to it."""
    before = seen(campaign)
    fault.act(campaign)
    until(lambda: all(now > was for now, was in zip(seen(campaign), before, strict=True)))


@pytest.fixture
def watched(monkeypatch):
    """`watched(*faults)`: names of faults that do the same and wait until the jobs have seen it."""

    def names(*given):
        made = by_name(Fault(f"{f.name}, seen", partial(until_seen, f)) for f in given)
        monkeypatch.setattr(faults, "KINDS", {**faults.KINDS, **made})
        return list(made)

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


def test_a_clock_set_by_hours_and_a_second_that_comes_twice_cost_no_row(campaign, watched):
    twice, back = (faults.KINDS[f"clock: {name}"] for name in ("a second twice", AT_THE_END))
    *kinds, last = watched(jump(5 * HOUR), jump(-7 * HOUR), twice, back)
    campaign.round([*kinds, "writer", last], "clean", lambda: 0.1)
    counts = account(campaign)
    assert counts["produced"] == counts["found"]
    assert counts["late"] > 0
    # Before the writer was killed, and after it.
    for job in JOBS:
        sizes = recorded(campaign, job)[:, 1]
        assert np.allclose(sizes, [5 * HOUR, -7 * HOUR, -1.0, -2.0], atol=0.2)
    said = (campaign.folder / "log.txt").read_text()
    assert re.search(r"the clock of this computer was set back by 25(200|199\.9)", said)


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
