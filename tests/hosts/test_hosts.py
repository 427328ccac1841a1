"""A run over several machines, by a real ssh, through what happens to machines and networks.

Of every row that an instrument gave, the machine that read it keeps count: in the end it is in a
file once, or counted as lost.
"""

import os
import shlex
import shutil
import signal
import subprocess

import h5py
import numpy as np
import pytest

from h5daq.launcher.sync import LARGE

pytestmark = pytest.mark.processes


def all_accounted(fates):
    return all(fate.accounted for fate in fates.values())


def kept_all(fates, *groups):
    return all(not fates[group].lost for group in groups)


def copy_of(site, module):
    """What identifies the copy of a file of the modules on the disk of h3."""
    (found,) = site.disk_of("h3").glob(f"state/h5daq/launch/*/towers/{module.name}")
    seen = found.stat()
    assert seen.st_size == module.stat().st_size
    return seen.st_ino, seen.st_mtime_ns


def test_a_launcher_that_dies_half_way_is_followed_by_the_same_command(stopped, wait_until):
    site, large = stopped, stopped.folder / "towers" / "large.bin"
    large.write_bytes(bytes(LARGE))
    launching = site.start_launch(stdout=subprocess.PIPE, text=True)
    assert any("writer: runs: process" in line for line in launching.stdout)
    launching.kill()
    launching.communicate()
    first = copy_of(site, large)
    again = site.launch()
    assert again.returncode == 0, again.stdout + again.stderr
    assert "writer: runs already" in again.stdout
    # What has not changed has not travelled again, where rsync is.
    assert shutil.which("rsync") is None or copy_of(site, large) == first
    wait_until(lambda: all(site.rows(group) > 5 for _, group in site.groups))


def test_a_killed_agent_loses_no_row_and_the_same_command_brings_it_back(
    running, settle, wait_until
):
    before = running.rows("tower/h2")
    os.kill(running.record("h2")["pid"], signal.SIGKILL)
    again = running.launch()
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("runs already") == 3
    wait_until(lambda: running.rows("tower/h2") > before + 20)
    fates = settle(running)
    assert all_accounted(fates), fates
    assert kept_all(fates, "tower/h2", "tower/h3"), fates


def test_what_hosts_read_without_the_writer_comes_when_they_are_back(running, settle, wait_until):
    site, (h2, h3, h4) = running, running.others
    site.lab.cut(h2)  # its cable is pulled,
    site.lab.isolate(h3)  # it is gone without a word,
    site.lab.part(site.here, h4)  # and all but the writer's machine reach it
    wait_until(lambda: not any(map(site.hears, ("h2", "h3", "h4"))))
    far = {group: site.rows(group) for _, group in site.groups}
    # Half a minute at 50 Hz.
    wait_until(lambda: site.rows("tower/h1") > far["tower/h1"] + 1500)
    remote = [group for name, group in site.groups if name != "h1"]
    assert [group for group in remote if site.rows(group) > far[group]] == []
    for host in site.lab.hosts:
        site.lab.heal(host)
    wait_until(lambda: all(site.rows(group) > far[group] + 20 for group in remote))
    wait_until(lambda: all(map(site.hears, ("h2", "h3", "h4"))))
    fates = settle(site)
    assert all_accounted(fates), fates
    assert kept_all(fates, "tower/h2", "tower/h3", "slow/spool"), fates


def test_rows_that_a_network_is_too_slow_for_wait_on_disk_or_are_counted(
    running, settle, wait_until
):
    site, h4 = running, running.others[-1]
    site.lab.limit(h4, kilobytes=100)  # each of its two jobs gives 200 kB/s
    wait_until(lambda: site.job("slow/spool")["spooled"] > 100)
    wait_until(lambda: sum(site.job("slow/drop-oldest")["lost"].values()) > 20)
    site.lab.unlimit(h4)
    fates = settle(site)
    assert all_accounted(fates), fates
    assert kept_all(fates, "slow/spool"), fates
    assert set(fates["slow/drop-oldest"].lost) == {"overflow"}


def columns(site, *paths):
    """What is in the newest file of the writer's disk; empty where nothing is yet."""
    path = site.disk_of("h1") / os.path.relpath(site.ask("flush")["file"], site.disk)
    with h5py.File(path) as file:
        return [file[path][:] if path in file else np.empty(0) for path in paths]


