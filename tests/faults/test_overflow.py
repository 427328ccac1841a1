"""A network that is cut for longer than memory lasts: each policy does what it says.

One cut for all of them. Workers of five jobs read on, each beyond its memory; one of them is
killed in the midst of it and started again. Then the network heals, and the run is stopped.
"""

import pytest

from benchmarks.fault_check import BATCH_ROWS
from benchmarks.fault_proxy import Proxy
from benchmarks.fault_site import Site, until

pytestmark = pytest.mark.processes

ROW_BYTES = 24 + 256 * 8
BUFFER_BYTES = 100 * ROW_BYTES
POLICIES = ("spool", "block", "drop-oldest", "drop-newest")
MEMORY_BYTES = 24 << 20
"""By how much a worker may grow beyond its buffer: what the first full round of buffers takes."""


@pytest.fixture(scope="module")
def after(tmp_path_factory):
    """By job, what became of its rows, and figures from the time of the cut."""
    jobs = {f"array-{policy}": {"overflow": policy, "buffer_bytes": BUFFER_BYTES}
            for policy in POLICIES}  # fmt: skip
    site = Site(tmp_path_factory.mktemp("site"), {**jobs, "count-kill": {"spool": "always"}})
    proxies = {name: Proxy(site.bound[name]) for name in ("data", "signals")}
    site.reached |= {name: proxy.endpoint for name, proxy in proxies.items()}
    with site:
        site.start()
        until(lambda: all(site.produced(job) > 20 for job in site.jobs))
        yield cut(site, proxies.values())
    for proxy in proxies.values():
        proxy.close()


def cut(site, proxies):
    seen = {"memory before": {job: site.memory(job) for job in site.jobs}}
    for proxy in proxies:
        proxy.cut()
    for job in ("array-spool", "array-drop-oldest", "array-drop-newest", "count-kill"):
        site.go_on(job, 500)
    site.kill("count-kill")
    seen["killed at"] = site.produced("count-kill")
    site.start_worker("count-kill")
    seen["blocked"] = until(lambda: stands_still(site, "array-block"), what="the end of room")
    seen["memory"] = {job: site.memory(job) for job in site.jobs if job in seen["memory before"]}
    seen["spooled"] = sum(p.stat().st_size for p in (site.folder / "state").rglob("*.rows"))
    for proxy in proxies:
        proxy.heal()
    for job in site.jobs:
        site.catch_up(job) if job != "count-kill" else site.go_on(job)
    seen["codes"] = site.stop()
    seen["left"] = [p.name for p in (site.folder / "state").rglob("*.rows")]
    seen.update({job: site.account(job, flush=False) for job in site.jobs})
    return seen


def stands_still(site, job):
    """Whether a job gives nothing while another gives a hundred rows."""
    before = site.produced(job)
    site.go_on("array-spool", 100)
    return site.produced(job) == before


def test_with_spool_everything_arrives_once_the_network_is_back(after):
    assert after["array-spool"].kept
    assert after["array-spool"].produced > 600
    assert after["spooled"] > 400 * ROW_BYTES
    assert not after["left"]


def test_with_block_the_getter_waits_and_nothing_is_lost(after):
    assert after["blocked"]
    assert after["array-block"].kept


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_what_is_dropped_is_counted_to_the_row(after, policy):
    account = after[f"array-{policy}"]
    assert set(account.lost) == {"overflow"}
    assert account.lost["overflow"] > 300
    assert account.missing == account.doubled == account.disordered == 0


def test_a_worker_killed_in_the_cut_leaves_its_spool_to_the_next(after):
    account = after["count-kill"]
    assert after["killed at"] > 100
    assert account.doubled == account.disordered == account.gaps == 0
    # Of the one that was killed, what was not yet in a batch.
    assert account.missing <= BATCH_ROWS


def test_what_waits_for_the_network_takes_no_more_memory_than_it_may(after):
    for policy in POLICIES:
        grown = after["memory"][f"array-{policy}"] - after["memory before"][f"array-{policy}"]
        assert grown < BUFFER_BYTES + MEMORY_BYTES


def test_all_processes_end_in_order_after_it(after):
    assert set(after["codes"].values()) == {0}
