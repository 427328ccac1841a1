"""What a process that is a writer and nothing else asks of its interpreter.

Not of one that belongs to somebody else, such as a test that has a writer within.
"""

from __future__ import annotations

import gc
import sys

from h5daq.jobs.allocator import keep_freed_memory

__all__ = ["begin_writing", "writing_begun"]

_SWITCH_SECONDS = 0.001
"""The thread that receives must not wait long for the others."""

_YOUNG = 10_000
"""New objects between two looks for cycles. Entries of the journal that wait are thousands of
objects, and none of them is in a cycle: there are next to none in a writer."""


def begin_writing() -> None:
    """Before the writer is made."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    keep_freed_memory()


def writing_begun() -> None:
    """Once it is open: what is here now stays, and is not looked through again and again."""
    gc.freeze()
    gc.set_threshold(_YOUNG)
