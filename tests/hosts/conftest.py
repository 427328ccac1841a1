"""Machines with a network and an sshd of their own: what `h5daq launch` is made for.

The first one has the writer and launches, the others have the instruments. They share this
machine's disk, so that a test can read what each of them wrote.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import h5daq
from benchmarks.fault_lab import Lab, missing

ROOT = Path(h5daq.__file__).parents[1]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH')}:/usr/sbin")

CONFIG = """
[run]
name = "towers"
directory = "data"
write_period = 0.5
drain_timeout = 20

[writer]
host = "h1"
data = "tcp://*:5572"
requests = "tcp://*:5570"
signals = "tcp://*:5571"

[security]
keys = "keys"
"""

HOST = """
[hosts.{name}]
ssh = "{name}"
python = "{python}"
sync = ["towers"]

[[jobs]]
group = "tower/{name}"
host = "{name}"
getter = "towers.reading:Counter"
args = {{ folder = "{folder}" }}
read_period = 0.02
columns = [{{ label = "pid", dtype = "i8" }}, {{ label = "n", dtype = "i8" }}]
"""

COUNTER = """
import os
from pathlib import Path


class Counter:
    '''Counts its readings, also on disk: what was read can be held against what was kept.'''

    def __init__(self, folder):
        self.n = -1
        self.pid = os.getpid()
        self.path = Path(folder, str(self.pid))

    def __call__(self):
        self.n += 1
        self.path.write_text(str(self.n))
        return self.pid, self.n
"""

SSH_CONFIG = """
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


def why_not():
    """Why there can be no such machines here; empty if there can."""
    return missing() or ("" if SSHD else "not installed: sshd (openssh-server)")


class Site:
    """A lab with sshd, and a configuration for it."""

    def __init__(self, folder, lab):
        self.folder, self.lab = folder, lab
        self._sshds = []
        self.here, *self.others = lab.hosts
        self.config, self.data, self.read = (
            folder / "lab.toml", folder / "data", folder / "read",
        )  # fmt: skip
        self.environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip

    def make(self):
        for each in ("read", "towers"):
            (self.folder / each).mkdir()
        (self.folder / "towers" / "__init__.py").touch()
        (self.folder / "towers" / "reading.py").write_text(COUNTER)
        python = self.folder / "python"
        kept = ["PYTHONPATH", "XDG_STATE_HOME"]
        given = " ".join(f"{name}={self.environment[name]}" for name in kept)
        python.write_text(f'#!/bin/sh\n{given} exec {sys.executable} "$@"\n')
        python.chmod(0o700)
        hosts = [HOST.format(name=h.name, python=python, folder=self.read) for h in self.others]
        self.config.write_text(CONFIG + "".join(hosts))
        self._make_ssh()
        done = self.h5daq("keys", "init", self.folder / "keys")
        assert done.returncode == 0, done.stderr

    def _make_ssh(self):
        folder = self.folder
        for name in ("id", "host_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
            )
        public = (folder / "host_key.pub").read_text().split()[:2]
        names = [f"{host.name} {' '.join(public)}\n" for host in self.others]
        (folder / "known_hosts").write_text("".join(names))
        self.expect(None)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for host in self.others:
            self._begin_sshd(host)

    def expect(self, gone):
        """Have ssh give up that host soon, and no other one."""
        name = "nobody" if gone is None else gone.name
        text = SSH_CONFIG.format(folder=self.folder, impatient=name)
        (self.folder / "ssh_config").write_text(text)

    def _begin_sshd(self, host):
        options = {
            "ListenAddress": host.address, "HostKey": self.folder / "host_key",
            "AuthorizedKeysFile": self.folder / "id.pub", "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no", "UsePAM": "no", "StrictModes": "no",
            "PidFile": self.folder / f"sshd-{host.name}.pid",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        with open(self.folder / f"sshd-{host.name}.log", "wb") as log:
            sshd = self.lab.popen(host, [SSHD, "-D", "-e", "-f", "/dev/null", *words], stderr=log)
        self._sshds.append(sshd)

    def listening(self):
        """Whether all sshds are up."""
        return len(list(self.folder.glob("sshd-*.pid"))) == len(self.others)

    def mourn(self):
        """Wait for the sshds, which end with the lab."""
        for sshd in self._sshds:
            sshd.wait(60)

    def h5daq(self, *words):
        """A command on the first host, to its end."""
        command = [sys.executable, "-m", "h5daq", *map(str, words)]
        return self.lab.run(self.here, command, check=False, env=self.environment, cwd=self.folder)

    def launch(self, *words):
        """`h5daq launch` with these options."""
        return self.h5daq("launch", self.config, *words, "--ssh", self.ssh)

    @property
    def ssh(self):
        """The ssh of these machines."""
        return f"ssh -F {self.folder}/ssh_config"

    def rows(self):
        """How many rows of each host are committed."""
        told = self.h5daq("status", "--connect", "tcp://h1:5570", "--keys", "keys", "--json")
        jobs = json.loads(told.stdout)["jobs"] if told.returncode == 0 else {}
        return {host.name: jobs.get(f"tower/{host.name}", {}).get("rows", 0)
                for host in self.others}  # fmt: skip

    def record(self, name):
        """What the process of a host, or the run (`writer`), says of itself."""
        kind = name if name == "writer" else f"host-{name}"
        for path in (self.folder / "state" / "h5daq" / "hosts").glob(f"{kind}-*/record.json"):
            return json.loads(path.read_text())
        return {}

    def hears_the_writer(self, name):
        """Whether a host's process has an answer from the writer; None if it says nothing."""
        return (self.record(name).get("writer") or {}).get("answers")


@pytest.fixture
def site(request, tmp_path, wait_until):
    """As many machines as the test says: one launches, the others have instruments."""
    if why_not():
        pytest.skip(why_not())
    with Lab(request.param) as lab:
        made = Site(tmp_path, lab)
        made.make()
        wait_until(made.listening, what="sshd")
        yield made
    made.mourn()
