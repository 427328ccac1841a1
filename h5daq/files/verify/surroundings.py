"""A file as bytes, before HDF5 sees it: superblock, length, redo record, and who may be writing.

HDF5 says of a damaged head only that it won't open the file. The bytes tell more: whether a
checkpoint is being applied (the mark on the superblock), whether a finished one waits in the redo
log beside, how much of the end is missing. Nothing is locked and nothing is written: taking the
redo log's lock, even for an instant, would turn away a writer that starts just then.
"""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from h5daq.errors import FileDamaged
from h5daq.storage.apply import Standing, standing
from h5daq.storage.disk import Disk
from h5daq.storage.redo import RedoLog, redo_path
from h5daq.storage.superblock import LONGEST, SIGNATURE, find_superblock, is_marked

__all__ = ["Head", "Redo", "has_writer", "look_at_head", "look_at_redo"]

PAUSE = 0.02
"""Seconds between two looks at a file whose head is just being written."""

_LEAST_LOG = 8192
_HOLDER = re.compile(r"process (\d+) on (\S+) since ")


@dataclass(frozen=True, slots=True)
class Head:
    """What the first bytes say.

    Attributes
    ----------
    state : {"whole", "marked", "cut", "damaged", "foreign", "empty"}
        ``"marked"``: a checkpoint is being applied, or was when its writer died. ``"cut"``: the
        end is missing. ``"damaged"``: a superblock whose bytes make no sense. ``"foreign"``: no
        HDF5 file.
    size : int
        Bytes of the file.
    end : int
        Bytes that it should have; 0 where that isn't known.
    """

    state: str
    size: int
    end: int = 0


@dataclass(frozen=True, slots=True)
class Redo:
    """The redo log beside a file.

    Attributes
    ----------
    state : {"none", "empty", "done", "pending", "foreign", "damaged"}
        ``"empty"``: without a finished record. ``"done"``: the file has taken the record in.
        ``"pending"``: it has not. ``"foreign"``: the file is neither before nor after it.
    pages : int
        Pages of 4 KiB that wait.
    """

    state: str
    pages: int = 0


class _Looking(Disk):
    """A disk that nothing is ever written to; what would be, is passed over."""

    past_cache = False

    def write(self, fd: int, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Write nothing."""


def look_at_head(fd: int, patience: float) -> Head:
    """The head of an open file; one that isn't whole is looked at again for `patience` seconds.

    Raises
    ------
    OSError
        If it can't be read.
    """
    deadline = time.monotonic() + patience
    seen = _head(fd)
    # A cut or a torn head may be a look into the middle of a checkpoint, too.
    while seen.state in ("marked", "cut", "damaged") and time.monotonic() < deadline:
        time.sleep(PAUSE)
        again = _head(fd)
        if again == seen and seen.state != "marked":
            break
        seen = again
    return seen


def _head(fd: int) -> Head:
    # First the superblock, then the size: a file only grows, but for the instant of applying.
    first = os.fstat(fd).st_size
    if not first:
        return Head("empty", 0)
    superblock = find_superblock(lambda at, n: os.pread(fd, n, at), first)
    size = os.fstat(fd).st_size
    if superblock is None:
        return Head(_what_else(fd, first), size)
    if size < superblock.end:
        return Head("cut", size, superblock.end)
    return Head("whole", size, superblock.end)


def _what_else(fd: int, size: int) -> str:
    offset = 0
    while offset < size:
        head = os.pread(fd, LONGEST, offset)
        if head.startswith(SIGNATURE):
            return "marked" if is_marked(head) else "damaged"
        offset = offset * 2 or 512
    # One signature that lost a byte is still more likely than another format.
    start = os.pread(fd, len(SIGNATURE), 0)
    near = sum(a != b for a, b in zip(start, SIGNATURE, strict=False)) <= 2
    return "damaged" if near and len(start) == len(SIGNATURE) else "foreign"


def look_at_redo(path: Path, fd: int) -> Redo:
    """The redo log beside `path`, whose descriptor is `fd`.

    Raises
    ------
    OSError
        If it can't be read.
    """
    try:
        log_fd = os.open(redo_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Redo("none")
    try:
        return _read_log(_Looking(), log_fd, path, fd)
    finally:
        os.close(log_fd)


def _read_log(disk: Disk, log_fd: int, path: Path, fd: int) -> Redo:
    if os.fstat(log_fd).st_size < _LEAST_LOG:
        return Redo("empty")
    log = RedoLog(disk, log_fd, redo_path(path), durable=False)
    try:
        record = log.load()
    except FileDamaged:
        return Redo("damaged")
    if record is None:
        return Redo("empty")
    states = {Standing.AFTER: "done", Standing.FOREIGN: "foreign"}
    state = states.get(standing(disk, fd, log, record), "pending")
    return Redo(state, len(record.pages))


def has_writer(directory: Path) -> str:
    """Who writes into `directory`, e.g. ``"process 17 on daq0"``; empty if nobody does.

    Judged by what the holder of the directory's lock wrote into it. A process on another machine
    is taken for alive.
    """
    try:
        text = (directory / ".h5daq" / "lock").read_text("utf-8", "replace")
    except OSError:
        return ""
    found = _HOLDER.match(text)
    if found is None:
        return ""
    pid, host = int(found[1]), found[2]
    if host == socket.gethostname() and not psutil.pid_exists(pid):
        return ""
    return f"process {pid} on {host}"
