"""CURVE on ZeroMQ sockets: pairs of keys, locked and opened sockets, and the door.

Each socket that is bound with a lock asks, for each new connection, whoever answers at ZeroMQ's
address for such questions (ZAP, https://rfc.zeromq.org/spec/27). Here that is the `Door`, a thread
of its own, so that nobody waits at it while the writer is busy. The public key that it accepts is
from then on told with each message of the connection.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import zmq
from zmq.utils import z85

from h5daq.errors import ConfigError
from h5daq.transports.locks import ClientKeys, Locks
from h5daq.transports.wake import Bell
from h5daq.transports.zmq_sockets import Context, Socket

if TYPE_CHECKING:
    from h5daq.transports.zmq_signals import SignalSocket

__all__ = ["Door", "lock", "make_pair", "public_of", "show", "user_of"]

_ADDRESS = "inproc://zeromq.zap.01"
_DOMAIN = b"h5daq"
_KEY_BYTES = 32


def make_pair() -> tuple[str, str]:
    """A new public and secret key.

    Raises
    ------
    ConfigError
        If ZeroMQ here has no CURVE.
    """
    _need_curve()
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def public_of(secret: str) -> str:
    """The public key of a secret one."""
    _need_curve()
    return zmq.curve_public(secret.encode()).decode()


def lock(socket: Socket, locks: Locks) -> None:
    """Let nobody into a socket but by the door. To be called before it is bound."""
    _need_curve()
    socket.curve_server = True
    socket.curve_secretkey = locks.secret.encode()
    socket.zap_domain = _DOMAIN
    # Without it, a door that is missing would be an open one.
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


def show(socket: Socket, keys: ClientKeys | None) -> None:
    """Give a socket the keys to show. To be called before it is connected."""
    if keys is not None:
        _need_curve()
        socket.curve_serverkey = keys.writer.encode()
        socket.curve_publickey = keys.public.encode()
        socket.curve_secretkey = keys.secret.encode()


def user_of(frame: zmq.Frame) -> str:
    """The public key of the connection that a message came by; empty without a lock."""
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""


def _need_curve() -> None:
    if not zmq.has("curve"):
        raise ConfigError("ZeroMQ here was built without CURVE: pip install --upgrade pyzmq")


class Door(threading.Thread):
    """Answers whether a key may come in, and lets subscriptions through; until closed.

    Parameters
    ----------
    context : Context
        Whose sockets it is the door of; it must be there before they are bound.
    locks : Locks
        Knows the answers.
    signals : SignalSocket
        Whose subscriptions it attends to as they come.
    """

    def __init__(self, context: Context, locks: Locks, signals: SignalSocket) -> None:
        super().__init__(name="h5daq-door", daemon=True)
        self._locks, self._signals = locks, signals
        self._bell, self._closing = Bell(), False
        self._socket: Socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.bind(_ADDRESS)

    def run(self) -> None:
        """Answer until closed."""
        poller = zmq.Poller()
        for readable in (self._socket, self._signals.fileno(), self._bell.fileno()):
            poller.register(readable, zmq.POLLIN)
        while not self._closing:
            ready = dict(poller.poll())
            if self._socket in ready:
                self._socket.send_multipart(self._answer(self._socket.recv_multipart()))
            self._signals.attend()

    def close(self) -> None:
        """Nobody comes in any more."""
        self._closing = True
        self._bell.ring()
        if self.is_alive():
            self.join()
        self._socket.close(linger=0)
        self._bell.close()

    def _answer(self, question: list[bytes]) -> list[bytes]:
        """The frames of the specification: version, request, status, text, user, metadata."""
        version, request, _, address, _, mechanism, *shown = [*question, *[b""] * 7][:7]
        sound = version == b"1.0" and mechanism == b"CURVE" and len(shown[0]) == _KEY_BYTES
        public = z85.encode(shown[0]).decode() if sound else ""
        if sound and self._locks.admits(public, address.decode(errors="replace")):
            return [version, request, b"200", b"OK", public.encode(), b""]
        return [b"1.0", request, b"400", b"not on the list", b"", b""]
