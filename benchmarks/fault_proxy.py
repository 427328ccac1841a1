"""A network that misbehaves when it is told to: a TCP proxy on loopback.

Put between a worker and the writer, it can cut, stall one way or both, reset in the midst of a
message, vanish without a word, delay and throttle, and move to another target. It knows bytes
and nothing of messages, so what it does to a connection is what a network does. It lives in
threads of the process that made it, and heals when it is told to.
"""

from __future__ import annotations

import random
import socket
import struct
import sys
import threading
import time
from contextlib import suppress

__all__ = ["BACK", "OUT", "Proxy", "address_of", "free_port"]

OUT, BACK = "out", "back"
"""Towards the target, and from it."""

_CHUNK_BYTES = 1 << 16
_PORTS = 10_240, 32_768
"""Below those that Linux deals out to whoever asks for any."""
_RESET = struct.pack("ii", 1, 0)


def free_port() -> int:
    """A port of loopback that nobody has, nor gets before it is used.

    What the kernel deals out by itself lies above; and whoever else asks here, in any process of
    this machine, gets another one while this process lives.
    """
    while True:
        port = random.SystemRandom().randrange(*_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _reserve(port):
            return port


def _reserve(port: int) -> bool:
    """Note it where all processes look: as a name that is gone with its process."""
    if not sys.platform.startswith("linux"):
        return True
    note = socket.socket(socket.AF_UNIX)
    try:
        note.bind(f"\0h5daq-port-{port}")
    except OSError:
        note.close()
        return False
    note.detach()
    return True


def address_of(endpoint: str) -> tuple[str, int]:
    """Host and port of ``tcp://host:port``."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host, int(port)


class _Pair:
    """One connection: the two sockets that it is made of here."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far
        self.dead = False  # nobody will ever hear of it again, in either direction
        self.reset_at: int | None = None

    def ends(self, way: str) -> tuple[socket.socket, socket.socket]:
        return (self.near, self.far) if way == OUT else (self.far, self.near)

    def reset(self) -> None:
        """Both sides get an RST: what was under way is gone."""
        for end in (self.near, self.far):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                # Another thread may be in recv, which keeps a closed socket alive.
                end.shutdown(socket.SHUT_RD)
            end.close()

    def drop(self) -> None:
        for end in (self.near, self.far):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on a port of loopback and passes on to `target`.

    Parameters
    ----------
    target : str
        ``tcp://host:port``. May be changed; connections made later go to the new one.

    Attributes
    ----------
    endpoint : str
        Where to connect to instead of the target.
    delay : float
        Seconds by which all that is passed on is late.
    rate : float
        Bytes per second and direction; 0 for as fast as it goes.
    passed : dict
        Bytes passed on, by direction.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.delay, self.rate = 0.0, 0.0
        self.passed = {OUT: 0, BACK: 0}
        self._flow = threading.Condition()
        self._stalled: set[str] = set()
        self._refusing = self._vanished = self._closed = False
        self._pairs: set[_Pair] = set()
        self._silent: list[socket.socket] = []
        self._door = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._door.getsockname()[1]}"
        _thread(self._listen)

    # -- what it does to the network ------------------------------------------------------------

    def cut(self) -> None:
        """Reset all connections, and each new one as soon as it is made."""
        self._refusing = True
        self.reset()

    def reset(self, after: int = 0) -> None:
        """Reset all connections, each once `after` more bytes have passed towards the target."""
        with self._flow:
            pairs = list(self._pairs)
            for pair in pairs:
                pair.reset_at = after or None
        for pair in [] if after else pairs:
            self._forget(pair)
            pair.reset()

    def stall(self, *ways: str) -> None:
        """Read no more in these directions, and keep everything open."""
        with self._flow:
            self._stalled |= set(ways or (OUT, BACK))

    def vanish(self) -> None:
        """Be gone without a word: nothing is passed, read or closed, and never will be.

        Connections that were open stay half-open for ever; new ones get no answer until `heal`.
        """
        with self._flow:
            self._vanished = True
            for pair in self._pairs:
                pair.dead = True

    def heal(self) -> None:
        """Pass on everything again; what has vanished stays silent."""
        with self._flow:
            self._refusing = self._vanished = False
            self._stalled.clear()
            self.delay, self.rate = 0.0, 0.0
            self._flow.notify_all()

    def close(self) -> None:
        """End it with all its connections."""
        self._closed = True
        with self._flow:
            pairs = list(self._pairs)
            self._flow.notify_all()
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for silent in self._silent:
            silent.close()
        for pair in pairs:
            pair.drop()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- connections ----------------------------------------------------------------------------

    def _listen(self) -> None:
        while not self._closed:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            self._meet(near)

    def _meet(self, near: socket.socket) -> None:
        if self._vanished:
            self._silent.append(near)
            return
        try:
            if self._refusing:
                raise ConnectionRefusedError
            far = socket.create_connection(address_of(self.target), 5.0)
        except OSError:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            near.close()
            return
        far.settimeout(None)
        pair = _Pair(near, far)
        with self._flow:
            self._pairs.add(pair)
        for way in (OUT, BACK):
            _thread(self._pump, pair, way)

    def _pump(self, pair: _Pair, way: str) -> None:
        source, sink = pair.ends(way)
        try:
            while self._flowing(pair, way) and (data := source.recv(_CHUNK_BYTES)):
                # What came when the stall began waits here.
                if not self._flowing(pair, way):
                    break
                self._pass(pair, way, sink, data)
        except OSError:
            pass
        if not pair.dead:
            self._forget(pair)
            pair.drop()

    def _flowing(self, pair: _Pair, way: str) -> bool:
        """Wait while this direction is stalled; False once nothing will pass any more."""
        with self._flow:
            while not self._closed and (pair.dead or way in self._stalled):
                self._flow.wait(1.0)
                if pair not in self._pairs:
                    return False
        return not self._closed

    def _pass(self, pair: _Pair, way: str, sink: socket.socket, data: bytes) -> None:
        pause = self.delay + (len(data) / self.rate if self.rate else 0.0)
        if pause:
            time.sleep(pause)
        limit = pair.reset_at if way == OUT else None
        if limit is not None and len(data) >= limit:
            sink.sendall(data[:limit])
            self._forget(pair)
            pair.reset()
            raise ConnectionResetError
        sink.sendall(data)
        self.passed[way] += len(data)
        if limit is not None:
            pair.reset_at = limit - len(data)

    def _forget(self, pair: _Pair) -> None:
        with self._flow:
            self._pairs.discard(pair)
            self._flow.notify_all()


def _thread(run: object, *args: object) -> None:
    threading.Thread(target=run, args=args, name="fault-proxy", daemon=True).start()  # type: ignore[arg-type]


def anywhere(dice: random.Random, most: int = 200_000) -> int:
    """How many bytes may pass before a reset: often few, so that it hits the middle of one."""
    return int(most ** dice.random())
