"""The listening half of a worker and of a subscriber: a SUB socket and a bell, polled together.

Signals are decoded here, so that whoever listens gets topics and maps; what is no message of ours
is counted by cause and otherwise passed over.

A worker looks after its connections itself. A subscriber that has heard the writer's heartbeats,
which come every second, and hears nothing any more connects anew.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence

import zmq

from h5daq.errors import ConfigError, WireError
from h5daq.flow.topics import topic
from h5daq.flow.wire import decode_signal
from h5daq.transports.base import SIGNAL_QUEUE, Signal
from h5daq.transports.locks import ClientKeys
from h5daq.transports.wake import Bell
from h5daq.transports.zmq_curve import show
from h5daq.transports.zmq_handshakes import Handshakes
from h5daq.transports.zmq_sockets import (
    Context,
    Socket,
    connect,
    has_come,
    make_socket,
    milliseconds,
)

__all__ = ["AnxiousSubscription", "Subscription"]

_AT_ONCE = 1000
"""Signals that one `receive` returns at most, so that a flood can't hold its caller."""

_SILENT_SECONDS = 6.0
"""So long nothing comes of a writer that was heard: then its connection is made anew."""

_BEAT = topic("heartbeat")


class Subscription:
    """Signals from one endpoint. One thread, but for `wake`."""

    def __init__(
        self,
        context: Context,
        endpoint: str,
        prefixes: Iterable[bytes],
        keys: ClientKeys | None = None,
    ) -> None:
        self.rejected: Counter[str] = Counter()
        self._context, self._keys = context, keys
        self._prefixes = list(prefixes)
        self._socket, self._handshakes = self._open(endpoint)
        self._bell = Bell()
        self._poller = self._watch()

    def subscribe(self, prefix: bytes) -> None:
        self._prefixes.append(prefix)
        self._socket.subscribe(prefix)

    def unsubscribe(self, prefix: bytes) -> None:
        if prefix in self._prefixes:
            self._prefixes.remove(prefix)
            self._socket.unsubscribe(prefix)

    def receive(self, timeout: float) -> list[Signal]:
        ready = dict(self._poller.poll(milliseconds(timeout)))
        if self._bell.fileno() in ready:
            self._bell.hear()
        signals: list[Signal] = []
        for _ in range(_AT_ONCE if self._socket in ready else 0):
            # To ask costs a fraction of a vain try.
            if not has_come(self._socket):
                break
            try:
                frames = self._frames()
            except zmq.Again:
                break
            self._decode(frames, signals)
        if not signals and self._keys is not None:
            self._handshakes.again()
        return signals

    def _frames(self) -> list[bytes]:
        # A frame knows whether it is the last; to ask the socket for it takes Python's time.
        parts = [self._socket.recv(zmq.NOBLOCK, copy=False)]
        while parts[-1].more:
            parts.append(self._socket.recv(zmq.NOBLOCK, copy=False))
        return [part.bytes for part in parts]

    def wake(self) -> None:
        self._bell.ring()

    def refusal(self) -> str:
        return self._handshakes.refusal()

    def reconnect(self, endpoint: str) -> None:
        fresh, handshakes = self._open(endpoint)
        self._handshakes.close()
        self._socket.close(linger=0)
        self._socket, self._handshakes = fresh, handshakes
        self._poller = self._watch()

    def close(self) -> None:
        self._handshakes.close()
        self._socket.close(linger=0)
        self._bell.close()

    def _open(self, endpoint: str) -> tuple[Socket, Handshakes]:
        socket = make_socket(self._context, zmq.SUB, send=0, receive=SIGNAL_QUEUE)
        # Within a machine and without keys there is no handshake that could fail.
        watch = self._keys is not None or endpoint.startswith("tcp:")
        handshakes = Handshakes(self._context, socket, endpoint, watch=watch)
        for prefix in self._prefixes:
            socket.subscribe(prefix)
        try:
            show(socket, self._keys)
            connect(socket, endpoint)
        except ConfigError:
            handshakes.close()
            socket.close(linger=0)
            raise
        return socket, handshakes

    def _watch(self) -> zmq.Poller:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._bell.fileno(), zmq.POLLIN)
        return poller

    def _decode(self, frames: list[bytes], signals: list[Signal]) -> None:
        if len(frames) != 2:
            self.rejected["frames"] += 1
            return
        try:
            signals.append((frames[0], decode_signal(*frames)))
        except WireError as error:
            self.rejected[error.cause] += 1


class AnxiousSubscription(Subscription):
    """One that takes the silence of a writer that was heard for a connection that is dead."""

    def __init__(
        self,
        context: Context,
        endpoint: str,
        prefixes: Sequence[bytes],
        keys: ClientKeys | None = None,
    ) -> None:
        self._endpoint, self._wanted = endpoint, list(prefixes)
        self._beaten, self._silent = False, 0.0
        super().__init__(context, endpoint, [*prefixes, _BEAT], keys)

    def subscribe(self, prefix: bytes) -> None:
        self._wanted.append(prefix)
        super().subscribe(prefix)

    def unsubscribe(self, prefix: bytes) -> None:
        if prefix in self._wanted:
            self._wanted.remove(prefix)
            super().unsubscribe(prefix)

    def receive(self, timeout: float) -> list[Signal]:
        deadline = time.monotonic() + timeout
        while True:
            began = time.monotonic()
            signals = super().receive(max(0.0, deadline - began))
            self._listen(signals, time.monotonic() - began)
            wanted = [signal for signal in signals if signal[0].startswith(tuple(self._wanted))]
            # Without any signal it is the end of the time, or somebody has rung.
            if wanted or not signals or time.monotonic() >= deadline:
                return wanted

    def _listen(self, signals: list[Signal], waited: float) -> None:
        # Only waiting counts: who doesn't look can't know whether anything came.
        self._silent = 0.0 if signals else self._silent + waited
        self._beaten = self._beaten or any(about == _BEAT for about, _ in signals)
        if self._beaten and self._silent > _SILENT_SECONDS:
            self._beaten, self._silent = False, 0.0
            self.reconnect(self._endpoint)
