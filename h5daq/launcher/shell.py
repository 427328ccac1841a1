"""How a command gets to a host: by the system's ssh, or, where the host is this one, directly.

Nothing here knows what the commands do. ssh is OpenSSH's own program, so keys, agents, jump hosts
and ``~/.ssh/config`` count as they do for the user; it never asks for a password, since nobody
might be there to type one.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from h5daq.errors import ProcessFailed

__all__ = ["Done", "LocalShell", "Shell", "SshShell"]

_NO_SESSION = 255
"""What ssh exits with when it had no session; a command's own code may be the same."""

_OPTIONS = (
    "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended: its exit code and what it printed."""

    code: int
    out: bytes
    err: str


class Shell(Protocol):
    """Runs commands on one host."""

    def run(self, words: Sequence[str], given: bytes = b"", timeout: float = 60.0) -> Done:
        """Run a command to its end, with `given` as its standard input.

        Raises
        ------
        ProcessFailed
            If the host can't be reached, or the command does not end in time: says what to try.
        """
        ...

    def shown(self, words: Sequence[str]) -> str:
        """The command as a person would type it here."""
        ...


class LocalShell:
    """This machine."""

    def run(self, words: Sequence[str], given: bytes = b"", timeout: float = 60.0) -> Done:
        """Run a command here."""
        return _run(list(words), given, timeout)

    def shown(self, words: Sequence[str]) -> str:
        """The command as it is."""
        return shlex.join(words)


class SshShell:
    """A host that ssh reaches.

    Parameters
    ----------
    destination : str
        As ssh takes it, such as ``daq@pi1`` or a name from ``~/.ssh/config``.
    ssh : sequence of str
        The program, with further options.

    Examples
    --------
    >>> SshShell("daq@pi1").shown(["uname", "-a"])
    "ssh daq@pi1 'uname -a'"
    """

    def __init__(self, destination: str, ssh: Sequence[str] = ("ssh",)) -> None:
        self.destination, self._ssh = destination, list(ssh)

    def run(self, words: Sequence[str], given: bytes = b"", timeout: float = 60.0) -> Done:
        """Run a command there, by its login shell, which must be a POSIX one."""
        # Of an option that is given twice ssh takes the first: the user's.
        command = [*self._ssh, *_OPTIONS, "--", self.destination, shlex.join(words)]
        done = _run(command, given, timeout)
        if done.code == _NO_SESSION:
            said = done.err.strip().splitlines()
            raise ProcessFailed(
                f"ssh can't get there: {said[-1] if said else 'it says nothing'}. "
                f"Try: {shlex.join([*self._ssh, '-o', 'BatchMode=yes', self.destination, 'true'])}"
            )
        return done

    def shown(self, words: Sequence[str]) -> str:
        """The command as a person would type it here."""
        return shlex.join([*self._ssh, self.destination, shlex.join(words)])


def _run(words: list[str], given: bytes, timeout: float) -> Done:
    try:
        done = subprocess.run(words, input=given, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProcessFailed(f"no end after {timeout:g} s of: {shlex.join(words)[:200]}") from error
    except OSError as error:
        raise ProcessFailed(f"{words[0]} can't be run: {error.strerror}") from error
    return Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))
