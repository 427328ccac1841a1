"""Machines with a network, a disk and an sshd of their own: what `h5daq launch` is made for.

They are made once for all tests of a module, and so is the run on them: a test that needs it begun
begins it where it is not. Afterwards networks are whole again, whatever a test has done to them.
"""

import pytest

from tests.hosts.lab.site import host_site, why_not

JOBS = {
    "h1": [{"group": "tower/h1", "read_period": 0.02}],
    **{
        name: [
            {"group": f"tower/{name}", "read_period": 0.02},
            {"group": f"aligned/{name}", "read_period": 0.1, "align": True},
        ]
        for name in ("h2", "h3")
    },
    "h4": [
        {"group": f"slow/{overflow}", "read_period": 0.01, "width": 1000, "overflow": overflow,
         "buffer_bytes": 200_000}
        for overflow in ("spool", "drop-oldest")
    ],
}  # fmt: skip
"""Small rows beside the writer and on two other machines, some of them at whole tenths of seconds;
on the last one more than a slow network could carry."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """Four machines: the first one launches, three have instruments."""
    if why_not():
        pytest.skip(why_not())
    with host_site(tmp_path_factory.mktemp("site"), 4, JOBS) as made:
        yield made


@pytest.fixture
def site(machines):
    """The machines, with whole networks and the writer's place as it was at first."""
    machines.write_config(machines.here.name)
    yield machines
    machines.expect(None)
    for host in machines.lab.hosts:
        machines.lab.heal(host)
        machines.clocks[host.name].jump(-machines.clocks[host.name].offset)


@pytest.fixture
def running(site, wait_until):
    """The run on all machines."""
    if not all(site.hears(host.name) for host in site.others) or not site.ask()["jobs"]:
        begun = site.launch()
        assert begun.returncode == 0, begun.stdout + begun.stderr
    wait_until(lambda: all(site.rows(group) > 5 for _, group in site.groups))
    return site


@pytest.fixture
def stopped(site):
    """The machines, with nothing that runs."""
    if any(site.record(host.name).get("state", "ended") != "ended" for host in site.others):
        end(site)
    return site


def end(site):
    done = site.stop("--drain-timeout", "1")
    assert done.returncode == 0 or "no answer" in done.stderr, done.stdout + done.stderr


@pytest.fixture
def settle(wait_until):
    """`settle(site)`: rest until nothing is under way, and give the account of each job."""

    def rest(site):
        site.ask("pause")
        wait_until(lambda: all(job["state"] == "paused" for job in site.ask()["jobs"].values()))
        wait_until(lambda: not any(job["held"] for job in site.ask()["jobs"].values()))
        site.ask("flush")
        fates = {group: site.fate(name, group) for name, group in site.groups}
        site.ask("resume")
        return fates

    return rest
