"""Messages of other processes: made fields of a ``log`` message there, and records again here.

What arrives came over a socket, so nothing in it is taken on trust: not its level, nor its name,
nor that its text is one message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from h5daq.logs.counting import LEVELS

__all__ = ["SendingHandler", "log_remote"]

_MAX_TEXT = 64 * 1024
"""Characters of one message that are kept."""


class SendingHandler(logging.Handler):
    """Hands each message on as the fields of a ``log`` message of the wire.

    Parameters
    ----------
    job : str
        Whose messages they are.
    send : callable
        Is called with ``{"job", "level", "name", "time", "text"}``.
    """

    def __init__(self, job: str, send: Callable[[dict[str, Any]], object]) -> None:
        super().__init__()
        self.job = job
        self.send = send

    def emit(self, record: logging.LogRecord) -> None:
        """Send `record`."""
        self.send(
            {
                "job": self.job,
                "level": record.levelname,
                "name": record.name,
                "time": record.created,
                "text": self.format(record)[:_MAX_TEXT],
            }
        )


def log_remote(message: Mapping[str, Any]) -> None:
    """Take a message of another process into this process's log.

    Parameters
    ----------
    message : mapping
        ``job``, ``level`` (name or number), ``name``, ``time`` (seconds since 1970-01-01 UTC) and
        ``text``. It came from a socket: what is missing or odd is replaced, and no line of the
        text can pass for another message.
    """
    # One logger for all: a logger is never freed, and the name is a stranger's choice.
    logger = logging.getLogger("h5daq.remote")
    level = _level(message.get("level"))
    if logger.isEnabledFor(level):
        logger.handle(_record(message, level))


def _level(level: object) -> int:
    if isinstance(level, str) and level.upper() in LEVELS:
        level = logging.getLevelName(level.upper())
    # A bool is an int to Python, and no level to anybody.
    known = type(level) is int and logging.DEBUG <= level <= logging.CRITICAL
    return level if known and isinstance(level, int) else logging.INFO


def _record(message: Mapping[str, Any], level: int) -> logging.LogRecord:
    name = _one_line(message.get("name") or f"h5daq.worker.{message.get('job', '?')}")[:256]
    text = str(message.get("text", ""))[:_MAX_TEXT]
    record = logging.makeLogRecord(
        {
            "name": name,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "msg": text.translate(_LINES),
            "job": _one_line(message.get("job", ""))[:1024],
        }
    )
    created = message.get("time")
    if isinstance(created, float) and 0 < created < 1e11:
        record.created, record.msecs = created, created % 1 * 1000
    return record


class _Signs(dict[int, str]):
    """What becomes of each character; each is looked at once, since texts are long and many."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        shown = self[code] = sign if sign.isprintable() or sign == "\t" else "�"
        return shown


_LINE = _Signs()
_LINES = _Signs({ord("\n"): "\n    "})


def _one_line(text: object) -> str:
    return str(text).translate(_LINE)
