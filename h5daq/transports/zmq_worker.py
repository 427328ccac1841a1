"""A worker's end on ZeroMQ: PUSH for its rows, SUB for positions and commands.

The PUSH socket takes a message only while it is connected: what a dead writer never reads stays in
the worker's own hands, counted in bytes, and not in a queue that nobody sees.
"""

from __future__ import annotations

import threading
from collections import Counter

import zmq

from h5daq.errors import ConfigError
from h5daq.flow.closing import Closing
from h5daq.flow.packing import Buffer
from h5daq.flow.topics import topic
from h5daq.transports.base import JOB_SIGNALS, SEND_QUEUE, Signal
from h5daq.transports.zmq_sockets import Context, Socket, connect, make_socket, milliseconds
from h5daq.transports.zmq_subscription import Subscription

__all__ = ["WorkerLink"]

_LARGE_BYTES = 64 * 1024
"""Messages above this are handed over without a copy; below, a copy is cheaper."""


class WorkerLink(Closing):
    """Rows out, positions and commands in.

    `send` and `wake` may be called from any thread, all else from one.

    Parameters
    ----------
    data, signals : str
        The writer's endpoints.
    job : str
        The job's group, whose positions and commands are heard.
    hwm : int
        Messages that may wait in the socket.
    """

    def __init__(self, data: str, signals: str, job: str, *, hwm: int = SEND_QUEUE) -> None:
        self._context: Context = zmq.Context()
        self._hwm = hwm
        self._lock = threading.Lock()
        self._heard = [*(topic(kind, job) for kind in JOB_SIGNALS), topic("heartbeat")]
        try:
            self._push: Socket | None = self._open(data)
            self._subscription = Subscription(self._context, signals, self._heard)
        except ConfigError:
            self._context.destroy(linger=0)
            raise

    @property
    def rejected(self) -> Counter[str]:
        """Signals that were no messages of ours, by cause."""
        return self._subscription.rejected

    def send(self, message: Buffer) -> bool:
        """Hand over a message without waiting; False if there is no room, or no writer."""
        with self._lock:
            if self._push is None:
                return False
            try:
                self._push.send(message, zmq.NOBLOCK, copy=len(message) < _LARGE_BYTES)
            except zmq.Again:
                return False
            return True

    def receive(self, timeout: float) -> list[Signal]:
        """Signals that have come; waits up to `timeout` seconds for the first."""
        # A job's topic is also the beginning of those of jobs below it.
        return [s for s in self._subscription.receive(timeout) if s[0] in self._heard]

    def wake(self) -> None:
        """Make `receive` return early. From any thread."""
        self._subscription.wake()

    def reconnect(self, data: str, signals: str) -> None:
        """Leave the writer at hand, dropping what is not sent, and go to another.

        Raises
        ------
        ConfigError
            If these are no endpoints; the writer at hand stays then.
        """
        fresh = self._open(data)
        try:
            self._subscription.reconnect(signals)
        except ConfigError:
            fresh.close(linger=0)
            raise
        with self._lock:
            if self._push is not None:
                self._push.close(linger=0)
            self._push = fresh

    def close(self, linger: float = 0.0) -> None:
        """Let go; `linger` seconds are given to what is not sent yet.

        Sent is not received: only a position says that.
        """
        with self._lock:
            if self._push is None:
                return
            self._push.close(linger=milliseconds(linger))
            self._push = None
        self._subscription.close()
        self._context.term()

    def _open(self, data: str) -> Socket:
        push = make_socket(self._context, zmq.PUSH, send=self._hwm, receive=0)
        push.immediate = True
        try:
            connect(push, data)
        except ConfigError:
            push.close(linger=0)
            raise
        return push
