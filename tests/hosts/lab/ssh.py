"""An sshd on each machine but the first, and a key and a configuration by which that gets there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fault_site import until
from tests.hosts.lab.network import Host

__all__ = ["SSHD", "Sshds"]

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH')}:/usr/sbin")

_SSH_CONFIG = """
Host {impatient}
  ConnectTimeout 1
Host h*
  ConnectTimeout 60
  User root
  IdentityFile {folder}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
"""


class Sshds:
    """The sshds.

    Parameters
    ----------
    folder : Path
        For keys, configuration and logs.
    hosts : sequence of Host
        Which machines get one.
    popen : callable
        Starts a command on a machine.
    """

    def __init__(
        self, folder: Path, hosts: Sequence[Host], popen: Callable[..., subprocess.Popen[Any]]
    ) -> None:
        self._folder, self._hosts, self._popen = folder, hosts, popen
        self._begun: list[subprocess.Popen[Any]] = []

    @property
    def command(self) -> str:
        """The ssh of these machines."""
        return f"ssh -F {self._folder}/ssh_config"

    def start(self) -> None:
        """Make keys, start them all, and wait until they listen."""
        folder = self._folder
        for name in ("id", "host_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        public = (folder / "host_key.pub").read_text().split()[:2]
        names = [f"{host.name} {' '.join(public)}\n" for host in self._hosts]
        (folder / "known_hosts").write_text("".join(names))
        self.expect(None)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for host in self._hosts:
            self._begin(host)
        until(lambda: len(list(folder.glob("sshd-*.pid"))) == len(self._hosts), 120.0, "sshd")

    def expect(self, gone: Host | None) -> None:
        """Have ssh give up that host soon, and no other one: a busy machine lets them all wait."""
        name = "nobody" if gone is None else gone.name
        text = _SSH_CONFIG.format(folder=self._folder, impatient=name)
        (self._folder / "ssh_config").write_text(text)

    def _begin(self, host: Host) -> None:
        options = {
            "ListenAddress": host.address, "HostKey": self._folder / "host_key",
            "AuthorizedKeysFile": self._folder / "id.pub", "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no", "UsePAM": "no", "StrictModes": "no",
            "PidFile": self._folder / f"sshd-{host.name}.pid",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        with open(self._folder / f"sshd-{host.name}.log", "wb") as log:
            command = [str(SSHD), "-D", "-e", "-f", "/dev/null", *words]
            self._begun.append(self._popen(host, command, stderr=log))

    def mourn(self) -> None:
        """Wait for them, who have ended with the lab."""
        for sshd in self._begun:
            sshd.wait(60)
