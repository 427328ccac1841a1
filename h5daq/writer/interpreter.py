"""What a process that is a writer and nothing else asks of its interpreter.

Not of one that belongs to somebody else, such as a test that has a writer within.
"""

from __future__ import annotations

import gc
import sys

from h5daq.jobs.allocator import KEPT_BYTES, keep_freed_memory

__all__ = ["begin_writing", "writing_begun"]

_SWITCH_SECONDS = 0.001
"""The thread that receives must not wait long for the others."""

_YOUNG = 10_000
"""New objects between two looks for cycles. Entries of the journal that wait are thousands of
objects, and none of them is in a cycle: there are next to none in a writer."""


_RELEASED_BYTES = 128 << 20
"""What a checkpoint frees at once where there is no journal on disk, and a bit more."""


def begin_writing(durability: str = "fsync") -> None:
    """Before the writer is made, of a run of that durability."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    keep_freed_memory(_RELEASED_BYTES if durability == "none" else KEPT_BYTES)


def writing_begun() -> None:
    """Once it is open: what is here now stays, and is not looked through again and again."""
    gc.freeze()
    gc.set_threshold(_YOUNG)
