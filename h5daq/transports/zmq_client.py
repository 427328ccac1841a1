"""The ends for people and scripts on ZeroMQ: DEALER to ask, SUB to listen."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import zmq

from h5daq.errors import ConfigError
from h5daq.flow.closing import Closing
from h5daq.flow.packing import Buffer
from h5daq.transports.base import REQUEST_QUEUE, Signal
from h5daq.transports.exchange import Exchange
from h5daq.transports.locks import ClientKeys
from h5daq.transports.wake import Bell
from h5daq.transports.zmq_curve import show
from h5daq.transports.zmq_handshakes import Handshakes
from h5daq.transports.zmq_sockets import Context, connect, content_of, make_socket, milliseconds
from h5daq.transports.zmq_subscription import AnxiousSubscription

__all__ = ["ClientLink", "SubscriberLink"]

_STOP_SECONDS = 1.0
"""How long an iteration waits at a time, in case its bell was heard by another call."""


class ClientLink(Closing):
    """A client's end, for one thread, but for `wake` and `give_up`.

    Parameters
    ----------
    requests : str
        The writer's endpoint for requests.
    keys : ClientKeys, optional
        What to show there.
    """

    def __init__(self, requests: str, keys: ClientKeys | None = None) -> None:
        self.endpoint = requests
        self._context: Context = zmq.Context()
        self._socket = make_socket(
            self._context, zmq.DEALER, send=REQUEST_QUEUE, receive=REQUEST_QUEUE
        )
        self._handshakes = Handshakes(self._context, self._socket, requests)
        self._bell = Bell()
        try:
            show(self._socket, keys)
            connect(self._socket, requests)
        except ConfigError:
            self.close()
            raise
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._bell.fileno(), zmq.POLLIN)
        self._exchange = Exchange(self)

    def send(self, frames: Sequence[Buffer]) -> bool:
        """Hand over a request without waiting; False if there is no room."""
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self, timeout: float) -> list[Buffer] | None:
        """The next answer or note; None after `timeout` seconds without one, or when woken."""
        ready = dict(self._poller.poll(milliseconds(timeout)))
        if self._bell.fileno() in ready:
            self._bell.hear()
        if self._socket in ready:
            return [content_of(part) for part in self._socket.recv_multipart(copy=False)]
        if not ready:
            self._handshakes.again()
        return None

    def wake(self) -> None:
        """Make `receive` return early. From any thread."""
        self._bell.ring()

    def request(self, frames: Sequence[Buffer], timeout: float) -> list[Buffer]:
        """Send a request and wait for the answer with its id. Notes that come are kept.

        Raises
        ------
        NoAnswer
            After `timeout` seconds.
        """
        return self._exchange.request(frames, timeout)

    def give_up(self) -> None:
        """Let the request that waits, and all later ones, have no answer. From any thread."""
        self._exchange.over = True
        self.wake()

    def refusal(self, *, sure: bool = False) -> str:
        """Why the writer lets nobody in by these keys, as far as can be known; else empty."""
        return self._handshakes.refusal(sure=sure)

    def notes(self) -> list[list[Buffer]]:
        """What came beside the answers, in order: notes to the client's contexts."""
        return self._exchange.notes()

    def close(self) -> None:
        """Let go of the socket; what is not sent is dropped."""
        self._handshakes.close()
        self._socket.close(linger=0)
        self._bell.close()
        self._context.term()


class SubscriberLink(Closing):
    """A listener's end, for one thread, but for `wake` and `stop`.

    Parameters
    ----------
    signals : str
        The writer's endpoint for signals.
    prefixes : sequence of bytes
        What topics begin with, see `h5daq.flow.topics.prefixes`.
    keys : ClientKeys, optional
        What to show there.
    """

    def __init__(
        self, signals: str, prefixes: Sequence[bytes], keys: ClientKeys | None = None
    ) -> None:
        self._context: Context = zmq.Context()
        try:
            self._subscription = AnxiousSubscription(self._context, signals, prefixes, keys)
        except ConfigError:
            self._context.term()
            raise
        self._stopped = threading.Event()

    @property
    def rejected(self) -> Counter[str]:
        """Signals that were no messages of ours, by cause."""
        return self._subscription.rejected

    def refusal(self) -> str:
        """Why the writer lets nobody in by these keys, as far as can be known; else empty."""
        return self._subscription.refusal()

    def subscribe(self, prefix: bytes) -> None:
        """Hear signals whose topic begins so as well."""
        self._subscription.subscribe(prefix)

    def unsubscribe(self, prefix: bytes) -> None:
        """Undo a `subscribe`."""
        self._subscription.unsubscribe(prefix)

    def receive(self, timeout: float) -> list[Signal]:
        """Signals that have come; waits up to `timeout` seconds for the first."""
        return self._subscription.receive(timeout)

    def __iter__(self) -> Iterator[Signal]:
        """Signals as they come, until `stop`."""
        while not self._stopped.is_set():
            yield from self._subscription.receive(_STOP_SECONDS)

    def stop(self) -> None:
        """End the iteration. From any thread."""
        self._stopped.set()
        self._subscription.wake()

    def wake(self) -> None:
        """Make `receive` return early. From any thread."""
        self._subscription.wake()

    def close(self) -> None:
        """Let go of the socket."""
        self._subscription.close()
        self._context.term()
