"""Hosts that are network namespaces of this machine, and a switch between them that can fail.

Each host has its own stack, address and hostname; a bridge in a namespace of its own joins them,
and nothing leads out. What a proxy can only play happens here in the kernel: packets are lost
(nftables), a link goes down, a peer is gone without FIN or RST, one direction alone is blocked.

Needs root, iproute2 and nftables; `missing` says what is not there. Everything made here has a name
that nobody else has, and is removed at the end, also after an error.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Host", "Lab", "missing"]


def missing() -> str:
    """Why no lab can be made here; empty if one can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "making network namespaces takes root"
    needed = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
    tools = [f"{tool} ({package})" for tool, package in needed.items()
             if shutil.which(tool) is None]  # fmt: skip
    if tools:
        return f"not installed: {', '.join(tools)}"
    name = f"h5t{secrets.token_hex(3)}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return f"no network namespaces here: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass(frozen=True)
class Host:
    """One host: its name as others know it, its address, and its namespace."""

    name: str
    address: str
    namespace: str

    @property
    def prefix(self) -> list[str]:
        """What is put before a command to run it there, with the host's own name.

        Each word replaces the process by the next, so the id of the first is that of the last.
        """
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', self.name]
        return ["ip", "netns", "exec", self.namespace, *named]


class Lab:
    """Hosts h1, h2 … on one switch; a context manager.

    Parameters
    ----------
    count : int
        Number of hosts.

    Attributes
    ----------
    hosts : list of Host
        Host number k has the address ``10.77.0.k``.

    Examples
    --------
    >>> from tests.hosts.lab.network import Lab, missing
    >>> if not missing():
    ...     with Lab(2) as lab:
    ...         h1, h2 = lab.hosts
    ...         done = lab.run(h1, ["ping", "-c1", "-W1", h2.address], check=False)
    """

    def __init__(self, count: int = 2) -> None:
        self.name = f"h5{secrets.token_hex(3)}"
        self._switch = f"{self.name}-sw"
        self.hosts = [
            Host(f"h{k}", f"10.77.0.{k}", f"{self.name}-h{k}") for k in range(1, count + 1)
        ]

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- commands on hosts ----------------------------------------------------------------------

    def popen(self, host: Host, words: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a command on a host; signals to the process reach the command itself."""
        return subprocess.Popen([*host.prefix, *words], **options)

    def run(
        self, host: Host, words: Sequence[str], **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Run a command on a host to its end."""
        options = {"check": True, "capture_output": True, "text": True, **options}
        return subprocess.run([*host.prefix, *words], **options)

    # -- faults ---------------------------------------------------------------------------------

    def cut(self, host: Host) -> None:
        """Pull the cable of a host: the link is down."""
        _ip("-n", self._switch, "link", "set", self._port(host), "down")

    def heal(self, host: Host) -> None:
        """Put the cable back, and let all packets pass."""
        _ip("-n", self._switch, "link", "set", self._port(host), "up")
        self.pass_all(host)

    def lose(self, host: Host, percent: float) -> None:
        """Lose so many of the packets that the host receives, by chance."""
        self._rule(host, f"numgen random mod 1000 < {round(10 * percent)} drop")

    def deafen(self, host: Host, *sources: Host) -> None:
        """The host hears nothing any more (from some hosts), while what it sends still passes."""
        wanted = sources or [other for other in self.hosts if other != host]
        self._rule(host, f"ip saddr {{ {', '.join(h.address for h in wanted)} }} drop")

    def isolate(self, host: Host) -> None:
        """The host hears and is heard no more, without a word: its peers have half-open links."""
        self._rule(host, "drop", "drop")

    def part(self, one: Host, other: Host) -> None:
        """These two hear each other no more; all others hear both."""
        self.deafen(one, other)
        self.deafen(other, one)

    def limit(self, host: Host, kilobytes: float) -> None:
        """The host sends at most so many kB/s; what it has to send waits in its kernel."""
        rate = ["rate", f"{round(8 * kilobytes)}kbit", "burst", "16kb", "latency", "400ms"]
        _run(["tc", "-n", host.namespace, "qdisc", "replace", "dev", "eth0", "root", "tbf", *rate])

    def unlimit(self, host: Host) -> None:
        """Undo `limit`."""
        _run(["tc", "-n", host.namespace, "qdisc", "del", "dev", "eth0", "root"])

    def pass_all(self, host: Host) -> None:
        """Undo `lose`, `deafen`, `isolate`, and a `part` on this side."""
        _in(host.namespace, "nft", "flush", "ruleset")

    def _rule(self, host: Host, inward: str, outward: str = "") -> None:
        rules = "add chain inet lab in { type filter hook input priority 0; }\n"
        rules += f"add rule inet lab in iif != lo {inward}\n"
        if outward:
            rules += "add chain inet lab out { type filter hook output priority 0; }\n"
            rules += f"add rule inet lab out oif != lo {outward}\n"
        self.pass_all(host)
        _in(host.namespace, "nft", "-f", "-", given=f"add table inet lab\n{rules}")

    # -- making and removing --------------------------------------------------------------------

    def _build(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "br0", "up")
        names = "".join(f"{host.address} {host.name}\n" for host in self.hosts)
        for host in self.hosts:
            self._plug_in(host, names)

    def _plug_in(self, host: Host, names: str) -> None:
        space, port = host.namespace, self._port(host)
        _ip("netns", "add", space)
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("link", "add", port, "netns", self._switch,
            "type", "veth", "peer", "name", "eth0", "netns", space)  # fmt: skip
        _ip("-n", self._switch, "link", "set", port, "master", "br0", "up")
        _ip("-n", space, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        # `ip netns exec` mounts what lies here over /etc.
        etc = Path("/etc/netns") / space
        etc.mkdir(parents=True)
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n{names}")

    def _port(self, host: Host) -> str:
        return f"v-{host.name}"

    def close(self) -> None:
        """End what still runs on the hosts, and remove everything."""
        spaces = [*(host.namespace for host in self.hosts), self._switch]
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._signal_all(spaces, number) and number == signal.SIGTERM:
                self._await_end(spaces)
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
            shutil.rmtree(Path("/etc/netns") / space, ignore_errors=True)
        with suppress(OSError):
            Path("/etc/netns").rmdir()

    def _await_end(self, spaces: Sequence[str], seconds: float = 2.0) -> None:
        deadline = time.monotonic() + seconds
        while any(map(_processes, spaces)) and time.monotonic() < deadline:
            time.sleep(0.05)

    def _signal_all(self, spaces: Sequence[str], number: int) -> bool:
        pids = [pid for space in spaces for pid in _processes(space)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return bool(pids)


def _processes(space: str) -> list[int]:
    found = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def _in(space: str, *words: str, given: str | None = None) -> None:
    _run(["ip", "netns", "exec", space, *words], given)


def _ip(*words: str) -> None:
    _run(["ip", *words])


def _run(words: list[str], given: str | None = None) -> None:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
