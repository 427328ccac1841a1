"""The parent's end of the nursery: orders go out, ``started`` and ``exited`` come in.

Threads may ask for exits and send signals at the same time; whoever listens to the nursery keeps
what is meant for others. If the nursery dies its workers go on, since their private pipes lead to
the parent itself; the end of a pipe is then the end of a worker.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from h5daq.errors import ProcessFailed
from h5daq.flow.control import ControlDecoder, encode_control
from h5daq.jobs.process import WorkerProcess, readable, receive
from h5daq.jobs.surroundings import bare_environment, here, python

__all__ = ["NurseryLink"]

START_SECONDS = 30.0
"""How long the nursery may take to import and to fork, on a slow and loaded host."""

_LOOK_SECONDS = 0.1
"""For how long one thread listens to the nursery before it lets others."""

UNKNOWN_EXIT = 255
"""Exit code of a worker whose nursery died before it could tell."""


class NurseryLink:
    """One nursery.

    Parameters
    ----------
    entry : str
        What each worker runs, ``"module:function"``.
    """

    def __init__(self, entry: str) -> None:
        self.closed = False
        self._decoder = ControlDecoder()
        self._lock = threading.RLock()
        self._answers: dict[int, dict[str, Any]] = {}
        self._exits: dict[int, int] = {}
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = _popen(theirs, entry)

    def await_ready(self) -> None:
        """Wait until it can fork.

        Raises
        ------
        ProcessFailed
            If it can't be started here; it is ended then.
        """
        try:
            self._expect(lambda: 0 in self._answers, "start")
        except ProcessFailed:
            self.close()
            raise

    def start(self, number: int) -> WorkerProcess:
        """Fork a worker."""
        ours, theirs = socket.socketpair()
        try:
            return WorkerProcess(number, self._fork(number, theirs), ours, self)
        except ProcessFailed:
            ours.close()
            raise
        finally:
            theirs.close()

    def _fork(self, number: int, control: socket.socket) -> int:
        self._order_with(control, encode_control("start", id=number, **here()))
        self._expect(lambda: number in self._answers, "fork a worker")
        answer = self._answers.pop(number)
        if answer["k"] == "refused":
            raise ProcessFailed(f"a worker could not be forked: {answer['text']}")
        return int(answer["pid"])

    def exit_code(self, process: WorkerProcess, timeout: float) -> int | None:
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                self._hear(min(_LOOK_SECONDS, max(0.0, deadline - time.monotonic())))
                if process.number in self._exits:
                    return self._exits.pop(process.number)
            if self.closed:
                return _orphan_exit(process, deadline)
            if time.monotonic() >= deadline:
                return None

    def signal(self, process: WorkerProcess, number: int) -> None:
        # The nursery has not yet waited for a worker that it knows, so it can't hit another one.
        if not self._send(encode_control("kill", id=process.number, signal=number)):
            _signal_orphan(process, number)

    def close(self) -> None:
        self.closed = True
        self._channel.close()
        try:
            self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _order_with(self, control: socket.socket, order: bytes) -> None:
        try:
            sent = socket.send_fds(self._channel, [order], [control.fileno()])
            self._channel.sendall(order[sent:])
        except OSError as error:
            raise self._failed("take an order") from error

    def _send(self, order: bytes) -> bool:
        try:
            self._channel.sendall(order)
        except OSError:
            return False
        return True

    def _expect(self, arrived: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        with self._lock:
            while not arrived():
                self._hear(max(0.0, deadline - time.monotonic()))
                if self.closed or time.monotonic() >= deadline:
                    raise self._failed(what)

    def _hear(self, timeout: float) -> None:
        if not readable(self._channel, timeout):
            return
        data = receive(self._channel)
        if not data:
            self.closed = True
        for message in self._decoder.feed(data):
            if message["k"] == "exited":
                self._exits[message["id"]] = message["status"]
            else:
                self._answers[message.get("id", 0)] = message

    def _failed(self, what: str) -> ProcessFailed:
        self.closed = True
        code = self._process.poll()
        state = "still runs" if code is None else f"ended with code {code}"
        return ProcessFailed(
            f"the process that workers are forked from could not {what}: it {state}. "
            f"Try: {sys.executable} -c 'import h5daq.worker'"
        )


def _popen(channel: socket.socket, entry: str) -> subprocess.Popen[bytes]:
    command = [*python(), "-m", "h5daq.jobs.nursery", str(channel.fileno()), entry]
    return subprocess.Popen(
        command, pass_fds=[channel.fileno()], stdin=subprocess.DEVNULL, env=bare_environment()
    )


def _orphan_exit(process: WorkerProcess, deadline: float) -> int | None:
    """The nursery is gone: the end of the worker's pipe is the end of the worker."""
    process_ended = process.closed or not _alive(process.pid)
    while not process_ended and time.monotonic() < deadline:
        readable(process.control, min(0.05, max(0.0, deadline - time.monotonic())))
        process_ended = not _alive(process.pid)
    return UNKNOWN_EXIT if process_ended else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal_orphan(process: WorkerProcess, number: int) -> None:
    if not process.closed and _alive(process.pid):
        os.kill(process.pid, number)
