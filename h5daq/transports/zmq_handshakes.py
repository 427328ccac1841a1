"""Why nobody answers: what ZeroMQ tells of handshakes that failed, and another try.

A writer that does not let somebody in says so to ZeroMQ's own threads only; to the socket it looks
like a writer that isn't there. And ZeroMQ never tries again then, though the key may be put on the
list a minute later: that is done here, when the owner of the socket finds that nothing comes.
"""

from __future__ import annotations

import contextlib
import secrets
import struct
import time

import zmq

from h5daq.transports.zmq_sockets import Context, Socket, connect

__all__ = ["Handshakes"]

_AGAIN_SECONDS = 1.0

_SUCCEEDED = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_VAGUE = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_REFUSED = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
_TEXTS = {
    _REFUSED: "the writer does not let this key in: it is not on its list, or was taken off (on "
    "the writer's machine: h5daq keys list)",
    int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL): "the writer and this end don't agree on keys: one of "
    "them has keys, the other has none (--keys PATH, keys=...)",
    _VAGUE: "the writer breaks off: it has keys and this end has none (--keys PATH, keys=...), or "
    "the key file names another writer's public key",
}
_EVENT = struct.Struct("=HI")


class Handshakes:
    """Listens to one socket's handshakes. For the thread that has the socket.

    Parameters
    ----------
    context, socket : Context, Socket
        Not connected yet.
    endpoint : str
        What the socket will be connected to.
    watch : bool
        Whether to listen at all: it takes two sockets of ZeroMQ.
    """

    def __init__(
        self, context: Context, socket: Socket, endpoint: str, *, watch: bool = True
    ) -> None:
        self._socket, self._endpoint = socket, endpoint
        self._last, self._again_at = 0, 0.0
        self._events = self._listen(context, socket) if watch else None

    def _listen(self, context: Context, socket: Socket) -> Socket:
        # The address of an earlier one may not be free again yet.
        address = f"inproc://h5daq-handshakes-{secrets.token_hex(8)}"
        socket.monitor(address, _SUCCEEDED | sum(_TEXTS))
        events: Socket = context.socket(zmq.PAIR)
        # ZeroMQ's thread would wait for room, and all connections with it.
        events.rcvhwm = 0
        events.linger = 0
        events.connect(address)
        return events

    def refusal(self, *, sure: bool = False) -> str:
        """What was wrong with the last handshake; empty if nothing was, or there was none.

        With `sure` only what can be nothing else: a writer may also die during a handshake.
        """
        while self._events is not None and self._events.poll(0):
            event, _ = _EVENT.unpack(self._events.recv_multipart()[0])
            # What is known exactly isn't overwritten by what may have many causes.
            if event != _VAGUE or self._last in (0, _SUCCEEDED):
                self._last = event
        return "" if sure and self._last == _VAGUE else _TEXTS.get(self._last, "")

    def again(self) -> None:
        """Connect once more if the key was refused; at most once a second."""
        if not self.refusal() or self._last != _REFUSED or time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + _AGAIN_SECONDS
        with contextlib.suppress(zmq.ZMQError):  # ZeroMQ has forgotten it by itself
            self._socket.disconnect(self._endpoint)
        connect(self._socket, self._endpoint)

    def close(self) -> None:
        """Listen no more. Twice does no harm."""
        if self._events is not None:
            self._socket.disable_monitor()
            self._events.close(linger=0)
            self._events = None
