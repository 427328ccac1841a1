"""A network that fails in every way: no row is lost, doubled or misordered by it.

A real writer and a real worker, started by their commands, with a proxy between them. The fault
lasts until the worker has read on for a while; then it heals, and all must come into the file.
"""

import contextlib
import signal

import psutil
import pytest

from benchmarks.fault_messages import Repeater
from benchmarks.fault_proxy import BACK, OUT, Proxy
from benchmarks.fault_site import Site, until

pytestmark = pytest.mark.processes

JOB = {"array": {"buffer_bytes": 200_000, "read_period": 0.002}}
"""A megabyte a second, a fifth of which fits into memory: the rest goes through the spool."""


class Network:
    """A site with a proxy for each socket of the worker."""

    def __init__(self, folder):
        self.site = Site(folder, JOB)
        self.proxies = {name: Proxy(self.site.bound[name]) for name in ("data", "signals")}
        self.site.reached |= {name: proxy.endpoint for name, proxy in self.proxies.items()}
        self.data, self.signals = self.proxies.values()

    def both(self, verb, *args):
        for proxy in self.proxies.values():
            getattr(proxy, verb)(*args)

    def heal(self):
        for name, proxy in self.proxies.items():
            proxy.target = self.site.bound[name]
        self.both("heal")

    def close(self):
        self.site.close()
        self.both("close")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with contextlib.closing(Network(tmp_path_factory.mktemp("site"))) as made:
        made.site.start()
        until(lambda: made.site.produced("array") > 100, what="the worker's start")
        yield made


def resets(network):
    for after in (0, 1, 100, 3000, 70_000):
        network.both("reset", after)
        network.site.go_on("array", 30)


def slow(network):
    for proxy in network.proxies.values():
        proxy.rate, proxy.delay = 200_000.0, 0.05


FAULTS = {
    "the writer can't be reached": lambda network: network.both("cut"),
    "connections are reset within messages": resets,
    "no position comes back": lambda network: network.signals.stall(),
    "no row gets through": lambda network: network.data.stall(),
    "the data socket is half-open one way": lambda network: network.data.stall(OUT),
    "the data socket is half-open the other way": lambda network: network.data.stall(BACK),
    "the signals socket is half-open": lambda network: network.signals.stall(BACK),
    "the network is slow and late": slow,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_row_comes_once_and_in_order_although(network, fault):
    try:
        FAULTS[fault](network)
        network.site.go_on("array", 250)
    finally:
        network.heal()
    assert network.site.catch_up("array").whole


def test_a_peer_that_vanished_without_a_word_is_given_up_and_met_again(network):
    network.both("vanish")
    network.site.go_on("array", 100)
    network.heal()
    # The connections at hand stay dead for ever: only new ones carry anything.
    assert network.site.catch_up("array").whole


def test_messages_that_are_lost_repeated_and_late_cost_no_row_and_double_none(network):
    bound, before = network.site.bound, network.site.catch_up("array").found
    with Repeater(bound["data"], bound["signals"]) as repeater:
        network.data.target, network.signals.target = repeater.data, repeater.signals
        network.both("reset")
        until(lambda: min(repeater.done[what] for what in ("lost", "twice", "late")) > 10)
        until(lambda: network.site.account("array").found > before + 100)
        network.heal()
    network.both("reset")
    assert network.site.catch_up("array").whole


@pytest.mark.parametrize("stopped", ["writer", "array"])
def test_a_process_that_is_stopped_and_goes_on_costs_no_row(network, stopped):
    site = network.site
    before = site.produced("array")
    site.signal(stopped, signal.SIGSTOP)
    try:
        until(lambda: psutil.Process(site.processes[stopped].pid).status() == "stopped")
        if stopped == "writer":
            site.go_on("array", 400)
    finally:
        site.signal(stopped, signal.SIGCONT)
    until(lambda: site.produced("array") > before)
    assert site.catch_up("array").whole


def test_a_writer_that_comes_back_elsewhere_is_found_behind_the_same_name(network):
    network.site.kill("writer")
    network.site.move_writer()
    network.site.go_on("array", 100)
    network.heal()
    network.site.start_writer()
    assert network.site.catch_up("array").whole
