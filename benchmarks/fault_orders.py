"""Orders to the shim in a living writer: let calls fail for a while, or die at the next such call.

An order is one line of JSON in a file (not on the disk that suffers), read whenever it changes.
`give` writes one, in the campaign; `obey` follows them, in the writer.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from benchmarks.fault_calls import PASS, Call, Verdict, point_name
from benchmarks.fault_shim import Shim

__all__ = ["give", "obey", "obeyed"]


def give(file: Path, **order: Any) -> None:
    """Order something, or with no arguments let everything pass again.

    Parameters
    ----------
    file : Path
        Where the writer looks for it.
    **order
        ``ops`` and ``kinds``: lists of operations and sorts of file that it is about (see
        `fault_calls.Call`), all by default. ``error``: errno of the failure. ``kill``: ``before``,
        ``middle`` or ``after``. ``skip``: how many such calls pass first. ``times``: how many fail
        then; all by default.
    """
    _done(file).unlink(missing_ok=True)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(order))
    fresh.rename(file)


def obeyed(file: Path) -> list[str]:
    """The points at which the order was carried out, in order."""
    done = _done(file)
    return done.read_text().splitlines() if done.exists() else []


def _done(file: Path) -> Path:
    return file.with_suffix(".done")


class Orders:
    """The judge of a living writer."""

    def __init__(self, file: Path) -> None:
        self._file, self._done = file, _done(file)
        self._stamp: tuple[int, int] | None = None
        self._order: dict[str, Any] = {}
        self._met = 0

    def judge(self, call: Call) -> Verdict:
        """What the order of the moment says to a call."""
        self._read()
        if not self._order or not self._is_meant(call):
            return PASS
        self._met += 1
        if self._order.get("kill") and self._done.exists():
            # Carried out: the writer that was started in its place is to live.
            return PASS
        skip, times = self._order.get("skip", 0), self._order.get("times", 1 << 60)
        if not skip < self._met <= skip + times:
            return PASS
        with open(self._done, "a") as done:
            done.write(f"{point_name(call)}\n")
        return Verdict(self._order.get("kill", ""), self._order.get("error", 0))

    def _is_meant(self, call: Call) -> bool:
        ops, kinds = self._order.get("ops"), self._order.get("kinds")
        return (not ops or call.op in ops) and (not kinds or call.kind in kinds)

    def _read(self) -> None:
        try:
            status = os.stat(self._file)
        except FileNotFoundError:
            return
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            self._stamp, self._met = stamp, 0
            self._order = json.loads(self._file.read_text())


def obey(directory: str, file: str) -> None:
    """Follow the orders in `file` on changes below `directory`, to the end of this process."""
    Shim(Path(directory), Orders(Path(file)).judge).install()
