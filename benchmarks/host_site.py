"""A run over machines with a network, an sshd and a disk of their own: what `h5daq launch` is for.

The machines are those of a `Lab`. The first one launches and has the writer, the others have the
instruments and an sshd. Each sees its own directory where its disk is, so that what was written
where can be told apart, and has a wall clock that can be set. Getters count their readings on that
disk, too: what was read can be held against what is in the files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import h5daq
from benchmarks.fault_clock import Clock
from benchmarks.fault_lab import Host, Lab, missing
from benchmarks.fault_site import until

__all__ = ["Fate", "HostSite", "host_site", "why_not"]

ROOT = Path(h5daq.__file__).parents[1]
HOOKS = ROOT / "benchmarks" / "fault_hooks"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH')}:/usr/sbin")
PORTS = {"data": 5572, "requests": 5570, "signals": 5571}

_CONFIG = """
[run]
name = "towers"
directory = "{disk}/data"
write_period = 0.5
drain_timeout = {drain_timeout}

[writer]
host = "{writer}"
data = "tcp://*:{data}"
requests = "tcp://*:{requests}"
signals = "tcp://*:{signals}"

[security]
keys = "{folder}/keys"
"""

_HOST = """
[hosts.{name}]
ssh = "{name}"
python = "{python}"
sync = ["towers"]
"""

_JOB = """
[[jobs]]
group = "{group}"
{host}
getter = "towers.reading:Counter"
args = {{ folder = "{disk}/read/{group}", width = {width} }}
columns = [{{ label = "pid", dtype = "i8" }}, {{ label = "n", dtype = "i8" }},
           {{ label = "wave", dtype = "i2", shape = [{width}] }}]
{more}
"""

_GETTER = """
import os
from pathlib import Path

import numpy as np


class Counter:
    '''Counts its readings, also on disk: what was read can be held against what was kept.'''

    def __init__(self, folder, width):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.n, self.pid, self.wave = -1, os.getpid(), np.zeros(width, np.int16)
        self.file = os.open(Path(folder, str(self.pid)), os.O_CREAT | os.O_WRONLY)

    def __call__(self):
        self.n += 1
        os.pwrite(self.file, b"%d" % self.n, 0)
        return self.pid, self.n, self.wave
"""

_SSH_CONFIG = """
Host {impatient}
  ConnectTimeout 3
Host h*
  ConnectTimeout 60
  User root
  IdentityFile {folder}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
"""

_ASKER = """
import json, sys

import h5daq

for line in sys.stdin:
    endpoint, keys, verb = json.loads(line)
    try:
        with h5daq.connect(endpoint, keys=keys) as client:
            answer = client.request(verb, timeout=3.0)
    except h5daq.H5daqError as error:
        answer = {"error": str(error), "jobs": {}}
    print(json.dumps(answer), flush=True)
