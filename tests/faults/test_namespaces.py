"""Hosts with a network of their own, which loses packets, goes down or falls silent.

The writer runs on one host and the worker on another: network namespaces with a switch between
them. Here the kernel's own connections meet the fault, with their retransmissions and timeouts.
"""

import pytest

from benchmarks.fault_site import Site, until
from tests.hosts.lab.network import Lab, missing

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(missing()), reason=missing() or "can be made"),
]


@pytest.fixture(scope="module")
def lab():
    with Lab(2) as made:
        yield made


@pytest.fixture(scope="module")
def site(lab, tmp_path_factory):
    here, there = lab.hosts
    made = Site(
        tmp_path_factory.mktemp("site"),
        {"array": {"buffer_bytes": 200_000}},
        host=here.address,
        writer_at=here.prefix,
        worker_at=there.prefix,
    )
    with made:
        made.start()
        until(lambda: made.account("array", flush=False).found > 20, what="the first rows")
        yield made


FAULTS = {
    "a tenth of all packets is lost": lambda lab, host: lab.lose(host, 10),
    "the link is down": lambda lab, host: lab.cut(host),
    "the other host is gone without a word": lambda lab, host: lab.isolate(host),
    "the worker's host hears nothing": lambda lab, host: lab.deafen(host),
    "the writer's host hears nothing": lambda lab, host: lab.deafen(lab.hosts[0]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_row_comes_once_and_in_order_although(lab, site, fault):
    try:
        FAULTS[fault](lab, lab.hosts[1])
        site.go_on("array", 150)
    finally:
        for host in lab.hosts:
            lab.heal(host)
    assert site.catch_up("array").whole


def test_a_lab_leaves_nothing_behind(lab):
    with Lab(1) as other:
        (host,) = other.hosts
        assert other.name != lab.name
        process = other.popen(host, ["sleep", "1000"])
        assert other.run(host, ["hostname"]).stdout.strip() == "h1"
    assert process.wait(10) != 0
    left = lab.run(lab.hosts[0], ["ip", "netns", "list"]).stdout
    assert other.name not in left
    assert lab.name in left
