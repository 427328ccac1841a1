"""The nursery: a small process with the imports done, from which workers are forked.

It is started as ``python -m h5daq.jobs.nursery``, so the user's script is not run again, guarded
or not. It imports what every worker needs and nothing else, has no thread and no ZeroMQ context,
and waits on one socket: ``start`` (with the worker's end of its private pipe attached) forks a
worker, ``kill`` signals one, ``exited`` tells of each that has ended. It ends with its parent.

A forked worker returns from `serve` like a process of its own would, so that its interpreter ends
the usual way: exit handlers run, output is flushed.
"""

from __future__ import annotations

import gc
import importlib
import os
import random
import select
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

from h5daq.flow.control import ControlDecoder, encode_control
from h5daq.jobs.surroundings import adopt

__all__ = ["main", "serve"]

PRELOAD = ("numpy", "zmq", "msgpack", "cloudpickle")

_CALM = ("SIGINT", "SIGHUP")
"""A terminal sends these to all of its processes; the parent says what is to be done."""

Entry = Callable[[socket.socket], int]


class _Child(Exception):
    def __init__(self, control: socket.socket, order: dict[str, Any]) -> None:
        self.control, self.order = control, order


class Nursery:
    """Forks workers as told on `channel`.

    Parameters
    ----------
    channel : socket.socket
        To the parent, a Unix stream socket.
    """

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._decoder = ControlDecoder()
        self._controls: deque[int] = deque()
        self._pids: dict[int, int] = {}
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)

    def run(self) -> None:
        """Until the parent's end of the channel closes. Raises `_Child` in each forked worker."""
        signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        self._tell("ready", pid=os.getpid())
        while True:
            ready, _, _ = select.select([self._channel, self._wake], [], [])
            if self._wake in ready:
                self._wake.recv(4096)
                self._reap()
            if self._channel in ready and not self._obey():
                return

    def _obey(self) -> bool:
        try:
            data, controls, _, _ = socket.recv_fds(self._channel, 1 << 16, 16)
        except ConnectionError:
            return False
        self._controls.extend(controls)
        for order in self._decoder.feed(data):
            if order["k"] == "start":
                self._start(order)
            elif order["k"] == "kill":
                self._kill(order)
        return bool(data)

    def _start(self, order: dict[str, Any]) -> None:
        control = socket.socket(fileno=self._controls.popleft())
        try:
            pid = os.fork()
        except OSError as error:
            control.close()
            self._tell("refused", id=order["id"], text=str(error))
            return
        if pid == 0:
            self._leave()
            raise _Child(control, order)
        control.close()
        self._pids[pid] = order["id"]
        self._tell("started", id=order["id"], pid=pid)

    def _kill(self, order: dict[str, Any]) -> None:
        for pid, number in self._pids.items():
            if number == order["id"]:
                os.kill(pid, order["signal"])

    def _reap(self) -> None:
        while self._pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._pids.pop(pid, None)
            self._tell("exited", id=number, pid=pid, status=os.waitstatus_to_exitcode(status))

    def _leave(self) -> None:
        """In the worker: nothing of the nursery stays open."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self._channel, self._wake, self._woken):
            end.close()
        for control in self._controls:
            os.close(control)

    def _tell(self, kind: str, **fields: Any) -> None:
        try:
            self._channel.sendall(encode_control(kind, **fields))
        except ConnectionError:
            self._pids.clear()  # the parent is gone: the next read says so


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """SIGCHLD must have a handler for the wake-up socket to be written."""


def serve(channel: socket.socket, entry: str) -> int:
    """Fork workers until the parent is gone; in each of them, run `entry` and give its exit code.

    Parameters
    ----------
    channel : socket.socket
        To the parent.
    entry : str
        ``"module:function"``; the function takes the worker's control socket.
    """
    for module in PRELOAD:
        importlib.import_module(module)
    run = _function(entry)
    # What is here now is shared with all workers; the collector must not touch its pages.
    gc.collect()
    gc.freeze()
    try:
        Nursery(channel).run()
    except _Child as child:
        control, order = child.control, child.order
    else:
        return 0
    adopt(order)
    _own_randomness()
    return run(control)


def _function(entry: str) -> Entry:
    module, _, name = entry.partition(":")
    function: Entry = getattr(importlib.import_module(module), name)
    return function


def _own_randomness() -> None:
    """Two workers that simulate noise must not simulate the same."""
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def main() -> int:
    """``python -m h5daq.jobs.nursery FD MODULE:FUNCTION``."""
    for name in _CALM:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    return serve(channel, sys.argv[2])


if __name__ == "__main__":
    sys.exit(main())
