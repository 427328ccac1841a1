"""The Data Vault in the writer, over its sockets: adds one by one and in blocks, and reading back.

One client, whose dataset has eight columns of floats. Beside the single adds runs a bare loop with
the same guarantee: ROUTER and DEALER, msgpack, one fdatasync before each reply. Beside the reading
stands h5py on the same file. ``python -m benchmarks.vault [--adds 2000] [--rows 2000000]``
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import zmq

from benchmarks.common import arguments, scratch, show
from h5daq.flow.control import ControlDecoder, encode_control
from h5daq.flow.requests import Failure, Note, Reply, Request, decode_answer, encode_request
from h5daq.flow.vaultwire import decode_columns, encode_columns
from h5daq.writer.settings import WriterSettings

COLUMNS = 8
NAME = "00001 - scan.hdf5"
_WINDOW = 64
"""Adds in flight, of a client that doesn't wait for each reply."""


class Client:
    """A context on a DEALER."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.connect(endpoint)
        self._numbers = itertools.count(1)
        self("context")

    def send(self, verb: str, frames: Any = (), **args: Any) -> None:
        request = Request(next(self._numbers), verb, args, 1, "bench", tuple(frames))
        self._socket.send_multipart(encode_request(request))

    def receive(self) -> Reply:
        answer = decode_answer(self._socket.recv_multipart())
        while isinstance(answer, Note):
            answer = decode_answer(self._socket.recv_multipart())
        if isinstance(answer, Failure):
            raise answer.error()
        return answer

    def __call__(self, verb: str, frames: Any = (), **args: Any) -> Reply:
        self.send(verb, frames, **args)
        return self.receive()


@contextmanager
def writer(folder: Path) -> Iterator[str]:
    """A writer process; gives the endpoint of its requests."""
    ours, its = socket.socketpair()
    process = subprocess.Popen([sys.executable, "-m", "h5daq.writer"], stdin=its)
    its.close()
    where = {name: f"ipc://{folder}/{name}" for name in ("data", "requests", "signals")}
    settings = WriterSettings(str(folder), "bench", **where, write_period=600.0)
    ours.sendall(encode_control("settings", settings=settings.to_bytes()))
    decoder = ControlDecoder()
    while not any(message["k"] == "ready" for message in decoder.feed(ours.recv(1 << 16))):
        pass
    yield where["requests"]
    process.terminate()
    while ours.recv(1 << 16):
        pass
    process.wait()
    ours.close()


def bare_adds(folder: Path, adds: int) -> float:
    """Seconds per add of a bare loop that writes, syncs and replies."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(f"ipc://{folder}/bare")
    fd = os.open(folder / "bare-journal", os.O_CREAT | os.O_WRONLY)
    os.posix_fallocate(fd, 0, 64 << 20)
    os.fsync(fd)

    def serve() -> None:
        for number in range(adds):
            identity, message, frame = router.recv_multipart()
            request = msgpack.unpackb(message)
            os.write(fd, message + frame)
            os.fdatasync(fd)
            router.send_multipart([identity, msgpack.packb({"id": request["id"], "n": number})])

    server = threading.Thread(target=serve)
    server.start()
    dealer = context.socket(zmq.DEALER)
    dealer.connect(f"ipc://{folder}/bare")
    row = bytes(COLUMNS * 8)
    began = time.perf_counter()
    for number in range(adds):
        request = {"v": 1, "id": number, "verb": "add", "args": {"n": 1}}
        dealer.send_multipart([msgpack.packb(request), row])
        msgpack.unpackb(dealer.recv())
    seconds = time.perf_counter() - began
    server.join()
    os.close(fd)
    context.destroy(linger=0)
    return seconds / adds


def single_adds(client: Client, adds: int, window: int) -> float:
    """Seconds per add of one row, with up to `window` of them in flight."""
    fields, frames = encode_columns([np.array([1.0])] * COLUMNS)
    began = time.perf_counter()
    for number in range(adds + window):
        if number < adds:
            client.send("add", frames, **fields)
        if number >= window:
            client.receive()
    return (time.perf_counter() - began) / adds


def block_adds(client: Client, rows: int, block: int) -> float:
    """Rows per second of blocks, each acknowledged before the next."""
    fields, frames = encode_columns([np.random.default_rng(1).random(block)] * COLUMNS)
    began = time.perf_counter()
    for _ in range(max(1, rows // block)):
        client("add_ex_t", frames, **fields)
    return max(1, rows // block) * block / (time.perf_counter() - began)


def read_all(client: Client) -> tuple[int, float]:
    """Rows of the whole dataset, and rows per second."""
    client("open", name=1)
    began, rows, more = time.perf_counter(), 0, True
    while more:
        reply = client("get")
        (page,) = decode_columns(reply.result, reply.frames)
        rows, more = rows + len(page), reply.result["more"]
    return rows, rows / (time.perf_counter() - began)


def read_h5py(folder: Path) -> float:
    """Rows per second of plain h5py."""
    began = time.perf_counter()
    with h5py.File(folder / NAME) as file:
        rows = len(file["DataVault"][:])
    return rows / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, adds=2000, rows=2_000_000)
    lines = []
    with scratch(args.directory) as folder:
        with writer(folder) as endpoint, zmq.Context() as context:
            client = Client(context, endpoint)
            client("new", name="scan", independents=[["x0", ""]],
                   dependents=[[f"x{n}", "", ""] for n in range(1, COLUMNS)])  # fmt: skip
            bare = bare_adds(folder, args.adds)
            one = single_adds(client, args.adds, 0)
            beside = f"bare loop {1e3 * bare:.2f} ms; ratio {one / bare:.2f}"
            lines.append(("an add of one row, waiting", f"{1e3 * one:.2f} ms; {beside}"))
            many = single_adds(client, args.adds, _WINDOW)
            lines.append((f"adds of one row, {_WINDOW} in flight", f"{1 / many:,.0f} per second"))
            for block in (1000, 100_000):
                rate = block_adds(client, args.rows // 2, block)
                text = f"{rate / 1e6:.2f} M rows/s, {rate * COLUMNS * 8 / 1e6:.0f} MB/s"
                lines.append((f"blocks of {block} rows", text))
            rows, rate = read_all(client)
            context.destroy(linger=0)
        raw = read_h5py(folder)
        text = f"{rate / 1e6:.2f} M rows/s; h5py {raw / 1e6:.2f}; ratio {rate / raw:.2f}"
        lines.append((f"get of {rows} rows", text))
    show("the vault over its sockets", lines)


if __name__ == "__main__":
    main()
