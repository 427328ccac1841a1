"""``python -m h5daq.writer``: a writer under a parent, which talks to it on a private pipe.

The pipe (a socket, as file descriptor 0) brings the settings and, by its end, the news that the
parent is gone; it takes the report of the start, the log and the report of the end.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from h5daq.errors import H5daqError
from h5daq.flow.control import ControlDecoder, encode_control
from h5daq.logs import SendingHandler
from h5daq.writer.interpreter import begin_writing, writing_begun
from h5daq.writer.process import Writer
from h5daq.writer.settings import WriterSettings

_MAX_UNSENT_BYTES = 1 << 20


class ParentPipe:
    """The child's end of the pipe. What the parent does not read is dropped, not waited for."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._decoder = ControlDecoder()
        self._lock = threading.Lock()
        self._unsent = bytearray()
        self.gone = False
        self.fates: dict[str, dict[str, str]] = {}
        self.record: Callable[[dict[str, Any]], None] = lambda _told: None

    def settings(self) -> WriterSettings:
        """Wait for the settings."""
        while data := self._pipe.recv(1 << 16):
            for message in self._decoder.feed(data):
                self._pipe.setblocking(False)
                return WriterSettings.from_bytes(message["settings"])
        raise SystemExit(2)

    def send(self, kind: str, **fields: Any) -> None:
        """Report something; kept back while the parent is slow, dropped when it is very slow."""
        with self._lock:
            if len(self._unsent) < _MAX_UNSENT_BYTES:
                self._unsent += encode_control(kind, **fields)
            self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._pipe.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.gone = True
            self._unsent.clear()

    def parent_gone(self) -> bool:
        """Whether the other end is closed; hears what it has said."""
        try:
            self.gone = self.gone or not self._hear(self._pipe.recv(1 << 16))
        except BlockingIOError:
            return self.gone
        except OSError:
            self.gone = True
        return self.gone

    def _hear(self, data: bytes) -> bool:
        for message in self._decoder.feed(data):
            if message["k"] == "fates":
                self.fates = message["jobs"]
            elif message["k"] == "alarm":
                self.record(message["told"])
        return bool(data)


def _fail(pipe: ParentPipe, error: BaseException) -> int:
    text = str(error) if isinstance(error, H5daqError) else f"{type(error).__name__}: {error}"
    pipe.send("failed", error=type(error).__name__, text=text)
    return 1


def main() -> int:
    """Serve one run; the exit code says whether it ended well."""
    pipe = ParentPipe(socket.socket(fileno=0))
    settings = pipe.settings()
    logger = logging.getLogger("h5daq")
    logger.setLevel(settings.log_level)
    logger.addHandler(SendingHandler("", lambda fields: pipe.send("log", **fields)))
    begin_writing(settings.durability)
    # Ctrl-C goes to the whole terminal; the daemon stops the workers first and the writer last.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    writer = Writer(settings, pipe.parent_gone)
    writer.parent = os.getppid()
    signal.signal(signal.SIGTERM, lambda *_: writer.ask_stop())
    try:
        writer.open()
        writing_begun()
        writer.parts.desk.fates = lambda: pipe.fates
        pipe.record = writer.parts.alerting.record
        recovered = writer.recovered
        pipe.send(
            "ready",
            endpoints=writer.endpoints(),
            **writer.parts.desk.file_state(),
            recovered={"run": recovered.run, "rows": recovered.rows, "entries": recovered.entries},
        )
        writer.run()
        pipe.send("ended", **writer.parts.desk.stop_report())
        writer.close()
    except (H5daqError, OSError, RuntimeError, ValueError) as error:
        logger.debug("the writer ended", exc_info=True)
        return _fail(pipe, error)
    return 0


def _leave(code: int) -> NoReturn:
    """End the process; after a failure without Python's own tidying up.

    Threads may be at work on HDF5 and ZeroMQ then, and crash when these are taken from them: the
    parent would be told of a signal in place of the failure.
    """
    if code:
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    _leave(main())
