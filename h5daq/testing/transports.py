"""The exam that every transport takes.

Each check opens a writer's port at fresh endpoints and lets the other ends meet it. They check
what the delivery and the clients rely on: whole messages in order, no call that blocks, slow and
dead peers that harm nobody else, ends that find a restarted writer again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from h5daq.errors import ConfigError, NoAnswer
from h5daq.flow.requests import (
    Note,
    Reply,
    Request,
    decode_answer,
    encode_reply,
    encode_request,
)
from h5daq.flow.topics import prefixes, topic
from h5daq.flow.wire import encode
from h5daq.testing.meeting import (
    DEADLINE,
    again,
    asked,
    deaf,
    for_worker,
    heard_names,
    hears,
    heartbeat,
    mark,
    new_dir,
    other,
    position,
    positions,
    quick,
    raises,
    receive,
    running,
    send,
    serving,
    subscriber,
    until,
    vacant,
    worker,
    writer,
)
from h5daq.transports.base import (
    DATA_QUEUE,
    SEND_QUEUE,
    SIGNAL_QUEUE,
    Endpoints,
    Signal,
    Transport,
)

__all__ = ["TRANSPORT_CHECKS", "check_transport"]

Check = Callable[[Transport, Endpoints], None]


def check_transport(transport: Transport, endpoints: Callable[[], Endpoints]) -> None:
    """Put a transport to every check.

    Parameters
    ----------
    transport : Transport
        The transport.
    endpoints : callable
        Gives endpoints to listen on that nobody uses, new ones at each call.

    Raises
    ------
    AssertionError
        At the first check that it fails.
    """
    for check in TRANSPORT_CHECKS:
        check(transport, endpoints())


# -- the checks -----------------------------------------------------------------------------------


def messages_arrive_whole_and_in_order(transport: Transport, at: Endpoints) -> None:
    """Whatever their size, as bytes and as views."""
    sizes = [1, 100, 65_535, 65_536, 1 << 20, 0, 7]
    messages = [bytes([i]) * size for i, size in enumerate(sizes)]
    with writer(transport, at) as port, worker(transport, port) as link:
        for message in messages:
            send(link, memoryview(message))
        assert receive(port, len(messages)) == messages


def a_read_stops_at_its_limits(transport: Transport, at: Endpoints) -> None:
    """Of messages or of bytes, whichever comes first; the rest stays."""
    with writer(transport, at) as port, worker(transport, port) as link:
        for _ in range(20):
            send(link, b"x" * 1000)
        assert len(until(lambda: port.receive_data(1, 1 << 20), port)) == 1
        assert len(until(lambda: port.receive_data(100, 1500), port)) <= 2
        assert len(receive(port, 17)) >= 17


def a_send_without_a_writer_says_so(transport: Transport, at: Endpoints) -> None:
    """And never waits."""
    at = vacant(transport, at)
    with transport.worker(at.data, at.signals, "tank") as link:
        assert quick(lambda: [link.send(b"x") for _ in range(10)]) == [False] * 10


def a_writer_that_does_not_read_stops_the_sender(transport: Transport, at: Endpoints) -> None:
    """Queues are finite; when it reads again, all that was taken arrives, in order."""
    with writer(transport, at) as port, worker(transport, port) as link:
        message, most = b"x" * 50_000, DATA_QUEUE + SEND_QUEUE + 10_000
        taken = quick(lambda: next(i for i in range(most) if not link.send(mark(i, message))))
        got = [int(m[:8]) for m in receive(port, taken)]
        assert got == list(range(taken))


def threads_may_send_at_once(transport: Transport, at: Endpoints) -> None:
    """Each thread's messages arrive whole and in its order."""
    with writer(transport, at) as port, worker(transport, port) as link:

        def feed(name: bytes) -> None:
            for i in range(200):
                send(link, b"%b %d" % (name, i))

        threads = [threading.Thread(target=feed, args=(name,)) for name in (b"a", b"b")]
        for thread in threads:
            thread.start()
        got = receive(port, 400)
        for thread in threads:
            thread.join()
        for name in (b"a", b"b"):
            assert [m for m in got if m[:1] == name] == [b"%b %d" % (name, i) for i in range(200)]


def a_worker_hears_what_is_for_its_job(transport: Transport, at: Endpoints) -> None:
    """And heartbeats; nothing for a job whose name begins like its own, or lies below it."""
    with writer(transport, at) as port, transport.worker(*for_worker(port), "tank") as link:
        hears(port, link, topic("heartbeat"), heartbeat())
        port.publish(topic("position", "tank2"), position(1))
        port.publish(topic("position", "tank/top"), position(2))
        port.publish(topic("position", "tank"), position(3))
        assert until(lambda: positions(link.receive(0.1)), port) == [3]


