"""The Data Vault in the writer, over its sockets: adds one by one and in blocks, and reading back.

One client, whose dataset has eight columns of floats. Beside the single adds runs a bare loop with
the same guarantee: ROUTER and DEALER, msgpack, one fdatasync before each reply. Beside the blocks
stand a write and an fdatasync of the same bytes, beside the reading h5py on the same file. What is
compared takes turns, in short stretches; the figures are medians, also of the ratios.

``python -m benchmarks.vault [--adds 4000] [--rows 4000000] [--rounds 10] [--contexts 1000]
[--only adds,blocks,reading,jobs,contexts]``
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import zmq

import h5daq
from benchmarks.common import arguments, rounds, scratch, show, verdict
from benchmarks.vault_client import Client, writer
from benchmarks.vault_job import read_job, read_job_h5py, record
from benchmarks.vault_readers import readers
from h5daq.flow.vaultwire import decode_columns, encode_columns

COLUMNS = 8
NAME = "00001 - scan.hdf5"
Lines = list[tuple[str, str]]

_WINDOW = 256
"""Adds in flight, of a client that doesn't wait for each reply."""

_BLOCKS = 8
"""The same of blocks."""


_PAGES, _PAGE_ROWS = 3, (2 << 20) // (COLUMNS * 8)
"""Pages in flight of who reads, and the rows of one."""


class Bare:
    """A bare loop that writes, syncs and replies; and who asks it."""

    def __init__(self, folder: Path) -> None:
        self._context = context = zmq.Context[zmq.Socket[bytes]]()
        self._fd = os.open(folder / "bare-journal", os.O_CREAT | os.O_WRONLY)
        os.posix_fallocate(self._fd, 0, 64 << 20)
        os.fsync(self._fd)
        self._router, self._dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        self._router.bind(f"ipc://{folder}/bare")
        self._dealer.connect(f"ipc://{folder}/bare")
        self._row = bytes(COLUMNS * 8)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            identity, message, frame = self._router.recv_multipart()
            request = msgpack.unpackb(message)
            if not request["id"]:
                return
            os.write(self._fd, message + frame)
            os.fdatasync(self._fd)
            self._router.send_multipart([identity, msgpack.packb({"id": request["id"]})])

    def adds(self, adds: int) -> float:
        """Seconds per add."""
        began = time.perf_counter()
        for number in range(1, adds + 1):
            request = {"v": 1, "id": number, "verb": "add", "args": {"n": 1}}
            self._dealer.send_multipart([msgpack.packb(request), self._row])
            msgpack.unpackb(self._dealer.recv())
        return (time.perf_counter() - began) / adds

    def end(self) -> None:
        """Let the loop return."""
        self._dealer.send_multipart([msgpack.packb({"id": 0}), b""])
        self._thread.join()
        self._context.destroy(linger=0)
        os.close(self._fd)


def adds_of(client: Client, adds: int, window: int) -> float:
    """Seconds per add of one row, with up to `window` of them in flight."""
    fields, frames = encode_columns([np.array([1.0])] * COLUMNS)
    return _flow(client, "add", fields, frames, adds, window)


def blocks_of(client: Client, count: int, block: int, window: int) -> float:
    """Rows per second of blocks, with up to `window` of them in flight."""
    fields, frames = encode_columns([np.random.default_rng(1).random(block)] * COLUMNS)
    return block / _flow(client, "add_ex_t", fields, frames, count, window)


def _flow(client: Client, verb: str, fields: Any, frames: Any, count: int, window: int) -> float:
    began = time.perf_counter()
    for number in range(count + window):
        if number < count:
            client.send(verb, frames, **fields)
        if number >= window:
            client.receive()
    return (time.perf_counter() - began) / count


