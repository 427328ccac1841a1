"""The link to the process that reads a damaged file, which is started again when it dies.

A question that killed it, or that it does not come back from, is answered with `Unreadable`, also
when it is asked again; the next one meets a fresh process.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from h5daq.errors import H5daqError, ProcessFailed
from h5daq.files.mending import Mend
from h5daq.files.salvage_reader import LENGTH, write_message

__all__ = ["ReaderLink", "Unreadable"]

PATIENCE = 60.0
"""Seconds after which a question counts as one that HDF5 hangs on."""

_START = 60.0

READER = ["-m", "h5daq.files.salvage_reader"]


class Unreadable(H5daqError):
    """HDF5 can't read something; the text says why."""


class ReaderLink:
    """Asks a `salvage_reader` of its own.

    Parameters
    ----------
    path : Path
        The damaged file.
    mended : Mend
        The superblock that it should have.

    Attributes
    ----------
    deaths : int
        How often the process died, or was killed as it hung.
    """

    def __init__(self, path: Path, mended: Mend) -> None:
        self._path, self._mend = path, mended
        self._process: subprocess.Popen[bytes] | None = None
        self._deadly: dict[tuple[Any, ...], str] = {}
        self.deaths = 0

    def open(self) -> None:
        """See whether HDF5 opens the file at all.

        Raises
        ------
        Unreadable
            If it does not.
        """
        self._start()

    def ask(self, verb: str, *arguments: Any) -> Any:
        """The answer to one question; see the methods of the reader.

        Raises
        ------
        Unreadable
            If HDF5 fails, crashes or hangs.
        """
        # Whether the chunks are also sent, the fourth argument, makes no difference.
        question = verb, *arguments[:3]
        if question in self._deadly:
            raise Unreadable(self._deadly[question])
        if self._process is None:
            self._start()
        deaths = self.deaths
        try:
            return self._exchange(verb, arguments, PATIENCE)
        except Unreadable as error:
            if self.deaths > deaths:
                self._deadly[question] = str(error)
            raise

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __enter__(self) -> ReaderLink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        home = str(Path(__file__).parents[2])
        path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-P", *READER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._exchange(
            "open", (str(self._path), self._mend.offset, self._mend.raw, self._mend.length), _START
        )

    def _exchange(self, verb: str, arguments: tuple[Any, ...], patience: float) -> Any:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ProcessFailed("the process that reads the damaged file could not be started")
        try:
            write_message(process.stdin, (verb, arguments))  # type: ignore[arg-type]
            state, answer = self._answer(process.stdout.fileno(), patience)
        except (EOFError, BrokenPipeError):
            self._died()
            raise Unreadable("HDF5 crashes on it") from None
        except TimeoutError:
            self._died()
            raise Unreadable(f"HDF5 does not come back from it in {patience:g} s") from None
        if state != "ok":
            raise Unreadable(str(answer))
        return answer

    def _died(self) -> None:
        self.deaths += 1
        self.close()

    def _answer(self, fd: int, patience: float) -> Any:
        (length,) = LENGTH.unpack(_read(fd, LENGTH.size, patience))
        return pickle.loads(_read(fd, length, patience))


def _read(fd: int, n: int, patience: float) -> bytes:
    data = bytearray()
    while len(data) < n:
        if not select.select([fd], [], [], patience)[0]:
            raise TimeoutError
        piece = os.read(fd, min(n - len(data), 1 << 20))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
