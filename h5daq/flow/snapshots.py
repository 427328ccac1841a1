"""A ledger as bytes: the snapshot that opens each segment of the journal.

What older versions did not write yet is taken as empty.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import msgpack

from h5daq.errors import FileDamaged
from h5daq.flow.answered import Answered
from h5daq.flow.raised import Raised
from h5daq.flow.records import RunRecord
from h5daq.flow.schema import Schema
from h5daq.flow.states import FileState, JobState

if TYPE_CHECKING:
    from h5daq.flow.ledger import Ledger

__all__ = ["fill", "packed"]

_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, msgpack.UnpackException)
"""What anything may be that is not as it should be, where it was thought to be ours."""


def packed(ledger: Ledger) -> bytes:
    """All of a ledger as bytes."""
    jobs = []
    for job in ledger.jobs.values():
        fields = {name: getattr(job, name) for name in JobState.__slots__}
        jobs.append({**fields, "schema": job.schema.to_wire()})
    state = {
        "run": asdict(ledger.run) if ledger.run else None,
        "ended": ledger.ended,
        "jobs": jobs,
        "archive": ledger.archive,
        "told": ledger.told,
        "files": [asdict(file) for file in ledger.files],
        "last": [ledger.last_file, ledger.last_end, ledger.last_following],
        "answered": ledger.answered.state(),
        "raised": ledger.raised.events(),
    }
    snapshot: bytes = msgpack.packb(state)
    return snapshot


def fill(ledger: Ledger, snapshot: bytes) -> None:
    """Make an empty ledger what a snapshot describes.

    Raises
    ------
    FileDamaged
        If it is no snapshot.
    """
    try:
        _fill(ledger, snapshot)
    except _UNREADABLE as error:
        raise FileDamaged(f"the journal's snapshot can't be read: {error}") from error


def _fill(ledger: Ledger, snapshot: bytes) -> None:
    state = msgpack.unpackb(snapshot, strict_map_key=False)
    ledger.run = RunRecord(**state["run"]) if state["run"] else None
    ledger.ended = state["ended"]
    ledger.archive, ledger.told = state["archive"], state.get("told", {})
    ledger.files = [FileState(**file) for file in state["files"]]
    ledger.last_file, ledger.last_end, ledger.last_following = state["last"]
    ledger.answered = Answered.restore(state.get("answered", []))
    ledger.raised = Raised(state.get("raised", []))
    for fields in state["jobs"]:
        fields["schema"] = Schema.from_wire(fields["schema"])
        fields["restarts"] = [(time, cause) for time, cause in fields["restarts"]]
        ledger.jobs[fields["job"]] = JobState(**fields)