def raw_blocks(folder: Path, count: int, block: int) -> float:
    """Rows per second of a plain write and fdatasync per block, over the same room again."""
    data, path = os.urandom(block * COLUMNS * 8), folder / "raw"
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.pwrite(fd, data * count, 0)
    os.fsync(fd)
    began = time.perf_counter()
    for number in range(count):
        os.pwrite(fd, data, number * len(data))
        os.fdatasync(fd)
    seconds = time.perf_counter() - began
    os.close(fd)
    path.unlink()
    return count * block / seconds


def read_all(client: Client, total: int) -> float:
    """Rows per second of the whole dataset, into an array; other pages are on their way."""
    client("cd", path="")
    client("open", name=1)
    began = time.perf_counter()
    rows, starts = np.empty((total, COLUMNS)), range(0, total, _PAGE_ROWS)
    for number in range(len(starts) + _PAGES):
        if number < len(starts):
            client.send("get", page=_PAGE_ROWS)
        if number >= _PAGES:
            reply = client.receive()
            (page,) = decode_columns(reply.result, reply.frames)
            rows[reply.result["first"] :][: len(page)] = page
    return total / (time.perf_counter() - began)


def read_plain(endpoint: str) -> float:
    """Rows per second of `h5daq.connect(...).vault().get()`."""
    with h5daq.connect(endpoint) as known, known.vault() as vault:
        vault.open(1)
        began = time.perf_counter()
        rows = len(vault.get())
    return rows / (time.perf_counter() - began)


def add_plain(endpoint: str, adds: int) -> float:
    """Rows per second of a pipeline of that client, which is given one row after the other."""
    row = np.arange(float(COLUMNS))
    with h5daq.connect(endpoint) as known, known.vault() as vault:
        vault.open(1, append=True)
        began = time.perf_counter()
        with vault.pipeline() as pipeline:
            for _ in range(adds):
                pipeline.add(row)
    return adds / (time.perf_counter() - began)


def rows_in(folder: Path) -> int:
    """Rows in the file."""
    with h5py.File(folder / NAME) as file:
        return len(file["DataVault"])


def read_h5py(folder: Path) -> float:
    """Rows per second of plain h5py."""
    began = time.perf_counter()
    with h5py.File(folder / NAME) as file:
        rows = len(file["DataVault"][:])
    return rows / (time.perf_counter() - began)