def a_subscriber_hears_its_prefixes(transport: Transport, at: Endpoints) -> None:
    """Those it has now: they can be changed."""
    kinds = prefixes(["new-dir"], "tank")
    with writer(transport, at) as port, subscriber(transport, port, kinds) as listener:
        hears(port, listener, topic("new-dir", "tank"), new_dir("tank"))
        listener.subscribe(b"alarm/")
        hears(port, listener, topic("alarm"), encode("alarm"))
        listener.unsubscribe(kinds[0])
        until(lambda: deaf(port, listener), port)


def a_port_knows_which_kinds_are_heard(transport: Transport, at: Endpoints) -> None:
    """What nobody ever subscribed to need not be made."""
    with writer(transport, at) as port:
        assert not port.is_heard("new-dir")
        with subscriber(transport, port, prefixes(["new-dir"], "tank")):
            until(lambda: port.is_heard("new-dir"), port)
            assert not port.is_heard("alarm")
            with subscriber(transport, port, [b""]):
                until(lambda: port.is_heard("alarm"), port)


def rows_may_be_left_for_later(transport: Transport, at: Endpoints) -> None:
    """While only requests are waited for, and are there when they are asked for."""
    with (
        writer(transport, at) as port,
        worker(transport, port) as link,
        transport.client(port.endpoints.requests) as client,
    ):
        send(link, b"row")
        until(lambda: port.poll(0.1).data, port)
        assert port.poll(0.0, data=False) == (False, False)
        client.send(encode_request(Request(1, "echo")))
        assert until(lambda: port.poll(0.1, data=False).requests, port)
        assert port.poll(DEADLINE) == (True, True)
        assert receive(port, 1) == [b"row"]


def a_subscriber_that_does_not_read_harms_nobody(transport: Transport, at: Endpoints) -> None:
    """It misses signals; publishing never waits, and others hear all that they read."""
    everything = prefixes(["new-dir"])
    with (
        writer(transport, at) as port,
        subscriber(transport, port, everything) as slow,
        subscriber(transport, port, everything) as brisk,
    ):
        hears(port, slow, topic("new-dir", "warm"), new_dir("up"))
        hears(port, brisk, topic("new-dir", "warm"), new_dir("up"))
        payload = encode("new-dir", path="x" * 10_000, name="y")

        def flood() -> None:
            for _ in range(5 * SIGNAL_QUEUE):
                port.publish(b"new-dir x/", payload)

        quick(flood)
        hears(port, brisk, topic("new-dir", "after"), new_dir("after"))


def what_is_no_message_is_counted(transport: Transport, at: Endpoints) -> None:
    """And passed over: what follows is heard."""
    everything = prefixes(["new-dir"])
    with writer(transport, at) as port, subscriber(transport, port, everything) as listener:
        hears(port, listener, topic("new-dir", "a"), new_dir("a"))
        port.publish(b"new-dir a/", b"\xc1 no msgpack")
        hears(port, listener, topic("new-dir", "b"), new_dir("b"))
        assert listener.rejected.total() == 1


def publishing_from_a_thread_is_safe(transport: Transport, at: Endpoints) -> None:
    """While another one polls and reads."""
    everything = prefixes(["new-dir"])
    with writer(transport, at) as port, subscriber(transport, port, everything) as listener:
        hears(port, listener, topic("new-dir", "a"), new_dir("a"))
        names = [str(i) for i in range(300)]

        def tell() -> None:
            for name in names:
                port.publish(b"new-dir t/", new_dir(name))

        with worker(transport, port) as link, running(tell):
            send(link, b"row")
            assert receive(port, 1) == [b"row"]
            heard: list[str] = []
            until(lambda: heard_names(listener, heard)[-1:] == names[-1:], port)
        assert heard[-300:] == names


def a_bell_ends_a_wait(transport: Transport, at: Endpoints) -> None:
    """Of the writer and of each who talks to it, from another thread and before the wait."""
    with (
        writer(transport, at) as port,
        transport.worker(*for_worker(port), "tank") as link,
        subscriber(transport, port, [b"alarm/"]) as listener,
        transport.client(port.endpoints.requests) as client,
    ):
        waits: list[tuple[Callable[[], None], Callable[[float], Any]]] = [
            (port.wake, port.poll),
            (link.wake, link.receive),
            (listener.wake, listener.receive),
            (client.wake, client.receive),
        ]
        for wake, wait in waits:
            wake()
            quick(lambda wait=wait: wait(DEADLINE))  # type: ignore[misc]
            with running(wake):
                quick(lambda wait=wait: wait(DEADLINE))  # type: ignore[misc]
        assert port.poll(0.0) == (False, False)


def an_iteration_ends_when_told(transport: Transport, at: Endpoints) -> None:
    """From another thread, and what came before is given out."""
    with writer(transport, at) as port, subscriber(transport, port, [b"alarm/"]) as listener:
        heard: list[Signal] = []

        def follow() -> None:
            heard.extend(listener)

        def tell() -> bool:
            port.publish(b"alarm/", encode("alarm"))
            return bool(heard)

        with running(follow):
            until(tell, port)
            listener.stop()
        assert heard[0][0] == b"alarm/"


