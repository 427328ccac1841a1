"""What a process that is a writer and nothing else asks of its interpreter.

Not of one that belongs to somebody else, such as a test that has a writer within.
"""

from __future__ import annotations

import sys

from h5daq.jobs.allocator import keep_freed_memory

__all__ = ["begin_writing"]

_SWITCH_SECONDS = 0.001
"""The thread that receives must not wait long for the others."""


def begin_writing() -> None:
    """Before the writer is made."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    keep_freed_memory()
