"""The keys of a daemon and of its own workers: made when it starts, gone when it ends.

They are on no disk. The public halves go to the writer with its settings, the private ones to the
workers, all by private pipes; each worker's key is good for its own job.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from h5daq.flow.roles import Role, exactly
from h5daq.keys import KeyDirectory
from h5daq.transports.locks import ClientKeys
from h5daq.transports.zmq_curve import make_pair

__all__ = ["LocalKeys"]


class LocalKeys:
    """Keys for one daemon.

    Parameters
    ----------
    directory : str
        Of the writer's keys.
    groups : iterable of str
        The daemon's jobs.

    Attributes
    ----------
    own : ClientKeys
        The daemon's.
    of_job : dict of str to ClientKeys
        Its workers'.
    trusted : list of dict
        What the writer is to know of them.
    """

    def __init__(self, directory: str, groups: Iterable[str]) -> None:
        self._writer = KeyDirectory(directory).public
        self.trusted: list[dict[str, Any]] = []
        # No key on the list can have a colon in its name.
        self.own = self._make("local:daemon", Role.OPERATOR, ())
        self.of_job = {g: self._make(f"local:{g}", Role.WORKER, exactly([g])) for g in groups}

    def _make(self, name: str, role: Role, jobs: tuple[str, ...]) -> ClientKeys:
        public, secret = make_pair()
        self.trusted.append({"name": name, "public": public, "role": str(role), "jobs": [*jobs]})
        return ClientKeys(name, public, secret, self._writer)
