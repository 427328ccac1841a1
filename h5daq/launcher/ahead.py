"""Connections that are opened ahead: ssh goes there while the configuration is being judged.

To load what judges it takes as long as to reach a host. Whom it names is read from it before, and
nothing else of it: a connection that turns out to be another than the one that is asked for is let
go of, and the right one opened. Nothing is done on a host before all of the configuration is sound.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from h5daq.flow.closing import Closing
from h5daq.launcher.parcel import key_of
from h5daq.launcher.probe import words_of
from h5daq.launcher.shell import SshShell
from h5daq.launcher.talk import Talk

__all__ = ["Ahead"]

_PYTHON = "python3"
"""What a host's Python is called unless the configuration says otherwise."""


class Ahead(Closing):
    """The connections to all hosts with jobs that a configuration names.

    Parameters
    ----------
    config : Path
        The configuration; one that can't be read names nobody.
    ssh : sequence of str
        The program, with further options.
    """

    def __init__(self, config: Path, ssh: Sequence[str]) -> None:
        self._talks: dict[tuple[str, ...], Talk] = {}
        for name, address, python in _hosts(config.expanduser().resolve()):
            words = words_of(python, key=key_of(config, name), name=name)
            command = tuple(SshShell(address, ssh).command(words))
            self._talks[command] = Talk(command)

    def take(self, command: Sequence[str]) -> Talk | None:
        """The connection by this command, which is the taker's from now on."""
        return self._talks.pop(tuple(command), None)

    def close(self) -> None:
        """Let go of those that nobody has taken."""
        for talk in self._talks.values():
            talk.drop()
        self._talks.clear()


def _hosts(config: Path) -> Iterator[tuple[str, Any, Any]]:
    """Name, address and Python of each host with jobs, where they are what they should be."""
    try:
        raw = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # that is said when it is loaded
    hosts, jobs = raw.get("hosts"), raw.get("jobs")
    if not isinstance(hosts, dict) or not isinstance(jobs, list):
        return
    used = [job.get("host") for job in jobs if isinstance(job, dict)]
    for name, host in hosts.items():
        if name in used and isinstance(host, dict):
            ways = host.get("ssh"), host.get("python", _PYTHON)
            if all(isinstance(way, str) for way in ways):
                yield name, *ways
