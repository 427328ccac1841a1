"""Options of sockets that decide how soon a network that heals is found again."""

import zmq

from h5daq.transports.zmq_sockets import make_socket


def test_a_connection_that_gets_no_answer_is_given_up_and_begun_anew_within_seconds():
    with zmq.Context() as context, make_socket(context, zmq.PUSH, send=1, receive=1) as socket:
        # The system's own tries to connect are up to a minute apart after some minutes, and a
        # handshake may take half of one: whoever waits for them misses a network that is back.
        assert 0 < socket.connect_timeout <= 5_000
        assert 0 < socket.handshake_ivl <= 10_000
        assert 0 < socket.heartbeat_timeout <= 10_000
