"""Where what runs on a host keeps its lock, its record and its log: `Place`.

A place belongs to one configuration, one host's name in it and one machine. Whoever runs there
holds its lock, which the kernel lets go of when the process dies; so the lock says who is alive,
and the record beside it (who, since when, how it does) may be old and never lies about that.
"""

from __future__ import annotations

import json
import os
import socket
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

from h5daq.errors import FileBusy, StorageError
from h5daq.flow.closing import Closing
from h5daq.jobs.locks import try_lock
from h5daq.jobs.spool_places import state_directory

__all__ = ["WRITER", "Place"]

WRITER = "writer"
"""The name of the place of `h5daq run`; a host that is called so has a place of its own."""

_LOCK_SECONDS = 1.0
"""Who asks whether somebody is there holds the lock for a moment."""


class Place(Closing):
    """The place of one host's processes.

    Parameters
    ----------
    config : Path
        The configuration.
    name : str
        The host's name in it; empty for the writer and the jobs beside it.

    Attributes
    ----------
    path : Path
        The directory.
    """

    def __init__(self, config: Path, name: str = "") -> None:
        where = f"{socket.gethostname()}\0{config.expanduser().resolve()}"
        digest = blake2b(where.encode(), digest_size=6).hexdigest()
        kind = f"host-{quote(name, safe='')[:80]}" if name else WRITER
        self.path = state_directory() / "h5daq" / "hosts" / f"{kind}-{digest}"
        self.name = name or WRITER
        self._lock: int | None = None
        self._fields: dict[str, Any] = {}

    @property
    def log(self) -> Path:
        """The log of what runs here; a run's own is where its configuration says."""
        return self.console if self.name == WRITER else self.path / "h5daq.log"

    @property
    def console(self) -> Path:
        """What it prints when it was started without a terminal."""
        return self.path / "console.log"

    def take(self, **fields: Any) -> dict[str, Any]:
        """Take the place, until `close` or the end of this process; the record of the last one.

        Raises
        ------
        FileBusy
            If another process has it: names it.
        StorageError
            If the place can't be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(error.errno, f"{error.strerror}", str(self.path)) from error
        deadline = time.monotonic() + _LOCK_SECONDS
        while not try_lock(lock):
            if time.monotonic() > deadline:
                os.close(lock)
                raise FileBusy(self._busy())
            time.sleep(0.02)
        self._lock, last = lock, self.read()
        self._fields = {}
        self.note(pid=os.getpid(), machine=socket.gethostname(), started=time.time(), **fields)
        return last

    def _busy(self) -> str:
        by = self.read()
        return (
            f"{self.name} runs here already by this configuration: process {by.get('pid', '?')} "
            f"on {by.get('machine', '?')}; it writes to {self.log}. "
            "Stop it first (SIGTERM, or: h5daq stop), or leave it as it is."
        )

    def note(self, **fields: Any) -> None:
        """Write these fields into the record, beside those that are in it."""
        self._fields.update(fields)
        fresh = self.path / f".record.{os.getpid()}"
        fresh.write_text(json.dumps(self._fields) + "\n", encoding="utf-8")
        fresh.replace(self.path / "record.json")

    def read(self) -> dict[str, Any]:
        """The record of whoever is, or was last, here; empty if there is none."""
        try:
            record = json.loads((self.path / "record.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    @property
    def taken(self) -> bool:
        """Whether a living process has it."""
        try:
            lock = os.open(self.path / "lock", os.O_RDWR)
        except OSError:
            return False
        try:
            return not try_lock(lock)
        finally:
            os.close(lock)

    def tail(self, path: Path, size: int = 2000) -> str:
        """The last lines of one of its logs."""
        try:
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - size))
                return file.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def close(self) -> None:
        """Let go of it."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)
