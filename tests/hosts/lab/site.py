"""A run over machines with a network, an sshd and a disk of their own: what `h5daq launch` is for.

The machines are those of a `Lab`. The first one launches and has the writer, the others have the
instruments and an sshd. Each sees its own directory where its disk is, so that what was written
where can be told apart, and has a wall clock that can be set. Getters count their readings on that
disk, too: what was read can be held against what is in the files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5daq
from benchmarks.fault_clock import Clock
from tests.hosts.lab.fate import Fate, fate_of
from tests.hosts.lab.network import Host, Lab, missing
from tests.hosts.lab.ssh import SSHD, Sshds
from tests.hosts.lab.texts import ASKER, CONFIG, GETTER, HOST, JOB

__all__ = ["HostSite", "host_site", "why_not"]

ROOT = Path(h5daq.__file__).parents[1]
HOOKS = ROOT / "benchmarks" / "fault_hooks"
PORTS = {"data": 5572, "requests": 5570, "signals": 5571}

_MOUNT = 'mount --bind "$0" "$1" && shift && exec "$@"'
"""In the mount namespace that `ip netns exec` has made; nobody else sees it."""


def why_not() -> str:
    """Why there can be no such machines here; empty if there can."""
    return missing() or ("" if SSHD else "not installed: sshd (openssh-server)")


class HostSite:
    """A lab with sshd, and a configuration for it.

    Parameters
    ----------
    folder : Path
        All is made here; each machine's disk is ``disks/<name>``.
    lab : Lab
        The machines.
    jobs : mapping of str to sequence of mapping
        Per machine the tables of its jobs: ``group``, ``width`` of the column ``wave``, and any
        other key, by its name.
    drain_timeout : float
        Seconds that a stop waits for rows.

    Attributes
    ----------
    clocks : dict of str to Clock
        Each machine's wall clock, which can be set.
    """

    def __init__(
        self, folder: Path, lab: Lab, jobs: Mapping[str, Sequence[Mapping[str, Any]]],
        drain_timeout: float = 20.0,
    ) -> None:  # fmt: skip
        self.folder, self.lab, self.jobs = folder, lab, jobs
        self.here, *self.others = lab.hosts
        self.config, self.disk = folder / "lab.toml", folder / "disk"
        self.writer, self._drain_timeout = self.here.name, drain_timeout
        self.clocks: dict[str, Clock] = {}
        self._sshds = Sshds(folder, self.others, self._popen)
        self._asker: subprocess.Popen[str] | None = None
        self.environment = {
            **os.environ, "PYTHONPATH": f"{HOOKS}:{ROOT}", "OPENBLAS_NUM_THREADS": "1",
            "XDG_STATE_HOME": str(self.disk / "state"),
            "H5DAQ_FAULT_CLOCK": str(self.disk / "clock"),
        }  # fmt: skip

    # -- making --------------------------------------------------------------------------------

    def make(self) -> None:
        """Make disks, modules, keys and the configuration, and start the sshds."""
        for host in self.lab.hosts:
            self.disk_of(host.name).mkdir(parents=True)
            self.clocks[host.name] = Clock(self.disk_of(host.name) / "clock")
        for path in (self.disk, self.folder / "towers"):
            path.mkdir()
        (self.folder / "towers" / "__init__.py").touch()
        (self.folder / "towers" / "reading.py").write_text(GETTER)
        python = self.folder / "python"
        kept = ["PYTHONPATH", "XDG_STATE_HOME", "OPENBLAS_NUM_THREADS", "H5DAQ_FAULT_CLOCK"]
        given = " ".join(f"{name}={self.environment[name]}" for name in kept)
        python.write_text(f'#!/bin/sh\n{given} exec {sys.executable} "$@"\n')
        python.chmod(0o700)
        self.write_config(self.writer)
        self._sshds.start()
        done = self.h5daq("keys", "init", self.folder / "keys")
        assert done.returncode == 0, done.stderr

    def write_config(self, writer: str) -> None:
        """Write the configuration, with the writer on this machine."""
        self.writer = writer
        text = CONFIG.format(
            writer=writer, folder=self.folder, disk=self.disk, drain_timeout=self._drain_timeout,
            **PORTS,
        )  # fmt: skip
        for host in self.others:
            text += HOST.format(name=host.name, python=self.folder / "python")
        for name, tables in self.jobs.items():
            text += "".join(self._job(name, table) for table in tables)
        self.config.write_text(text)

    def _job(self, name: str, table: Mapping[str, Any]) -> str:
        more = {k: v for k, v in table.items() if k not in ("group", "width")}
        return JOB.format(
            group=table["group"], width=table.get("width", 1), disk=self.disk,
            host="" if name == self.here.name else f'host = "{name}"',
            more="\n".join(f"{key} = {json.dumps(value)}" for key, value in more.items()),
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the asker; the rest ends with the lab."""
        if self._asker is not None:
            self._asker.communicate()

    def mourn(self) -> None:
        """Wait for what has ended with the lab."""
        self._sshds.mourn()

    def expect(self, gone: Host | None) -> None:
        """Have ssh give up that machine soon, and no other one."""
        self._sshds.expect(gone)

    # -- commands ------------------------------------------------------------------------------

    def _at(self, host: Host, words: Sequence[str]) -> list[str]:
        return ["sh", "-c", _MOUNT, str(self.disk_of(host.name)), str(self.disk), *words]

    def _popen(self, host: Host, words: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        return self.lab.popen(host, self._at(host, words), **options)

    def run(self, host: Host, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """A command on a machine, to its end."""
        return self.lab.run(
            host, self._at(host, words), check=False, env=self.environment, cwd=self.folder
        )

    def h5daq(self, *words: object) -> subprocess.CompletedProcess[str]:
        """An `h5daq` command on the first machine, to its end."""
        return self.run(self.here, [sys.executable, "-m", "h5daq", *map(str, words)])

    def launch(self, *words: object) -> subprocess.CompletedProcess[str]:
        """`h5daq launch` with these options."""
        return self.h5daq("launch", self.config, *words, "--ssh", self.ssh)

    def start_launch(self, **options: Any) -> subprocess.Popen[Any]:
        """`h5daq launch` that goes on."""
        words = [sys.executable, "-m", "h5daq", "launch", str(self.config), "--ssh", self.ssh]
        return self.lab.popen(
            self.here, self._at(self.here, words), env=self.environment, cwd=self.folder, **options
        )

    def stop(self, *words: object) -> subprocess.CompletedProcess[str]:
        """`h5daq stop` of everything by the configuration."""
        return self.h5daq("stop", "--config", self.config, "--ssh", self.ssh, *words)

    @property
    def ssh(self) -> str:
        """The ssh of these machines."""
        return self._sshds.command

    # -- looking -------------------------------------------------------------------------------

    def ask(self, verb: str = "status") -> dict[str, Any]:
        """What the writer answers, without a process for each question."""
        if self._asker is None:
            command = self._at(self.here, [sys.executable, "-c", ASKER])
            self._asker = self.lab.popen(
                self.here, command, env=self.environment, cwd=self.folder, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
        asker, endpoint = self._asker, f"tcp://{self.writer}:{PORTS['requests']}"
        assert asker.stdin is not None
        assert asker.stdout is not None
        print(json.dumps([endpoint, "keys", verb]), file=asker.stdin, flush=True)
        answer: dict[str, Any] = json.loads(asker.stdout.readline())
        return answer

    @property
    def groups(self) -> list[tuple[str, str]]:
        """Machine and group of each job."""
        return [(name, str(job["group"])) for name, jobs in self.jobs.items() for job in jobs]

    def job(self, group: str) -> dict[str, Any]:
        """What the writer says of a job; empty while it says nothing."""
        found: dict[str, Any] = self.ask()["jobs"].get(group, {})
        return found

    def rows(self, group: str) -> int:
        """How many rows of a job are committed."""
        return int(self.job(group).get("rows", 0))

    def disk_of(self, name: str) -> Path:
        """A machine's disk, from outside."""
        return self.folder / "disks" / name

    def record(self, name: str, kind: str = "") -> dict[str, Any]:
        """What the process of a machine, or the run there (`kind` "writer"), says of itself."""
        places = self.disk_of(name) / "state" / "h5daq" / "hosts"
        for path in places.glob(f"{kind or f'host-{name}'}-*/record.json"):
            found: dict[str, Any] = json.loads(path.read_text())
            return found
        return {}

    def hears(self, name: str) -> bool:
        """Whether a machine's agent has an answer from the writer."""
        return bool((self.record(name).get("writer") or {}).get("answers"))

    def fate(self, name: str, group: str) -> Fate:
        """The account of a job: its machine's own count against all files on all machines."""
        files = self.folder.glob("disks/*/data/*.hdf5")
        return fate_of(group, files, self.disk_of(name) / "read" / group)


@contextmanager
def host_site(folder: Path, count: int, jobs: Mapping[str, Any], **more: Any) -> Iterator[HostSite]:
    """A site of so many machines, removed at the end."""
    with Lab(count) as lab:
        site = HostSite(folder, lab, jobs, **more)
        try:
            site.make()
            yield site
        finally:
            site.close()
    site.mourn()
