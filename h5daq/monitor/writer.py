"""The writer and its run as a monitor sees them, from the reply to a ``status`` request.

Field by field, and careful: what is missing or of another kind than expected is left as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

__all__ = ["ClockPicture", "WriterPicture", "as_map"]


@dataclass(frozen=True, slots=True)
class ClockPicture:
    """A host's clock: the writer's minus it, by how much that may be wrong, since when it is told;
    seconds."""

    offset: float
    error: float
    age: float


@dataclass(slots=True)
class WriterPicture:
    """What is known of the writer and its run. Sizes are bytes, times UTC seconds."""

    boot: str = ""
    run_id: str = ""
    run_name: str = ""
    run_path: str | None = None
    run_start: float | None = None
    file: str = ""
    directory: str = ""
    durability: str = ""
    state: str = "unknown"
    trouble: str = ""
    pid: int = 0
    rows: int = 0
    bytes: int = 0
    journal_bytes: int = 0
    last_checkpoint: float | None = None
    disk_free: int | None = None
    insecure: bool = False
    refused: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    clocks: dict[str, ClockPicture] = field(default_factory=dict)

    def take_run(self, told: Mapping[str, Any]) -> None:
        """The reply's part about the run."""
        self.run_id = str(told.get("id", ""))
        self.run_name = str(told.get("name") or "")
        # Where the run stands in the vault's tree: the paths of signals begin with it.
        self.run_path = str(told.get("path") or self.run_name.strip("/") or "run")
        self.run_start = _real(told, "start")
        for name in ("file", "directory", "durability"):
            setattr(self, name, str(told.get(name) or ""))

    def take_writer(self, told: Mapping[str, Any]) -> None:
        """The reply's part about the writer."""
        self.boot = str(told.get("boot", self.boot))
        self.state = str(told.get("state") or "running")
        self.trouble = str(told.get("trouble") or "")
        self.insecure = told.get("insecure") is True
        for name in ("pid", "rows", "bytes", "journal_bytes"):
            setattr(self, name, int(_real(told, name) or 0))
        self.last_checkpoint = _real(told, "last_checkpoint")
        free = _real(told, "disk_free")
        self.disk_free = None if free is None else int(free)
        for name in ("refused", "messages"):
            counts = as_map(told, name)
            setattr(self, name, {str(k): int(n) for k, n in counts.items() if _is_real(n)})

    def take_clocks(self, told: Mapping[str, Any]) -> None:
        """The reply's part about the clocks of hosts."""
        self.clocks = {}
        for host, clock in told.items():
            known = clock if isinstance(clock, Mapping) else {}
            values = [_real(known, name) for name in ("offset", "error", "age")]
            if None not in values:
                self.clocks[str(host)] = ClockPicture(*(value or 0.0 for value in values))


def as_map(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The map of that name in a message; an empty one if there is none."""
    value = told.get(name)
    return value if isinstance(value, Mapping) else {}


def _is_real(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")


def _real(told: Mapping[str, Any], name: str) -> float | None:
    value = told.get(name)
    return float(value) if _is_real(value) else None
