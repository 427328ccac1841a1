"""ZeroMQ sockets with the options that all ends share.

Every link has a context of its own: it is made after a fork and goes with its link, and nothing
is shared between the ends of one process.

Peers that vanish without a word (a pulled cable, a machine without power) are noticed by the
system, which probes idle connections and gives up those whose data nobody acknowledges. ZeroMQ's
own heartbeats are not used. It stops reading from a peer whose messages fill the queue, and if it
then has a beat to send or to answer on that connection, or cuts it off for its silence, it may
abort the process (libzmq 4.3.5, ``stream_engine_base.cpp``: "Assertion failed: !_io_error" and
"_input_stopped"; its issues 3937 and 4364). What the system can't see (a tunnel or a proxy that
takes everything and passes on nothing) the ends see by what the writer tells every second.
"""

from __future__ import annotations

import errno
import socket as socketlib
from pathlib import Path

import zmq

from h5daq.errors import ConfigError
from h5daq.flow.packing import MAX_MESSAGE_BYTES, Buffer

__all__ = [
    "Context",
    "Socket",
    "bind",
    "connect",
    "content_of",
    "has_come",
    "make_socket",
    "milliseconds",
]

Socket = zmq.SyncSocket
Context = zmq.SyncContext

_POLLIN = int(zmq.POLLIN)

_RECONNECT_MS = 50
_RECONNECT_MAX_MS = 1_000
_CONNECT_MS = 3_000
"""The system's own tries to connect grow apart to a minute: after a network that was cut for some
minutes comes back, a fresh try finds it at once, and the old one much later."""
_HANDSHAKE_MS = 5_000
_KEEPALIVE_SECONDS, _KEEPALIVE_EVERY_SECONDS, _KEEPALIVE_TIMES = 4, 2, 3
_UNACKNOWLEDGED_MS = 10_000
# ZeroMQ closes the connection on what is larger, and tells nobody. So it takes somewhat more than
# anybody may send: a message up to this size is refused here, counted and logged.
_MAX_FRAME_BYTES = 2 * MAX_MESSAGE_BYTES
_COPIED_BYTES = 32 << 10


def make_socket(context: Context, kind: int, *, send: int, receive: int) -> Socket:
    """A socket that keeps at most `send` and `receive` messages per peer, and drops at close."""
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndhwm, socket.rcvhwm = send, receive
    socket.maxmsgsize = _MAX_FRAME_BYTES
    socket.reconnect_ivl, socket.reconnect_ivl_max = _RECONNECT_MS, _RECONNECT_MAX_MS
    socket.connect_timeout, socket.handshake_ivl = _CONNECT_MS, _HANDSHAKE_MS
    socket.tcp_keepalive, socket.tcp_keepalive_idle = 1, _KEEPALIVE_SECONDS
    socket.tcp_keepalive_intvl = _KEEPALIVE_EVERY_SECONDS
    socket.tcp_keepalive_cnt = _KEEPALIVE_TIMES
    socket.tcp_maxrt = _UNACKNOWLEDGED_MS
    return socket


def bind(socket: Socket, endpoint: str) -> str:
    """Bind, and give the real endpoint, port filled in.

    Raises
    ------
    ConfigError
        If the endpoint can't be had; names it and what would mend it.
    """
    try:
        _prepare_path(endpoint)
        _prepare(socket, endpoint)
        socket.bind(endpoint)
        found = socket.get(zmq.LAST_ENDPOINT)
        real = found.rstrip(b"\0").decode() if isinstance(found, bytes) else endpoint
        _make_private(real)
        return real
    except OSError as error:
        said = error.strerror or error
        raise ConfigError(f"can't listen on {endpoint}: {said}") from error
    except zmq.ZMQError as error:
        raise ConfigError(f"can't listen on {endpoint}: {_mend(error)}") from error


def connect(socket: Socket, endpoint: str) -> None:
    """Connect; whether anybody is there shows later.

    Raises
    ------
    ConfigError
        If this is no endpoint.
    """
    try:
        _prepare(socket, endpoint)
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise ConfigError(f"can't connect to {endpoint}: {_mend(error)}") from error


def has_come(socket: Socket) -> bool:
    """Whether there is a message to read."""
    # Plain numbers: an operation on ZeroMQ's own flags makes a new flag, by five calls of Python's.
    return bool(int(socket.getsockopt(zmq.EVENTS)) & _POLLIN)


def content_of(part: zmq.Frame) -> Buffer:
    """The bytes of a frame; what is large stays where it is."""
    return part.bytes if len(part) < _COPIED_BYTES else part.buffer


def milliseconds(seconds: float) -> int:
    """For a poll: rounded up, so that a short wait is no busy loop."""
    return max(0, int(-(-seconds * 1000 // 1)))


def _prepare(socket: Socket, endpoint: str) -> None:
    # Only where asked for: a machine without IPv6 would else be cut off from IPv4 names too.
    socket.ipv6 = "[" in endpoint
    port = endpoint.rpartition(":")[2]
    # ZeroMQ takes the port modulo 65536.
    if endpoint.startswith("tcp:") and port.isdecimal() and int(port) > 65535:
        raise ConfigError(f"{endpoint}: a port is at most 65535")


def _prepare_path(endpoint: str) -> None:
    """An ipc socket lies in a directory that only its user can enter, and is taken from nobody."""
    scheme, _, path = endpoint.partition("://")
    # "@" begins an abstract name on Linux, "*" asks for one of ZeroMQ's own.
    if scheme != "ipc" or path[:1] in ("@", "*") or len(path) > zmq.IPC_PATH_MAX_LEN:
        return
    Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # ZeroMQ would unlink the path and listen there, under the eyes of the one who had it.
    with socketlib.socket(socketlib.AF_UNIX) as probe:
        if probe.connect_ex(path) == 0:
            raise OSError(errno.EADDRINUSE, _MENDS[errno.EADDRINUSE])


def _make_private(endpoint: str) -> None:
    """An ipc socket is its user's, also where its directory is everybody's."""
    scheme, _, path = endpoint.partition("://")
    if scheme == "ipc" and not path.startswith("@"):
        Path(path).chmod(0o600)


_MENDS = {
    errno.EADDRINUSE: "another program (an older writer?) has it; end it or take another",
    errno.EADDRNOTAVAIL: "this machine has no such address; tcp://*:PORT listens on all",
    errno.ENODEV: "this machine has no such address; tcp://*:PORT listens on all",
    errno.EACCES: "not allowed; take a port above 1023 or a directory of your own",
    errno.ENAMETOOLONG: f"an ipc path has at most {zmq.IPC_PATH_MAX_LEN} bytes; "
    "take a shorter directory",
    errno.EINVAL: "write tcp://HOST:PORT or ipc://PATH",
    errno.EPROTONOSUPPORT: "write tcp://HOST:PORT or ipc://PATH",
}


def _mend(error: zmq.ZMQError) -> str:
    said = str(error).partition(" (addr=")[0]
    mend = _MENDS.get(error.errno or 0)
    return f"{said}: {mend}" if mend else said