def measure_adds(client: Client, folder: Path, endpoint: str, args: Any) -> Lines:
    """Single adds: one after the other, and many in flight."""
    bare = Bare(folder)
    some = max(1, args.adds // args.rounds)
    one, raw, ratio = rounds(args.rounds, lambda: _beside(
        1 / adds_of(client, some, 0), 1 / bare.adds(some)
    ))  # fmt: skip
    bare.end()
    many, plain = rounds(3, lambda: (1 / adds_of(client, args.adds, _WINDOW),
                                     add_plain(endpoint, args.adds)))  # fmt: skip
    return [
        ("adds of one row, each answered",
         f"{one:,.0f}/s; bare loop {raw:,.0f}/s; ratio {verdict(ratio, 0.6)}"),
        (f"adds of one row, {_WINDOW} in flight", f"{many:,.0f}/s ({many / 40e3:.2f} of 40,000)"),
        ("the same through h5daq.connect().vault().pipeline()", f"{plain:,.0f} rows/s"),
    ]  # fmt: skip


def measure_blocks(client: Client, folder: Path, _endpoint: str, args: Any) -> Lines:
    """Blocks, waiting and not, beside the disk."""
    lines = []
    for block, window in ((1000, 0), (1000, _BLOCKS), (100_000, 0)):
        some = max(2, args.rows // (9 * block))
        ours, raw, ratio = rounds(3, lambda some=some, block=block, window=window: _beside(
            blocks_of(client, some, block, window), raw_blocks(folder, min(some, 200), block)
        ))  # fmt: skip
        beside = f"write and fdatasync {raw / 1e6:.2f}; ratio {ratio:.2f}"
        lines.append((f"blocks of {block} rows, {max(1, window)} in flight",
                      f"{ours / 1e6:.2f} M rows/s; {beside}"))  # fmt: skip
    return lines


def measure_reading(client: Client, folder: Path, endpoint: str, args: Any) -> Lines:
    """All rows over the socket, beside h5py."""
    client("cd", path="")
    client("open", name=1, append=True)
    blocks_of(client, max(1, args.rows // 100_000), 100_000, 2)
    # Files have a reply later than the sockets: reading from them is what is compared.
    client("flush")
    total = rows_in(folder)

    def beside(read: Callable[[], float]) -> tuple[float, float, float]:
        return _beside(_in_used_memory(total, read),
                       _in_used_memory(total, lambda: read_h5py(folder)))  # fmt: skip

    ours, raw, ratio = rounds(7, lambda: beside(lambda: read_all(client, total)))
    plain, again, whole = rounds(7, lambda: beside(lambda: read_plain(endpoint)))
    return [
        (f"get of {total:,} rows",
         f"{ours / 1e6:.2f} M rows/s; h5py {raw / 1e6:.2f}; ratio {verdict(ratio, 0.5)}"),
        ("the same through h5daq.connect().vault().get()",
         f"{plain / 1e6:.2f} M rows/s; h5py {again / 1e6:.2f}; ratio {verdict(whole, 0.5)}"),
    ]  # fmt: skip


def measure_jobs(client: Client, folder: Path, _endpoint: str, args: Any) -> Lines:
    """The same of a job."""
    ours, raw, ratio = rounds(5, lambda: _beside(read_job(client), read_job_h5py(folder)))
    beside = f"h5py {raw / 1e6:.2f}; ratio {verdict(ratio, 0.5)}"
    return [(f"get of {job_rows(args):,} rows of a job", f"{ours / 1e6:.2f} M rows/s; {beside}")]


def job_rows(args: Any) -> int:
    """Rows of the job whose run is over."""
    return max(10_000, args.rows // 40_000 * 10_000)


def measure_contexts(client: Client, _folder: Path, endpoint: str, args: Any) -> Lines:
    """Adds to a dataset at which many contexts look; a new one, so that they have it read soon."""
    with readers(endpoint, int(args.contexts), make(client)) as told:
        beside = 1 / adds_of(client, max(1, args.adds // 10), 0)
        return [(f"adds, each answered, beside {args.contexts} contexts that get",
                 f"{beside:,.0f}/s; {told()}")]  # fmt: skip


def make(client: Client) -> str:
    """A new dataset in the root, open in the client's context; its name."""
    client("cd", path="")
    made = client("new", name="scan", independents=[["x0", ""]],
                  dependents=[[f"x{n}", "", ""] for n in range(1, COLUMNS)])  # fmt: skip
    return str(made.result[1])


def _in_used_memory(rows: int, read: Callable[[], float]) -> float:
    """What `read` gives, once memory for so many rows was just taken, filled and given back.

    What a virtual machine has lent back to its host costs ten times as much to get as to fill. That
    hits now one of two readings, now the other, and has nothing to do with either.
    """
    np.full((rows, COLUMNS), 1.0)
    return read()


def _beside(ours: float, raw: float) -> tuple[float, float, float]:
    return ours, raw, ours / raw


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, adds=4000, rows=4_000_000, rounds=10, contexts=1000, only="")
    parts = {"adds": measure_adds, "blocks": measure_blocks, "reading": measure_reading,
             "jobs": measure_jobs, "contexts": measure_contexts}  # fmt: skip
    chosen = args.only.split(",") if args.only else parts
    with ExitStack() as stack:
        folder = stack.enter_context(scratch(args.directory))
        if "jobs" in chosen:
            record(folder, job_rows(args))
        endpoint, context = stack.enter_context(writer(folder)), zmq.Context()
        client = Client(context, endpoint)
        make(client)
        for part in chosen:
            show(f"the vault over its sockets: {part}", parts[part](client, folder, endpoint, args))
        context.destroy(linger=0)


if __name__ == "__main__":
    main()
