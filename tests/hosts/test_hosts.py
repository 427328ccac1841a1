"""A run over several machines, by a real ssh, through what happens to machines and networks."""

import os
import signal

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.processes


def account(site, name):
    """Rows of a host that were read, that are in the files, and that were counted as lost."""
    read = {int(path.name): int(path.read_text()) + 1 for path in site.read.iterdir()}
    kept, lost, mine = 0, 0, set()
    for path in sorted(site.data.glob("*.hdf5")):
        with h5py.File(path) as file:
            group = file.get(f"tower/{name}")
            if group is None:
                continue
            pids, numbers = group["pid"][:], group["n"][:]
            for pid in map(int, np.unique(pids)):
                mine.add(pid)
                found = numbers[pids == pid]
                assert np.array_equal(found, np.arange(len(found))), f"{name}: gaps, or twice"
            kept += len(pids)
            lost += sum(int(n) for key, n in group.attrs.items() if key.startswith("lost_"))
    return sum(read[pid] for pid in mine), kept, lost


@pytest.mark.parametrize("site", [4], indirect=True)
def test_every_row_of_three_hosts_is_kept_whatever_ends_or_is_cut(site, wait_until):
    lab, (h2, h3, h4) = site.lab, site.others
    begun = site.launch()
    assert begun.returncode == 0, begun.stdout + begun.stderr
    wait_until(lambda: min(site.rows().values()) > 20)

    # An agent dies: its worker hands over what it has, and the same command brings it back.
    os.kill(site.record("h2")["pid"], signal.SIGKILL)
    again = site.launch()
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("runs already") == 3
    before = site.rows()
    wait_until(lambda: site.rows()["h2"] > before["h2"] + 20)

    # A host is gone without a word, and comes back.
    lab.isolate(h3)
    wait_until(lambda: site.hears_the_writer("h3") is False)
    far = site.rows()["h3"]
    lab.heal(h3)
    wait_until(lambda: site.rows()["h3"] > far + 100)
    wait_until(lambda: site.hears_the_writer("h3"))

    stopped = site.h5daq("stop", "--config", site.config, "--ssh", site.ssh)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert all(site.record(name)["state"] == "ended" for name in ("h2", "h3", "h4", "writer"))
    for host in (h2, h3, h4):
        read, kept, lost = account(site, host.name)
        assert read == kept + lost, f"{host.name}: {read} read, {kept} kept, {lost} lost"
        assert lost == 0


@pytest.mark.parametrize("site", [3], indirect=True)
def test_a_host_that_is_cut_off_is_named_left_out_and_brought_in_by_the_same_command(
    site, wait_until
):
    h3 = site.others[-1]
    site.lab.isolate(h3)
    site.expect(gone=h3)
    begun = site.launch("--keep-going")
    assert begun.returncode == 1
    assert "h3: failed: ssh can't get there" in begun.stdout
    assert "failed: h3; the others run" in begun.stdout
    wait_until(lambda: site.rows()["h2"] > 5)
    site.lab.heal(h3)
    site.expect(gone=None)
    again = site.launch()
    assert again.returncode == 0, again.stdout + again.stderr
    wait_until(lambda: site.rows()["h3"] > 5)
    # Cut off for the stop: the file is sealed without it, and the exit code says so.
    site.lab.isolate(h3)
    site.expect(gone=h3)
    stopped = site.h5daq("stop", "--config", site.config, "--ssh", site.ssh, "--drain-timeout", "1")
    assert stopped.returncode == 1
    assert "h3: failed: ssh can't get there" in stopped.stdout
    assert site.record("h2")["state"] == "ended"
