"""Every transport takes the same exam; what only ZeroMQ has is checked here too."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from h5daq.errors import ConfigError
from h5daq.flow.wire import encode
from h5daq.testing import TRANSPORT_CHECKS
from h5daq.testing.meeting import hears, until
from h5daq.transports.base import Endpoints, Transport
from h5daq.transports.locks import ClientKeys, Locks
from h5daq.transports.memory import MemoryTransport
from h5daq.transports.zmq import WorkerLink, WriterPort, ZmqTransport
from h5daq.transports.zmq_curve import make_pair


def locked() -> ZmqTransport:
    """ZeroMQ with keys, of which one is let in."""
    (public, secret), (theirs, own) = make_pair(), make_pair()
    locks = Locks(secret, lambda key, _: key == theirs, lambda key, _: key == theirs)
    return ZmqTransport(ClientKeys("me", theirs, own, public), locks)


TRANSPORTS: dict[str, Callable[[Path], tuple[Transport, Endpoints]]] = {
    "memory": lambda path: (MemoryTransport(), Endpoints("data", "requests", "signals")),
    "tcp": lambda path: (ZmqTransport(), Endpoints(*["tcp://127.0.0.1:*"] * 3)),
    "curve": lambda path: (locked(), Endpoints(*["tcp://127.0.0.1:*"] * 3)),
    "ipc": lambda path: (ZmqTransport(), Endpoints(*(f"ipc://{path}/{n}" for n in "drs"))),
}


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ipc path has a limit of about 100 bytes."""
    return tmp_path_factory.mktemp("s")


@pytest.mark.parametrize("check", TRANSPORT_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_transport_passes(check: Callable[..., None], name: str, short_path: Path) -> None:
    transport, endpoints = TRANSPORTS[name](short_path)
    check(transport, endpoints)


def test_an_ipc_directory_is_private(short_path: Path) -> None:
    with WriterPort(*(f"ipc://{short_path}/new/{name}" for name in "drs")):
        assert stat.S_IMODE((short_path / "new").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("tcp://127.0.0.1:70000", "at most 65535"),
        ("tcp://192.0.2.1:5570", "no such address"),
        ("127.0.0.1:5570", "write tcp://HOST:PORT"),
        ("udp-ish://x", "write tcp://HOST:PORT"),
        ("ipc:///tmp/" + "x" * 200 + "/s", "shorter directory"),
    ],
)
def test_an_endpoint_that_cannot_be_had_is_named_with_the_mend(endpoint: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        WriterPort(endpoint, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*")
    assert endpoint in str(caught.value)


@pytest.mark.parametrize("which", [*itertools.product(["nonsense", "tcp://127.0.0.1:1"], repeat=2)])
def test_a_link_to_no_endpoint_is_refused_and_leaves_nothing_open(which: tuple[str, str]) -> None:
    if "nonsense" in which:
        with pytest.raises(ConfigError, match="nonsense"):
            WorkerLink(*which, "tank")
    else:
        WorkerLink(*which, "tank").close()


@pytest.mark.parametrize("name", ["memory", "ipc"])
def test_a_port_knows_when_nobody_hears_a_kind_any_more(name: str, short_path: Path) -> None:
    transport, at = TRANSPORTS[name](short_path)
    with transport.writer(*at) as port:
        signals = port.endpoints.signals
        with transport.subscriber(signals, [b"alarm/"]) as one:
            with transport.subscriber(signals, [b"alarm/", b"log/"]):
                until(lambda: port.is_heard("log"), port)
            until(lambda: not port.is_heard("log"), port)
            assert port.is_heard("alarm")
            one.unsubscribe(b"alarm/")
            until(lambda: not port.is_heard("alarm"), port)


def test_both_ipc_and_tcp_ends_say_their_real_endpoints(short_path: Path) -> None:
    with WriterPort("tcp://127.0.0.1:*", f"ipc://{short_path}/r", "tcp://[::1]:*") as port:
        assert port.endpoints.data.removeprefix("tcp://127.0.0.1:").isdecimal()
        assert port.endpoints.requests == f"ipc://{short_path}/r"
        assert port.endpoints.signals.startswith("tcp://[::1]:")


@pytest.mark.parametrize("locks", [False, True])
def test_each_socket_of_a_writer_drops_who_sends_too_large_a_message(locks: bool) -> None:
    transport = locked() if locks else ZmqTransport()
    with transport.writer(*["tcp://127.0.0.1:*"] * 3) as port:
        worker = transport.worker(port.endpoints.data, port.endpoints.signals, "tank")
        client = transport.client(port.endpoints.requests)
        too_long = b"x" * (16 << 10)
        with worker, client, transport.subscriber(port.endpoints.signals, [too_long]) as listener:
            until(lambda: worker.send(bytes(65 << 20)))
            until(lambda: client.send([bytes(65 << 20)]))
            port.publish(too_long, encode("alarm"))
            assert listener.receive(0.2) == []
            # Who was dropped comes back, and the port is as before.
            until(lambda: worker.send(b"small") and port.receive_data(1, 1), port)
            until(lambda: client.send([b"small"]) and port.receive_requests(), port)


def test_subscribers_are_cut_off_and_come_back(short_path: Path) -> None:
    for endpoint in (f"ipc://{short_path}/s", "tcp://127.0.0.1:*"):
        transport = locked()
        port = transport.writer("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", endpoint)
        listener = transport.subscriber(port.endpoints.signals, [b"alarm/"])
        with port, listener:
            for _ in range(3):
                hears(port, listener, b"alarm/", encode("alarm"))
                assert port.cut_subscribers()
            hears(port, listener, b"alarm/", encode("alarm"))


def test_an_ipc_socket_is_its_users_also_in_an_open_directory(short_path: Path) -> None:
    short_path.chmod(0o777)
    with WriterPort(*(f"ipc://{short_path}/{name}" for name in "xyz")):
        assert {stat.S_IMODE(path.stat().st_mode) for path in short_path.iterdir()} == {0o600}
