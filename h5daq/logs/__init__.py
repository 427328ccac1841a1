"""Messages of all processes in one place: console, log file, and counts by level.

`setup_logging` says where. Other processes and hosts send their messages over the wire
(`SendingHandler`), and `log_remote` takes them into the same tree.
"""

from __future__ import annotations

from h5daq.logs.counting import CountingHandler
from h5daq.logs.relay import LogRelay, setup_logging
from h5daq.logs.remote import SendingHandler, log_remote

__all__ = ["CountingHandler", "LogRelay", "SendingHandler", "log_remote", "setup_logging"]
