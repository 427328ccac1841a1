"""One relay on the root logger, one thread that writes.

The relay hands each record to a listener thread, which alone writes to the console and the files,
so that no reading waits for a disk. Set up again, the new settings take the place of the old ones;
what waits is written when the relay is closed, at the latest when Python ends.
"""

from __future__ import annotations

import logging
import queue
from collections.abc import Mapping
from contextlib import ExitStack
from logging.handlers import (
    QueueHandler,
    QueueListener,
    RotatingFileHandler,
    TimedRotatingFileHandler,
)
from pathlib import Path
from typing import Any

from h5daq.errors import ConfigError, ConfigKeyError, StorageError
from h5daq.logs.counting import COUNTS_EVERY, LEVELS, CountingHandler

__all__ = ["LogRelay", "setup_logging"]

FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
CONSOLE_FORMAT = "%(levelname)s %(name)s: %(message)s"
WEEKLY = {"days": 7}

_WHEN = {"days": "D", "hours": "H"}


def setup_logging(
    log_level: str | int = "INFO",
    to_console: bool = True,
    file_name: str | Path | None = None,
    msg_counter_file: str | Path | None = None,
    msg_formatter_file: str | logging.Formatter | None = None,
    msg_formatter_console: str | logging.Formatter | None = None,
    rollover: Mapping[str, int] | None = None,
    keep: int = 10,
) -> LogRelay:
    """Send the messages of this process, and those that are sent to it, to one place.

    Parameters
    ----------
    log_level : str or int
        Messages below this level are left out.
    to_console : bool
        Whether they go to standard error.
    file_name : str or Path, optional
        File that they go to; its directory is created when missing.
    msg_counter_file : str or Path, optional
        JSON file with the number of messages by level, since this call; replaced as a whole, so
        that it can be read at any time.
    msg_formatter_file, msg_formatter_console : str or logging.Formatter, optional
        How a message is written.
    rollover : dict, optional
        When the next log file is begun: ``{"days": n}``, ``{"hours": n}`` or ``{"size": bytes}``;
        by default weekly.
    keep : int
        How many old log files are kept.

    Returns
    -------
    LogRelay
        Its ``close()`` ends what this call began.

    Raises
    ------
    ConfigError
        If the level or the rollover is none.
    StorageError
        If a file can't be written.
    """
    level = _level(log_level)
    console_format = _formatter(msg_formatter_console, CONSOLE_FORMAT)
    file_format = _formatter(msg_formatter_file, FILE_FORMAT)
    with ExitStack() as made:  # closes what is open already when the next one fails
        handlers: list[logging.Handler] = []
        if to_console:
            handlers.append(_added(made, logging.StreamHandler(), console_format))
        if file_name is not None:
            handler = _file_handler(Path(file_name), rollover or WEEKLY, keep)
            handlers.append(_added(made, handler, file_format))
        if msg_counter_file is not None:
            handlers.append(_added(made, CountingHandler(msg_counter_file)))
        made.pop_all()
    return _install(LogRelay(handlers), level)


class LogRelay(QueueHandler):
    """What `setup_logging` puts on the root logger: hands records to a thread that writes them.

    Parameters
    ----------
    handlers : list of logging.Handler
        What writes them; closed with the relay.
    """

    def __init__(self, handlers: list[logging.Handler]) -> None:
        records: queue.SimpleQueue[Any] = queue.SimpleQueue()
        super().__init__(records)
        self.handlers = handlers
        self._listener: _Listener | None = _Listener(records, handlers)
        self._listener.start()

    def close(self) -> None:
        """Write what waits, close the files and leave the root logger."""
        logging.getLogger().removeHandler(self)
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()
            for handler in self.handlers:
                handler.close()
        super().close()


class _Listener(QueueListener):
    """Writes records; when nothing comes for a moment it has the counts written."""

    def __init__(self, records: queue.SimpleQueue[Any], handlers: list[logging.Handler]) -> None:
        super().__init__(records, *handlers)
        self._records = records

    def dequeue(self, block: bool) -> Any:
        try:
            return self._records.get(block, COUNTS_EVERY)
        except queue.Empty:
            if not block:
                raise
        for handler in self.handlers:
            handler.flush()
        return self._records.get()


def _install(relay: LogRelay, level: int) -> LogRelay:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogRelay)]:
        handler.close()
    root.addHandler(relay)
    root.setLevel(level)
    return relay


def _added(
    made: ExitStack, handler: logging.Handler, formatter: logging.Formatter | None = None
) -> logging.Handler:
    made.callback(handler.close)
    handler.setFormatter(formatter)
    return handler


def _formatter(chosen: str | logging.Formatter | None, default: str) -> logging.Formatter:
    if isinstance(chosen, logging.Formatter):
        return chosen
    try:
        return logging.Formatter(chosen or default)
    except ValueError as error:
        raise ConfigError(
            f"log format {chosen!r}: {error}; right would be, for example, {default!r}"
        ) from error


def _file_handler(path: Path, rollover: Mapping[str, int], keep: int) -> logging.Handler:
    rule, value = _rollover_rule(rollover)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if rule == "size":
            return RotatingFileHandler(path, maxBytes=value, backupCount=keep, encoding="utf-8")
        return TimedRotatingFileHandler(
            path, _WHEN[rule], value, backupCount=keep, encoding="utf-8", utc=True
        )
    except OSError as error:
        text = f"log file can't be written: {error.strerror}"
        raise StorageError(error.errno, text, str(path)) from error


def _rollover_rule(rollover: Mapping[str, int]) -> tuple[str, int]:
    known = (*_WHEN, "size")
    unknown = [key for key in rollover if key not in known]
    if unknown or len(rollover) != 1:
        raise ConfigKeyError(
            f"rollover of the log: found {dict(rollover)!r}; "
            f"right would be one of {', '.join(known)}, such as {WEEKLY!r}"
        )
    ((rule, value),) = rollover.items()
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"rollover of the log: {rule} must be a whole number, not {value!r}")
    return rule, value


def _level(level: str | int) -> int:
    if isinstance(level, int):
        return level
    if level.upper() not in LEVELS:
        raise ConfigError(f"log_level: found {level!r}; right would be one of {', '.join(LEVELS)}")
    return int(logging.getLevelName(level.upper()))
