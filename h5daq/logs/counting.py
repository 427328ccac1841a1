"""How many messages of each level there were: a small JSON file that is always whole."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

from h5daq.errors import StorageError

__all__ = ["COUNTS_EVERY", "LEVELS", "CountingHandler"]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

COUNTS_EVERY = 0.2
"""Seconds that the file of counts may be behind."""


class CountingHandler(logging.Handler):
    """Counts messages by level and keeps the counts in a JSON file.

    Parameters
    ----------
    path : str or Path
        The file: ``{"DEBUG": 0, "INFO": 12, ...}``; a level of one's own has its name in it too.

    Raises
    ------
    StorageError
        If the file can't be written.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.counts = dict.fromkeys(LEVELS, 0)
        self._written = 0.0
        self._behind = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._write()
        except OSError as error:
            text = f"counts of messages can't be written: {error.strerror}"
            raise StorageError(error.errno, text, str(self.path)) from error

    def emit(self, record: logging.LogRecord) -> None:
        """Count `record`."""
        self.counts[record.levelname] = self.counts.get(record.levelname, 0) + 1
        self._behind = True
        if time.monotonic() - self._written >= COUNTS_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write the counts, if they have changed since they were written."""
        self.acquire()
        try:
            if self._behind:
                self._write()
        except OSError:
            # A full disk must not end the log; the counts are whole again with the next write.
            self._written = time.monotonic()
        finally:
            self.release()

    def close(self) -> None:
        """Write the last counts."""
        self.flush()
        super().close()

    def _write(self) -> None:
        # A reader finds the old counts or the new ones, never half of them.
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(self.counts) + "\n", encoding="utf-8")
        fresh.replace(self.path)
        self._behind, self._written = False, time.monotonic()
