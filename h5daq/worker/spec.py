"""What a worker is given: its job, and where the writer is.

As bytes it is a msgpack map; the job in it is packed by `h5daq.jobs.carry` and travels over a
private pipe only, never over a socket that somebody else could write to.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import msgpack

from h5daq.errors import WireError
from h5daq.jobs.carry import pack, unpack
from h5daq.jobs.job import DAQJob
from h5daq.transports.locks import ClientKeys

__all__ = ["WorkerSpec"]


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker's description.

    Parameters
    ----------
    job : DAQJob
        What to read.
    data, signals : str
        The writer's endpoints.
    run : str
        Id of the run.
    home : str
        Directory of the writer's files. Rows that an earlier worker could not deliver are sent
        on only if they were taken for the same one.
    cause : str
        Why the worker before this one ended; empty for the first.
    log_level : str or int
        Least level of the messages that are sent on.
    batch_interval : float, optional
        Seconds; instead of the job's own.
    drain_timeout : float
        Seconds to wait, after the end of reading, for the writer to commit what is held.
    keys : ClientKeys, optional
        What to show to the writer.
    stop_grace : float
        Seconds that a reading under way may take to end, when told to stop.
    pulse : str
        The file by which the parent sees whether it is alive (`h5daq.jobs.pulse`); empty without.
    """

    job: DAQJob
    data: str
    signals: str
    run: str = ""
    home: str = ""
    cause: str = ""
    log_level: str | int = "INFO"
    batch_interval: float | None = None
    drain_timeout: float = 30.0
    stop_grace: float = 5.0
    pulse: str = ""
    keys: ClientKeys | None = None

    def to_bytes(self) -> bytes:
        """For the private pipe.

        Raises
        ------
        JobError
            If something in the job can't be moved to another process.
        """
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["keys"] = None if self.keys is None else asdict(self.keys)
        packed: bytes = msgpack.packb({**plain, "job": pack(self.job.group, self.job)})
        return packed

    @classmethod
    def from_bytes(cls, data: bytes) -> WorkerSpec:
        """From the private pipe.

        Raises
        ------
        WireError
            If these bytes are none.
        JobError
            If the job needs what this process can't import.
        """
        try:
            given: dict[str, Any] = msgpack.unpackb(data)
            keys = given.get("keys") and ClientKeys(**given["keys"])
            return cls(**{**given, "job": unpack(given["job"]), "keys": keys})
        except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
            raise WireError(f"no description of a worker: {error}") from error
