"""Decodes what is on its standard input, one msgpack list of messages, under the hook of `watched`.

All that decoding needs is imported, and used once, before the hook is armed.
"""

import contextlib
import os
import signal
import sys

import msgpack

from h5daq.errors import WireError
from h5daq.flow.requests import decode_answer, decode_request
from h5daq.flow.schema import Schema
from h5daq.flow.wire import decode, decode_head, rows_of


def read(message):
    """By every decoder that a socket has behind it."""
    for decoder in (
        decode_head,
        decode,
        lambda m: decode_request([m]),
        lambda m: decode_answer([m]),
    ):
        with contextlib.suppress(WireError):
            head = decoder(message)
            if getattr(head, "k", "") == "hello":
                Schema.from_wire(head.fields["schema"])
            if getattr(head, "k", "") == "rows":
                rows_of(head, Schema.from_wire([{"label": "time", "dtype": "<f8"}]))


def main():
    """Read them once, then once more under the eyes of the hook."""
    messages = msgpack.unpackb(sys.stdin.buffer.read())
    read(messages[0])
    os.kill(os.getpid(), signal.SIGUSR1)
    for message in messages:
        read(message)


if __name__ == "__main__":
    main()
