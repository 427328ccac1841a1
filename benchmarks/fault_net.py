"""Networks that fail between the workers and the writer, and peers that stand still.

The workers of a campaign with a network go through proxies (`benchmarks.fault_proxy`); each fault
here lasts some seconds and then heals, or leaves behind connections that are dead for ever. The
other faults stop a process of each kind for a while, as a debugger or a full swap does.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.fault_kinds import Fault
from benchmarks.fault_messages import Repeater
from benchmarks.fault_proxy import BACK, OUT, Proxy, anywhere, free_port

if TYPE_CHECKING:
    from benchmarks.faults import Campaign

__all__ = ["KINDS", "Network"]

_NAMES = ("data", "requests", "signals")


class Network:
    """Endpoints of a writer on loopback, and proxies that workers take for it."""

    def __init__(self) -> None:
        self.bound = {name: f"tcp://127.0.0.1:{free_port()}" for name in _NAMES}
        self.data, self.signals = Proxy(self.bound["data"]), Proxy(self.bound["signals"])

    @property
    def options(self) -> dict[str, object]:
        """For `benchmarks.fault_system`."""
        through = {"data": self.data.endpoint, "signals": self.signals.endpoint}
        return {**self.bound, "insecure": True, "through": through}

    @property
    def proxies(self) -> tuple[Proxy, Proxy]:
        """That of the data socket and that of the signals."""
        return self.data, self.signals

    def each(self, act: Callable[[Proxy], None]) -> None:
        """Do something to both."""
        for proxy in self.proxies:
            act(proxy)

    def close(self) -> None:
        """End it."""
        self.each(Proxy.close)


def _for_a_while(act: Callable[[Network], None], most: float = 8.0) -> Callable[[Campaign], None]:
    def fault(campaign: Campaign) -> None:
        assert campaign.network is not None
        act(campaign.network)
        _outlast(campaign, campaign.random.uniform(0.2, most))
        campaign.network.each(Proxy.heal)

    return fault


def _outlast(campaign: Campaign, seconds: float) -> None:
    """Let it go on for so long, with an eye on the memory of the workers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        campaign.peak_memory = max(campaign.peak_memory, campaign.prey.memory("worker"))
        time.sleep(0.2)


def _slow(network: Network) -> None:
    for proxy in network.proxies:
        proxy.rate, proxy.delay = 300_000.0, 0.1


def _resets(campaign: Campaign) -> None:
    assert campaign.network is not None
    for _ in range(5):
        after = anywhere(campaign.random)
        campaign.network.each(lambda proxy, after=after: proxy.reset(after))  # type: ignore[misc]
        _outlast(campaign, campaign.random.uniform(0.0, 0.5))


def _messages(campaign: Campaign) -> None:
    network, seed = campaign.network, campaign.random.randrange(1 << 30)
    assert network is not None
    with Repeater(network.bound["data"], network.bound["signals"], seed, delay=1.0) as repeater:
        network.data.target, network.signals.target = repeater.data, repeater.signals
        network.each(Proxy.reset)
        _outlast(campaign, 4.0)
        network.data.target, network.signals.target = (
            network.bound["data"], network.bound["signals"]
        )  # fmt: skip
    network.each(Proxy.reset)


def _dead_while_cut(campaign: Campaign) -> None:
    """The worker that holds rows which can't get through dies; the next one finds its spool."""
    assert campaign.network is not None
    campaign.network.each(Proxy.cut)
    _outlast(campaign, 1.0)
    campaign.prey.kill("worker", one=campaign.random)
    campaign.prey.await_new("worker", 10.0)
    _outlast(campaign, campaign.random.uniform(0.0, 3.0))
    campaign.network.each(Proxy.heal)


def _stopped(role: str) -> Callable[[Campaign], None]:
    return lambda campaign: campaign.prey.halt(role, campaign.random.uniform(0.5, 9.0))


def _guest(kind: str, endpoint: str) -> Callable[[Campaign], None]:
    """A guest is stopped in the midst of what it does, and never goes on."""

    def fault(campaign: Campaign) -> None:
        words = [sys.executable, "-m", "benchmarks.fault_guest", kind, campaign.about[endpoint]]
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=campaign.environment) as guest:
            assert guest.stdout is not None
            for _ in range(3):
                guest.stdout.readline()
            guest.send_signal(signal.SIGSTOP)
            _outlast(campaign, campaign.random.uniform(0.5, 9.0))
            guest.kill()

    return fault


def _net(name: str, act: Callable[[Campaign], None]) -> Fault:
    return Fault(f"net: {name}", act, network=True)


KINDS = [
    _net("cut", _for_a_while(lambda net: net.each(Proxy.cut))),
    _net("no position back", _for_a_while(lambda net: net.signals.stall())),
    _net("no row out", _for_a_while(lambda net: net.data.stall())),
    _net("data half-open out", _for_a_while(lambda net: net.data.stall(OUT))),
    _net("data half-open back", _for_a_while(lambda net: net.data.stall(BACK))),
    _net("gone without a word", _for_a_while(lambda net: net.each(Proxy.vanish), 4.0)),
    _net("slow", _for_a_while(_slow, 4.0)),
    _net("resets", _resets),
    _net("messages lost, twice, late", _messages),
    _net("worker killed while cut", _dead_while_cut),
    Fault("stand still: writer", _stopped("writer")),
    Fault("stand still: workers", _stopped("worker")),
    Fault("stand still: nursery", _stopped("nursery")),
    Fault("stand still: subscriber", _guest("subscriber", "signals")),
    Fault("stand still: client", _guest("client", "requests")),
]
"""Faults after which the run goes on."""