def test_a_host_reads_on_the_grid_of_its_clock_and_the_file_says_how_far_that_is_off(
    running, wait_until
):
    site = running
    site.clocks["h3"].jump(0.25)
    clock = wait_until(
        lambda: (seen := site.ask()["clocks"].get("h3")) and seen["offset"] < -0.2 and seen
    )
    assert abs(clock["offset"] + 0.25) <= clock["error"] + 0.001
    offsets = "h5daq/clocks/h2/offset", "h5daq/clocks/h3/offset"
    h2, h3 = wait_until(lambda: all(map(len, found := columns(site, *offsets))) and found)
    assert h3[-1] < -0.2 < h2[-1]
    before = site.rows("aligned/h3")
    wait_until(lambda: site.rows("aligned/h3") > before + 30)
    for times in columns(site, "aligned/h2/time", "aligned/h3/time"):
        phases = times[-30:] % 0.1
        # A reading may be late, for a machine has other work: the least late one tells the grid.
        assert np.minimum(phases, 0.1 - phases).min() < 0.01, phases


def test_a_host_that_is_cut_off_is_named_left_out_and_brought_in_by_the_same_command(
    stopped, wait_until
):
    site, h4 = stopped, stopped.others[-1]
    site.lab.isolate(h4)
    site.expect(gone=h4)
    begun = site.launch("--keep-going")
    assert begun.returncode == 1
    assert "h4: failed: ssh can't get there" in begun.stdout
    assert "failed: h4; the others run" in begun.stdout
    wait_until(lambda: site.rows("tower/h2") > 5)
    site.lab.heal(h4)
    site.expect(gone=None)
    again = site.launch()
    assert again.returncode == 0, again.stdout + again.stderr
    wait_until(lambda: site.rows("slow/spool") > 5)
    # Cut off for the stop: the file is sealed without it, and the exit code says so.
    site.lab.isolate(h4)
    site.expect(gone=h4)
    stopped = site.stop("--drain-timeout", "1")
    assert stopped.returncode == 1
    assert "h4: failed: ssh can't get there" in stopped.stdout
    assert site.record("h2")["state"] == "ended"


def test_a_writer_that_answers_is_not_moved_and_the_refusal_says_what_to_do(running, wait_until):
    site = running
    site.write_config("h2")
    refused = site.launch()
    assert refused.returncode == 1
    assert "it runs for the writer at tcp://h1:5570, which answers" in refused.stdout
    assert "nothing was started" in refused.stdout
    (line,) = [line for line in refused.stdout.splitlines() if line.startswith("h3: failed")]
    mend = shlex.split(line.partition("launch again: ")[2])
    assert mend[0] == "h5daq"
    done = site.h5daq(*mend[1:])
    assert done.returncode == 0, done.stderr
    assert not site.disk_of("h2").joinpath("data").exists()
    wait_until(lambda: all(site.record(host.name)["state"] == "ended" for host in site.others))
    fates = {group: site.fate(name, group) for name, group in site.groups}
    assert all_accounted(fates), fates


def test_hosts_whose_writer_died_go_to_the_next_one_with_all_that_they_hold(running, wait_until):
    site = running
    for pid in (site.record("h1", "writer")["pid"], site.ask()["writer"]["pid"]):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(site.hears(host.name) for host in site.others))
    site.write_config("h2")
    begun = site.launch()
    assert begun.returncode == 0, begun.stdout + begun.stderr
    assert begun.stdout.count("its writer at tcp://h1:5570 is silent") == 3
    assert begun.stdout.count("has the writer at tcp://h2:5570") == 3
    wait_until(lambda: all(site.rows(group) > 20 for _, group in site.groups))
    assert list(site.disk_of("h2").glob("data/.h5daq/journal/*"))
    ended = site.stop()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # What the dead one had committed is on its disk.
    recovered = site.h5daq("recover", site.disk / "data")
    assert recovered.returncode == 0, recovered.stderr
    for name, group in site.groups[1:]:  # the first job was beside the dead writer
        fate = site.fate(name, group)
        assert fate.ordered
        assert group == "slow/drop-oldest" or fate.distinct == fate.read, f"{group}: {fate}"
