"""The socket that signals go out by: XPUB, which is a PUB that sees who subscribes to what.

So what nobody would hear need not be made. With a lock each subscription is looked at before it
takes effect. Commits are announced by the thread that made them, and the others must not wait for
it: so the socket has a mutex of its own.
"""

from __future__ import annotations

import contextlib
import threading
import time

import zmq

from h5daq.errors import ConfigError
from h5daq.flow.audience import Audience
from h5daq.transports.base import SIGNAL_QUEUE
from h5daq.transports.locks import Locks
from h5daq.transports.zmq_curve import lock, user_of
from h5daq.transports.zmq_sockets import (
    Context,
    Socket,
    bind,
    has_come,
    make_socket,
    milliseconds,
)

__all__ = ["SignalSocket"]

_MAX_SUBSCRIPTION_BYTES = 16 * 1024
_REBIND_SECONDS, _REBIND_PAUSE_SECONDS = 1.0, 0.002


class SignalSocket:
    """Publishes to all who subscribe, and knows to what. From any thread, but for `bind`.

    Parameters
    ----------
    context : Context
        The writer's.
    locks : Locks, optional
        Who may hear what.
    """

    def __init__(self, context: Context, locks: Locks | None) -> None:
        self._locks, self._mutex, self._endpoint = locks, threading.Lock(), ""
        self._closed = False
        self._audience = Audience()
        self._socket: Socket = make_socket(
            context, zmq.XPUB, send=SIGNAL_QUEUE, receive=SIGNAL_QUEUE
        )
        # All that comes in are subscriptions.
        self._socket.maxmsgsize = _MAX_SUBSCRIPTION_BYTES
        if locks is not None:
            self._socket.setsockopt(zmq.XPUB_MANUAL, 1)
            lock(self._socket, locks)

    def bind(self, endpoint: str) -> str:
        """Listen; the real endpoint."""
        self._endpoint = bind(self._socket, endpoint)
        return self._endpoint

    def fileno(self) -> int:
        """What to poll for subscriptions."""
        return int(self._socket.fd)

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Tell all that subscribe to the topic. Slow ones miss it."""
        with self._mutex:
            if not self._closed:
                # Such a socket never blocks: it drops for those whose queue is full.
                self._socket.send(topic, zmq.SNDMORE)
                self._socket.send(payload)
                # Sending may have taken the news of a subscription off what the door polls.
                if self._locks is not None:
                    self._attend(self._locks)

    def is_heard(self, kind: str) -> bool:
        """Whether anybody may be listening to signals of a kind."""
        with self._mutex:
            if self._closed:
                return False
            self._attend(self._locks)
            return self._audience.hears(kind)

    def attend(self) -> None:
        """Let the subscriptions take effect that have come and are allowed."""
        with self._mutex:
            if not self._closed and self._locks is not None:
                self._attend(self._locks)

    def cut(self) -> bool:
        """End all connections, and listen again; those with a good key come back by themselves.

        False if the endpoint can't be had again yet.
        """
        with self._mutex:
            if self._closed:
                return True
            with contextlib.suppress(zmq.ZMQError):  # an earlier cut may have come so far
                self._socket.unbind(self._endpoint)
            deadline = time.monotonic() + _REBIND_SECONDS
            while not self._bound_again():
                if time.monotonic() >= deadline:
                    return False
                time.sleep(_REBIND_PAUSE_SECONDS)
        return True

    def _bound_again(self) -> bool:
        # The old listener is closed by a thread of ZeroMQ, in its own time.
        try:
            bind(self._socket, self._endpoint)
        except ConfigError:
            return False
        return True

    def close(self, linger: float) -> None:
        """Let go; `linger` seconds are given to signals not sent yet."""
        with self._mutex:
            if not self._closed:
                self._closed = True
                self._socket.close(linger=milliseconds(linger))

    def _attend(self, locks: Locks | None) -> None:
        while has_come(self._socket):
            frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            wish = frame.bytes
            if locks is not None:
                self._heed(locks, user_of(frame), wish)
            elif wish[:1] == b"\1":
                self._audience.add(wish[1:])
            elif wish[:1] == b"\0":
                # Of those that many have, ZeroMQ tells the last one that goes.
                self._audience.discard(wish[1:])

    def _heed(self, locks: Locks, user: str, wish: bytes) -> None:
        if wish[:1] == b"\0":
            self._socket.setsockopt(zmq.UNSUBSCRIBE, wish[1:])
        elif wish[:1] == b"\1" and locks.may_hear(user, wish[1:]):
            # It takes effect for the connection that was read from last. Of those that have it each
            # tells that it leaves, or the last one that is cut off: who is left is not known.
            self._socket.setsockopt(zmq.SUBSCRIBE, wish[1:])
            self._audience.add_for_good(wish[1:])
