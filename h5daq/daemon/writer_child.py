"""The writer as the daemon sees it: a child process that is started, heard, and started again.

It is a fresh interpreter (``python -m h5daq.writer``), so nothing of the user's script, threads or
sockets comes along; its settings go down a private pipe, whose end tells it that the daemon died.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import h5daq.errors as errors
from h5daq.errors import H5daqError, ProcessFailed, StorageError
from h5daq.flow.control import ControlDecoder, encode_control
from h5daq.writer.settings import WriterSettings

__all__ = ["Spare", "WriterChild", "cause_of_death"]

_START_SECONDS = 600.0
"""A writer that recovers a long journal needs its time before it is ready."""


class Spare:
    """A process that loads what a writer needs, and waits to be told what to write.

    It ends when nobody tells it.
    """

    def __init__(self) -> None:
        self.pipe, theirs = socket.socketpair()
        with theirs:
            self.process = _popen(theirs)


class WriterChild:
    """One writer process.

    Parameters
    ----------
    settings : WriterSettings
        Sent to the process.
    spare : Spare, optional
        A process that has been started already.
    """

    def __init__(self, settings: WriterSettings, spare: Spare | None = None) -> None:
        spare = spare or Spare()
        self._process, self._pipe = spare.process, spare.pipe
        self._decoder = ControlDecoder()
        self.closed = False
        self.send("settings", settings=settings.to_bytes())

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_ready(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The report of a successful start, and what else it said.

        Raises
        ------
        H5daqError
            Of the kind that stopped the writer from starting.
        """
        others: list[dict[str, Any]] = []
        deadline = time.monotonic() + _START_SECONDS
        while not self.closed and time.monotonic() < deadline:
            others += self.messages(1.0)
            said = {message["k"]: message for message in others}
            if "ready" in said:
                return said["ready"], others
            if "failed" in said:
                self._end()
                raise _rebuilt(said["failed"])
        self._end()
        raise ProcessFailed(f"the writer did not start: it {cause_of_death(self.poll())}")

    def fileno(self) -> int:
        """The descriptor to wait on for messages."""
        return self._pipe.fileno()

    def send(self, kind: str, **fields: Any) -> bool:
        """Send an order; False if the writer is gone."""
        try:
            self._pipe.sendall(encode_control(kind, **fields))
        except OSError:
            return False
        return True

    def messages(self, timeout: float = 0.0) -> list[dict[str, Any]]:
        """Reports that have come, after waiting up to `timeout` seconds for the first."""
        found: list[dict[str, Any]] = []
        while not self.closed and wait([self._pipe], 0.0 if found else timeout):
            found += self._decoder.feed(self._read())
        return found

    def _read(self) -> bytes:
        try:
            data = self._pipe.recv(1 << 16)
        except OSError:
            data = b""
        self.closed = not data
        return data

    def close(self) -> None:
        """Let go of the pipe; a writer that still runs takes that for our death."""
        self.closed = True
        self._pipe.close()

    def _end(self) -> None:
        if self.wait(5.0) is None:
            self.kill()
        self.close()

    def poll(self) -> int | None:
        """The exit status, or None while it lives."""
        return self._process.poll()

    def wait(self, timeout: float) -> int | None:
        """The exit status, or None if it still lives after `timeout` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End it at once; the journal has what was committed."""
        self._process.kill()
        self._process.wait()


def _popen(stdin: socket.socket) -> subprocess.Popen[bytes]:
    home = str(Path(__file__).parents[2])
    path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "h5daq.writer"]
    return subprocess.Popen(
        command, stdin=stdin.fileno(), stdout=subprocess.DEVNULL, env=environment
    )


def cause_of_death(status: int | None) -> str:
    """An exit status in words.

    Examples
    --------
    >>> cause_of_death(-9), cause_of_death(1), cause_of_death(0)
    ('killed by signal 9 (SIGKILL)', 'exited with code 1', 'ended by itself')
    """
    if status is None:
        return "still running"
    if status < 0:
        names = {int(s): s.name for s in signal.Signals}
        return f"killed by signal {-status} ({names.get(-status, 'unknown')})"
    return f"exited with code {status}" if status else "ended by itself"


def _rebuilt(message: dict[str, Any]) -> H5daqError:
    """The writer's error as an exception of the same class, where that is one of ours."""
    kind = getattr(errors, message["error"], None)
    text = f"the writer could not start: {message['text']}"
    simple = (StorageError, errors.ConfigError, ProcessFailed)
    if isinstance(kind, type) and issubclass(kind, simple):
        return kind(text)
    return ProcessFailed(text)
