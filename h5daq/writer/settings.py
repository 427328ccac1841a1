"""What a writer must know to begin: sent to it once, as one msgpack map on its standard input.

The daemon makes it from its arguments or from the configuration; `h5daq writer CONFIG` makes the
same from the file. Sizes are bytes, times are seconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import msgpack

from h5daq.flow.names import run_path
from h5daq.writer.patience import STUCK_SECONDS

__all__ = ["WriterSettings"]


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """One run of one writer.

    Parameters
    ----------
    directory : str
        Where the run files and ``.h5daq`` lie.
    run_id : str
        Fresh for each start of a daemon; a writer that is started again under the same daemon
        goes on with the run of that id.
    run_name, attrs : str, dict
        The run's name and attributes.
    data, requests, signals : str
        Endpoints to bind.
    durability : {"fsync", "os", "none"}
        What a commit waits for.
    keys : str
        Directory of the keys; empty: none, and whoever reaches the sockets may do all.
    trusted : list of dict
        Keys that are let in beside those on the list, for this daemon's life: the fields of
        `h5daq.flow.roles.Key`.
    make_directory : bool
        Make `directory` if it is missing. A writer that is started again must not: what it wrote
        to is gone, with a disk that was unmounted perhaps, and nothing may go to another in its
        place.
    stuck_timeout : float
        How long a stop bears a disk that takes nothing.
    alarms : dict, optional
        What is watched, as `h5daq.flow.alarm_options.AlarmOptions` has it; None: nothing.
    """

    directory: str
    run_id: str
    data: str
    requests: str
    signals: str
    run_name: str = ""
    attrs: dict[str, Any] = field(default_factory=dict)
    durability: str = "fsync"
    write_period: float = 60.0
    write_period_jitter: float = 0.0
    file_format: str = "DAQ_{date_from}_{date_to}.hdf5"
    rollover: dict[str, int] = field(default_factory=lambda: {"days": 1})
    rollover_size: int = 0
    rollover_grace: float = 60.0
    compression: dict[str, Any] | None = None
    signal_rate: float = 20.0
    drain_timeout: float = 30.0
    window_bytes: int = 64 << 20
    journal_bytes: int = 4 << 30
    segment_bytes: int = 64 << 20
    stream_bytes: int = 16 << 20
    checkpoint_bytes: int = 128 << 20
    overlay_bytes: int = 64 << 20
    log_level: str = "INFO"
    insecure: bool = False
    keys: str = ""
    trusted: list[dict[str, Any]] = field(default_factory=list)
    make_directory: bool = True
    stuck_timeout: float = STUCK_SECONDS
    alarms: dict[str, Any] | None = None

    def to_bytes(self) -> bytes:
        """The settings as they are sent."""
        packed: bytes = msgpack.packb(asdict(self))
        return packed

    @classmethod
    def from_bytes(cls, data: bytes) -> WriterSettings:
        """The settings as they were sent."""
        return cls(**msgpack.unpackb(data, strict_map_key=False))

    @property
    def run_path(self) -> str:
        """The directory of the vault under which the run's jobs appear."""
        return run_path(self.run_name)

    @property
    def is_open(self) -> bool:
        """Whether anybody on the network may command the run: tcp without keys."""
        endpoints = (self.data, self.requests, self.signals)
        return not self.keys and any(endpoint.startswith("tcp://") for endpoint in endpoints)

    def run_options(self) -> dict[str, Any]:
        """What the run's record keeps of it, for the files' heads and for a replay."""
        (unit, count), *_ = self.rollover.items()
        return {
            "write_period": self.write_period,
            "write_period_jitter": self.write_period_jitter,
            "rollover_interval": f"{count} {unit}",
            "rollover": dict(self.rollover),
            "file_format": self.file_format,
            "compression": self.compression,
            "durability": self.durability,
        }
