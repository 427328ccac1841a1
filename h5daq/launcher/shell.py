"""How a command gets to a host: by the system's ssh, or, where the host is this one, directly.

Nothing here knows what the commands do. ssh is OpenSSH's own program, so keys, agents, jump hosts
and ``~/.ssh/config`` count as they do for the user; it never asks for a password, since nobody
might be there to type one.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Protocol

from h5daq.errors import ProcessFailed
from h5daq.launcher.talk import Done, Talk

__all__ = ["LocalShell", "Shell", "SshShell"]

_NO_SESSION = 255
"""What ssh exits with when it had no session; a command's own code may be the same."""

_OPTIONS = (
    "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
)  # fmt: skip


class Shell(Protocol):
    """Runs commands on one host."""

    def open(self, words: Sequence[str]) -> Talk:
        """Start a command that answers; returns before the host is reached."""
        ...

    def check(self, done: Done) -> None:
        """See whether a command that has ended was ever begun.

        Raises
        ------
        ProcessFailed
            If the host can't be reached: says what to try.
        """
        ...

    def shown(self, words: Sequence[str]) -> str:
        """The command as a person would type it here."""
        ...


class LocalShell:
    """This machine."""

    def open(self, words: Sequence[str]) -> Talk:
        """Start a command here."""
        return Talk(words)

    def check(self, done: Done) -> None:
        """It is always reached."""

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
    opened : callable, optional
        Gives a connection that was opened ahead by a command, if there is one.

    Examples
    --------
    >>> SshShell("daq@pi1").shown(["uname", "-a"])
    "ssh daq@pi1 'uname -a'"
    """

    def __init__(
        self,
        destination: str,
        ssh: Sequence[str] = ("ssh",),
        opened: Callable[[Sequence[str]], Talk | None] = lambda _command: None,
    ) -> None:
        self.destination, self._ssh, self._opened = destination, list(ssh), opened

    @property
    def program(self) -> list[str]:
        """ssh with all options, before the destination."""
        # Of an option that is given twice ssh takes the first: the user's.
        return [*self._ssh, *_OPTIONS]

    def open(self, words: Sequence[str]) -> Talk:
        """Start a command there, by its login shell, which must be a POSIX one."""
        command = self.command(words)
        return self._opened(command) or Talk(command)

    def command(self, words: Sequence[str]) -> list[str]:
        """What is run here for it."""
        return [*self.program, "--", self.destination, shlex.join(words)]

    def check(self, done: Done) -> None:
        """See whether there was a session."""
        if done.code == _NO_SESSION:
            raise ProcessFailed(
                f"ssh can't get there: {done.last if done.err.strip() else 'it says nothing'}. "
                f"Try: {shlex.join([*self._ssh, '-o', 'BatchMode=yes', self.destination, 'true'])}"
            )

    def shown(self, words: Sequence[str]) -> str:
        """The command as a person would type it here."""
        return shlex.join([*self._ssh, self.destination, shlex.join(words)])
