"""Rows over loopback tcp with keys, beside the same without: what encryption and checks cost.

``python -m benchmarks.curve [--megabytes 512] [--rounds 3]``
"""

from __future__ import annotations

import time
from pathlib import Path

import h5py

import h5daq
from benchmarks.common import MIB, arguments, rounds, scratch, show
from benchmarks.ingest import block_getter
from h5daq.keys import KeyDirectory


def bulk_rate(folder: Path, megabytes: int, **security: object) -> float:
    """Bytes per second of 1 MiB batches, until all are checkpointed."""
    go = folder / "go"
    job = h5daq.DAQJob(
        "bulk", "wave", block_getter(megabytes, go), read_mode="constant",
        shape=(0, 1 << 19), dtype="i2", constant_read_error_delay=0.01,
    )  # fmt: skip
    seconds, path = _timed(folder, job, "bulk", megabytes, go, security)
    with h5py.File(path) as file:
        assert len(file["bulk/wave"]) == megabytes, "rows are missing"
    path.unlink()
    return megabytes * MIB / seconds


def row_rate(folder: Path, rows: int, **security: object) -> float:
    """Rows of 8 floats per second, from a getter without a pause."""
    go, left = folder / "go", [rows]

    def getter() -> list[float] | None:
        if left[0] == rows and not go.exists():
            return None
        left[0] -= 1
        return [1.0] * 8 if left[0] >= 0 else None

    labels = [f"x{number}" for number in range(8)]
    job = h5daq.DAQJob("rows", labels, getter, read_mode="constant", constant_read_error_delay=0.01)
    seconds, path = _timed(folder, job, "rows", rows, go, security)
    path.unlink()
    return rows / seconds


def _timed(
    folder: Path, job: h5daq.DAQJob, name: str, rows: int, go: Path, security: dict[str, object]
) -> tuple[float, Path]:
    on_tcp = dict.fromkeys(("data", "requests", "signals"), "tcp://127.0.0.1:*")
    daemon = h5daq.DAQDaemon(job, directory=folder / "data", durability="os", **on_tcp, **security)
    with daemon:
        go.touch()
        began = time.perf_counter()
        while daemon.job_rows(name) < rows:
            time.sleep(0.02)
        daemon.flush(timeout=600)
        seconds = time.perf_counter() - began
    go.unlink()
    return seconds, Path(str(daemon.file_name))


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__, megabytes=512, rows=200_000, rounds=3)
    with scratch(args.directory) as folder:
        keys = KeyDirectory(folder / "keys")
        keys.make()
        bulk_open, bulk_keys, rows_open, rows_keys = rounds(
            args.rounds,
            lambda: (
                bulk_rate(folder, args.megabytes, insecure=True),
                bulk_rate(folder, args.megabytes, keys=keys.path),
                row_rate(folder, args.rows, insecure=True),
                row_rate(folder, args.rows, keys=keys.path),
            ),
        )
    show(
        f"curve: {args.megabytes} batches of 1 MiB, {args.rows} rows; medians of {args.rounds}",
        [
            ("1 MiB batches, tcp, without keys", f"{bulk_open / 1e6:8.0f} MB/s"),
            ("1 MiB batches, tcp, with keys", f"{bulk_keys / 1e6:8.0f} MB/s"),
            ("rows of 8 floats, without keys", f"{rows_open / 1e3:8.0f} k/s"),
            ("rows of 8 floats, with keys", f"{rows_keys / 1e3:8.0f} k/s"),
            ("ratio, batches", f"{bulk_keys / bulk_open:.2f}"),
            ("ratio, rows", f"{rows_keys / rows_open:.2f}"),
        ],
    )


if __name__ == "__main__":
    main()
