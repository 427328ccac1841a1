"""The tether of a process that was started to go on alone: held until it is seen to run.

`h5daq run` and `h5daq host` are started by the launcher's hand on their host, loaded and checked
while other hosts are, and wait for its word to begin. If the hand lets go before, because another
host failed or the connection is gone, nothing is begun. Afterwards the tether means nothing: its
end is not the end of the process. One that a person or systemd starts has none, and begins at once.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from h5daq.errors import H5daqError
from h5daq.flow.closing import Closing
from h5daq.jobs.surroundings import bare_environment, python
from h5daq.launcher.place import Place

__all__ = ["Held", "Tether"]

_VARIABLE = "H5DAQ_TETHER"
_GO = b"go\n"
_END_SECONDS = 2.0


class Tether(Closing):
    """The end that the process has.

    Parameters
    ----------
    channel : socket, optional
        Absent where nobody holds it.
    """

    def __init__(self, channel: socket.socket | None = None) -> None:
        self._channel = channel

    @classmethod
    def found(cls) -> Tether:
        """That of this process."""
        number = os.environ.pop(_VARIABLE, None)  # its children have none
        if number is None:
            return cls()
        channel = socket.socket(fileno=int(number))
        channel.set_inheritable(False)
        return cls(channel)

    def __bool__(self) -> bool:
        return self._channel is not None

    def say(self, kind: str, **fields: Any) -> None:
        """Tell the hand something, if it still listens."""
        if self._channel is not None:
            with suppress(OSError):
                self._channel.sendall(json.dumps({"k": kind, **fields}).encode() + b"\n")

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What goes wrong in here is told there as well."""
        try:
            yield
        except (H5daqError, OSError) as error:
            self.say("failed", text=str(error))
            raise

    def may_begin(self, **fields: Any) -> bool:
        """Say that all is ready, and wait for the word; False if it never comes."""
        if self._channel is None:
            return True
        self.say("ready", **fields)
        with suppress(OSError):
            return self._channel.recv(len(_GO)) == _GO
        return False

    def close(self) -> None:
        """Let go of it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


class Held(Closing):
    """The other end, with the process on it: it has a session, a log and no terminal of its own.

    Parameters
    ----------
    place : Place
        Where it keeps what it prints.
    words : sequence of str
        The `h5daq` command.
    """

    def __init__(self, place: Place, words: Sequence[str]) -> None:
        self._said: dict[str, dict[str, Any]] = {}
        self._left = b""
        self._channel, theirs = socket.socketpair()
        place.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with theirs, place.console.open("wb") as console:
            self._process = subprocess.Popen(
                [*python(), "-m", "h5daq", *words], stdin=subprocess.DEVNULL, stdout=console,
                stderr=subprocess.STDOUT, start_new_session=True, cwd=place.path,
                env={**bare_environment(), _VARIABLE: str(theirs.fileno())},
                pass_fds=[theirs.fileno()],
            )  # fmt: skip

    def begin(self) -> None:
        """Give the word."""
        with suppress(OSError):
            self._channel.sendall(_GO)

    def hear(self, kind: str, seconds: float) -> dict[str, Any] | None:
        """Wait until it has said this; None if it fails, ends, or does not in time."""
        deadline = time.monotonic() + seconds
        while not {kind, "failed"} & self._said.keys():
            if (left := deadline - time.monotonic()) <= 0 or not self._receive(left):
                break
        return self._said.get(kind)

    def _receive(self, seconds: float) -> bool:
        self._channel.settimeout(seconds)
        try:
            data = self._channel.recv(1 << 16)
        except OSError:  # the time is up, or it has ended
            return False
        *lines, self._left = (self._left + data).split(b"\n")
        for message in map(json.loads, lines):
            self._said[message["k"]] = message
        return bool(data)

    @property
    def failure(self) -> str:
        """What it said went wrong; empty if nothing."""
        return str(self._said.get("failed", {}).get("text", ""))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """How it ended; None if it lives. One that has just let go of its tether is waited for."""
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let go: it goes on if it was begun, and else ends."""
        self._channel.close()
