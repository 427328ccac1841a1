"""From the getter to a data-available signal at a third process, at 1 kHz, a message per row.

The subscriber is this process; getter and subscriber read the same monotonic clock. The raw limit
beside it is the same row through bare PUSH/PULL and PUB/SUB sockets with one fdatasync between.
``python -m benchmarks.latency [--seconds 10]``
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgpack
import zmq

import h5daq
from benchmarks.common import arguments, percentile, scratch, show

HZ = 1000.0


def stamp() -> float:
    """The monotonic clock, which all processes of a machine share."""
    return time.monotonic()


def h5daq_latency(folder: Path, seconds: float, durability: str) -> list[float]:
    """Seconds from getter to signal, one per row."""
    job = h5daq.DAQJob("fast", "stamp", stamp, read_period=1 / HZ, batch_interval=0.001)
    daemon = h5daq.DAQDaemon(
        job, name="latency", directory=folder, durability=durability,
        signal_rate=1e6,
    )  # fmt: skip
    late: list[float] = []
    endpoint = daemon.start() and daemon.endpoints["signals"]
    with daemon, h5daq.subscribe(endpoint, kinds=["data-available"]) as signals:
        end = time.monotonic() + seconds
        for signal in signals:
            now = time.monotonic()
            late.append(now - signal.payload["last"]["stamp"])
            if now > end:
                break
    return late[200:]


def raw_latency(folder: Path, rows: int, sync: bool) -> list[float]:
    """The same way with bare sockets: PUSH, PULL, write, fdatasync, PUB, SUB."""
    context = zmq.Context()
    pull, pub = context.socket(zmq.PULL), context.socket(zmq.PUB)
    pull.bind(f"ipc://{folder}/raw-data")
    pub.bind(f"ipc://{folder}/raw-signals")
    fd = os.open(folder / "raw-journal", os.O_CREAT | os.O_WRONLY)
    sub = context.socket(zmq.SUB)
    sub.connect(f"ipc://{folder}/raw-signals")
    sub.subscribe(b"")

    def relay() -> None:
        for _ in range(rows):
            message = pull.recv()
            os.write(fd, message)
            if sync:
                os.fdatasync(fd)
            pub.send(message)

    def produce() -> None:
        push = context.socket(zmq.PUSH)
        push.connect(f"ipc://{folder}/raw-data")
        due = time.monotonic() + 0.2
        for _ in range(rows):
            due += 1 / HZ
            time.sleep(max(0.0, due - time.monotonic()))
            push.send(msgpack.packb({"stamp": time.monotonic()}))
        push.close(linger=1000)

    threads = [threading.Thread(target=relay), threading.Thread(target=produce)]
    for thread in threads:
        thread.start()
    late = []
    while len(late) < rows and sub.poll(2000):
        late.append(time.monotonic() - msgpack.unpackb(sub.recv())["stamp"])
    for thread in threads:
        thread.join()
    os.close(fd)
    context.destroy(linger=0)
    return late[200:]


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, seconds=10.0)
    rows = int(args.seconds * HZ)
    with scratch(args.directory) as folder:
        lines = []
        for durability, sync, p50_bar, p99_bar in (
            ("fsync", True, 1.5, 4.0),
            ("none", False, 0.75, 2.0),
        ):
            raw = raw_latency(folder, min(rows, 5000), sync)
            late = h5daq_latency(folder, args.seconds, durability)
            for p, bar in ((50, p50_bar), (99, p99_bar)):
                ours, theirs = 1e3 * percentile(late, p), 1e3 * percentile(raw, p)
                state = "met" if ours < bar else "MISSED"
                beside = f"bare sockets {theirs:6.2f} ms; ratio {ours / theirs:.1f}"
                lines.append(
                    (f"{durability}, p{p}", f"{ours:6.2f} ms (bar {bar}: {state}); {beside}")
                )
            lines.append((f"{durability}, rows told", f"{len(late)} of about {rows}"))
    show(f"latency: {HZ:g} Hz for {args.seconds:g} s", lines)


if __name__ == "__main__":
    main()