"""

_MOUNT = 'mount --bind "$0" "$1" && shift && exec "$@"'
"""In the mount namespace that `ip netns exec` has made; nobody else sees it."""


def why_not() -> str:
    """Why there can be no such machines here; empty if there can."""
    return missing() or ("" if SSHD else "not installed: sshd (openssh-server)")


@dataclass
class Fate:
    """What became of the rows of one job.

    Attributes
    ----------
    read : int
        Readings of its instrument.
    kept, distinct : int
        Rows in the files, and how many different ones these are.
    lost : Counter
        By cause, rows that the files say they have not.
    ordered : bool
        Whether no file has a row twice, or behind a later one of the same worker.
    """

    read: int = 0
    kept: int = 0
    distinct: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    ordered: bool = True

    @property
    def accounted(self) -> bool:
        """Whether each row that was read is in one file, once, or counted as lost."""
        whole = self.ordered and self.kept == self.distinct
        return whole and self.read == self.kept + self.lost.total()


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
        self._sshds: list[subprocess.Popen[Any]] = []
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
        (self.folder / "towers" / "reading.py").write_text(_GETTER)
        python = self.folder / "python"
        kept = ["PYTHONPATH", "XDG_STATE_HOME", "OPENBLAS_NUM_THREADS", "H5DAQ_FAULT_CLOCK"]
        given = " ".join(f"{name}={self.environment[name]}" for name in kept)
        python.write_text(f'#!/bin/sh\n{given} exec {sys.executable} "$@"\n')
        python.chmod(0o700)
        self.write_config(self.writer)
        self._make_ssh()
        done = self.h5daq("keys", "init", self.folder / "keys")
        assert done.returncode == 0, done.stderr

    def write_config(self, writer: str) -> None:
        """Write the configuration, with the writer on this machine."""
        self.writer = writer
        text = _CONFIG.format(
            writer=writer, folder=self.folder, disk=self.disk, drain_timeout=self._drain_timeout,
            **PORTS,
        )  # fmt: skip
        for host in self.others:
            text += _HOST.format(name=host.name, python=self.folder / "python")
        for name, tables in self.jobs.items():
            text += "".join(self._job(name, table) for table in tables)
        self.config.write_text(text)

    def _job(self, name: str, table: Mapping[str, Any]) -> str:
        more = {k: v for k, v in table.items() if k not in ("group", "width")}
        return _JOB.format(
            group=table["group"], width=table.get("width", 1), disk=self.disk,
            host="" if name == self.here.name else f'host = "{name}"',
            more="\n".join(f"{key} = {json.dumps(value)}" for key, value in more.items()),
        )  # fmt: skip

    def _make_ssh(self) -> None:
        folder = self.folder
        for name in ("id", "host_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        public = (folder / "host_key.pub").read_text().split()[:2]
        names = [f"{host.name} {' '.join(public)}\n" for host in self.others]
        (folder / "known_hosts").write_text("".join(names))
        self.expect(None)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for host in self.others:
            self._begin_sshd(host)
        until(lambda: len(list(folder.glob("sshd-*.pid"))) == len(self.others), 120.0, "sshd")

    def expect(self, gone: Host | None) -> None:
        """Have ssh give up that host soon, and no other one: a busy machine lets them all wait."""
        name = "nobody" if gone is None else gone.name
        text = _SSH_CONFIG.format(folder=self.folder, impatient=name)
        (self.folder / "ssh_config").write_text(text)

    def _begin_sshd(self, host: Host) -> None:
        options = {
            "ListenAddress": host.address, "HostKey": self.folder / "host_key",
            "AuthorizedKeysFile": self.folder / "id.pub", "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no", "UsePAM": "no", "StrictModes": "no",
            "PidFile": self.folder / f"sshd-{host.name}.pid",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        command = self._at(host, [str(SSHD), "-D", "-e", "-f", "/dev/null", *words])
        with open(self.folder / f"sshd-{host.name}.log", "wb") as log:
            self._sshds.append(self.lab.popen(host, command, stderr=log))

    def close(self) -> None:
        """Let go of the asker; the rest ends with the lab."""
        if self._asker is not None:
            self._asker.communicate()

    def mourn(self) -> None:
        """Wait for the sshds, which have ended with the lab."""
        for sshd in self._sshds:
            sshd.wait(60)

    # -- commands ------------------------------------------------------------------------------

    def _at(self, host: Host, words: Sequence[str]) -> list[str]:
        return ["sh", "-c", _MOUNT, str(self.disk_of(host.name)), str(self.disk), *words]

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
        return f"ssh -F {self.folder}/ssh_config"

    # -- looking -------------------------------------------------------------------------------

    def ask(self, verb: str = "status") -> dict[str, Any]:
        """What the writer answers, without a process for each question."""
        if self._asker is None:
            command = self._at(self.here, [sys.executable, "-c", _ASKER])
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
        fate, rows, lost = Fate(), [], {}
        for path in sorted(self.folder.glob("disks/*/data/*.hdf5")):
            with h5py.File(path) as file:
                if group in file:
                    rows.append(np.stack([file[group]["pid"][:], file[group]["n"][:]], axis=1))
                    # Counts go on from file to file of a run.
                    lost[str(file.attrs["run_id"])] = _lost(file[group])
        fate.lost = sum(lost.values(), Counter())
        fate.ordered = all(map(_ordered, rows))
        fate.kept = sum(map(len, rows))
        fate.distinct = len(np.unique(np.concatenate(rows), axis=0)) if rows else 0
        counts = (self.disk_of(name) / "read" / group).iterdir()
        fate.read = sum(int(path.read_text()) + 1 for path in counts)
        return fate


def _lost(group: h5py.Group) -> Counter[str]:
    """What a file says of rows that are in none; late ones are in a later file."""
    told = {key.removeprefix("lost_"): int(n) for key, n in group.attrs.items()
            if key.startswith("lost_")}  # fmt: skip
    told.pop("late", None)
    return Counter(told)


def _ordered(rows: np.ndarray) -> bool:
    return all((np.diff(rows[rows[:, 0] == pid, 1]) >= 1).all() for pid in np.unique(rows[:, 0]))


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
