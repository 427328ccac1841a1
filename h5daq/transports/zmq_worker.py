"""A worker's end on ZeroMQ: PUSH for its rows, SUB for positions and commands.

The PUSH socket takes a message only while it is connected: what a dead writer never reads stays in
the worker's own hands, counted in bytes, and not in a queue that nobody sees.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import zmq

from h5daq.errors import ConfigError
from h5daq.flow.closing import Closing
from h5daq.flow.packing import Buffer
from h5daq.flow.topics import topic
from h5daq.transports.base import JOB_SIGNALS, SEND_QUEUE, Signal
from h5daq.transports.locks import ClientKeys
from h5daq.transports.zmq_curve import show
from h5daq.transports.zmq_handshakes import Handshakes
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
    keys : ClientKeys, optional
        What to show there.
    hwm : int
        Messages that may wait in the socket.
    """

    def __init__(
        self,
        data: str,
        signals: str,
        job: str,
        keys: ClientKeys | None = None,
        *,
        hwm: int = SEND_QUEUE,
    ) -> None:
        self._context: Context = zmq.Context()
        self._hwm, self._keys, self._endpoints = hwm, keys, (data, signals)
        self._lock = threading.Lock()
        self._heard = [*(topic(kind, job) for kind in JOB_SIGNALS), topic("heartbeat")]
        try:
            self._push: Socket | None
            self._push, self._handshakes = self._open(data)
            self._subscription = Subscription(self._context, signals, self._heard, keys)
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
        signals = self._subscription.receive(timeout)
        if not signals and self._keys is not None:
            with self._lock:
                self._handshakes.again()
        return [signal for signal in signals if self._is_mine(*signal)]

    def refusal(self) -> str:
        """Why the writer lets nobody in by these keys, as far as can be known; else empty."""
        return self._subscription.refusal()

    def _is_mine(self, about: bytes, fields: Mapping[str, Any]) -> bool:
        # A job's topic is also the beginning of those of jobs below it. And what another key is
        # refused, who may have no business with this job at all, is not for this worker.
        own = fields.get("key") is None or (self._keys and fields["key"] == self._keys.name)
        return bool(own) and about in self._heard

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
        fresh, handshakes = self._open(data)
        try:
            self._subscription.reconnect(signals)
        except ConfigError:
            handshakes.close()
            fresh.close(linger=0)
            raise
        with self._lock:
            if self._push is not None:
                self._handshakes.close()
                self._push.close(linger=0)
            self._push, self._handshakes = fresh, handshakes
        self._endpoints = data, signals

    def renew(self) -> None:
        """Make the connections to the writer at hand anew, dropping what is not sent."""
        self.reconnect(*self._endpoints)

    def close(self, linger: float = 0.0) -> None:
        """Let go; `linger` seconds are given to what is not sent yet.

        Sent is not received: only a position says that.
        """
        with self._lock:
            if self._push is None:
                return
            self._handshakes.close()
            self._push.close(linger=milliseconds(linger))
            self._push = None
        self._subscription.close()
        self._context.term()

    def _open(self, data: str) -> tuple[Socket, Handshakes]:
        push = make_socket(self._context, zmq.PUSH, send=self._hwm, receive=0)
        push.immediate = True
        handshakes = Handshakes(self._context, push, data, watch=self._keys is not None)
        try:
            show(push, self._keys)
            connect(push, data)
        except ConfigError:
            handshakes.close()
            push.close(linger=0)
            raise
        return push, handshakes