def a_request_gets_its_reply_after_the_notes(transport: Transport, at: Endpoints) -> None:
    """On one line, in the order in which they were sent."""
    with writer(transport, at) as port, transport.client(port.endpoints.requests) as client:
        with serving(port, notes=2):
            answer = client.request(encode_request(Request(1, "echo", frames=(b"abc",))), DEADLINE)
        assert decode_answer(answer) == Reply(1, "echo", (b"abc",))
        assert [decode_answer(note) for note in client.notes()] == [
            Note(0, "new", 0),
            Note(0, "new", 1),
        ]


def a_request_without_an_answer_ends_in_time(transport: Transport, at: Endpoints) -> None:
    """Also where nobody listens; a later answer to it isn't taken for another's."""
    with transport.client(vacant(transport, at).requests) as client:
        raises(NoAnswer, lambda: client.request(encode_request(Request(1, "echo")), 0.05))
    with writer(transport, at) as port, transport.client(port.endpoints.requests) as client:
        raises(NoAnswer, lambda: client.request(encode_request(Request(1, "late")), 0.05))
        with serving(port, count=2):
            answer = client.request(encode_request(Request(2, "echo")), DEADLINE)
        assert decode_answer(answer) == Reply(2, "echo")


def a_reply_to_nobody_says_so(transport: Transport, at: Endpoints) -> None:
    """A client that has gone, or never was."""
    with writer(transport, at) as port:
        assert not port.reply(b"nobody", encode_reply(1))
        with transport.client(port.endpoints.requests) as client:
            client.send(encode_request(Request(1, "echo")))
            [(identity, *_)] = until(port.receive_requests, port)
            assert port.reply(identity, encode_reply(1))
            assert client.receive(DEADLINE) is not None
        until(lambda: not port.reply(identity, encode_reply(1)), port)


def a_taken_endpoint_is_named(transport: Transport, at: Endpoints) -> None:
    """And what was opened by then is closed again."""
    with writer(transport, at) as port:
        error = raises(ConfigError, lambda: transport.writer(*port.endpoints))
        assert port.endpoints.data in str(error)


def a_restarted_writer_is_found_again(transport: Transport, at: Endpoints) -> None:
    """By workers and clients, with nothing done by them but to try again."""
    with writer(transport, at) as port:
        real = port.endpoints
        link = transport.worker(real.data, real.signals, "tank")
        client = transport.client(real.requests)
        send(link, b"before")
        receive(port, 1)
    with link, client, again(transport, real) as port:
        until(lambda: link.send(b"after") and port.receive_data(1, 1), port)
        hears(port, link, topic("heartbeat"), heartbeat())
        until(lambda: client.send(encode_request(Request(3, "echo"))) and asked(port), port)


def a_link_that_moves_on_leaves_nothing_behind(transport: Transport, at: Endpoints) -> None:
    """What the old writer has not read does not come to the new one."""
    with writer(transport, at) as old:
        link = transport.worker(*for_worker(old), "tank")
        for _ in range(5):
            send(link, b"old")
        with link, transport.writer(*(other(e) for e in at)) as new:
            link.reconnect(*for_worker(new))
            send(link, b"new")
            assert receive(new, 1) == [b"new"]
            hears(new, link, topic("heartbeat"), heartbeat())


def closing_is_quick_and_may_be_repeated(transport: Transport, at: Endpoints) -> None:
    """Also with messages that nobody has read."""
    with writer(transport, at) as port:
        link, client = worker(transport, port), transport.client(port.endpoints.requests)
        send(link, b"x" * 1000)
        client.send(encode_request(Request(1, "echo")))
        for end in (link, client):
            quick(end.close)
            end.close()
        assert not link.send(b"x")


TRANSPORT_CHECKS: tuple[Check, ...] = (
    messages_arrive_whole_and_in_order,
    a_read_stops_at_its_limits,
    a_send_without_a_writer_says_so,
    a_writer_that_does_not_read_stops_the_sender,
    threads_may_send_at_once,
    a_worker_hears_what_is_for_its_job,
    a_subscriber_hears_its_prefixes,
    a_port_knows_which_kinds_are_heard,
    rows_may_be_left_for_later,
    a_subscriber_that_does_not_read_harms_nobody,
    what_is_no_message_is_counted,
    publishing_from_a_thread_is_safe,
    a_bell_ends_a_wait,
    an_iteration_ends_when_told,
    a_request_gets_its_reply_after_the_notes,
    a_request_without_an_answer_ends_in_time,
    a_reply_to_nobody_says_so,
    a_taken_endpoint_is_named,
    a_restarted_writer_is_found_again,
    a_link_that_moves_on_leaves_nothing_behind,
    closing_is_quick_and_may_be_repeated,
)
"""All of them; each takes a transport and endpoints that nobody uses."""
