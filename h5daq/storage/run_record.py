"""What the journal's record of a run says of its files: their head, their options, their names."""

from __future__ import annotations

from typing import Any

from h5daq.flow.records import RunRecord
from h5daq.flow.states import FileState
from h5daq.storage.layouts.heads import FileHead

__all__ = ["file_format", "file_head", "file_options"]


def file_head(run: RunRecord, state: FileState) -> FileHead:
    """What stands at the root of a file of this run."""
    return FileHead(
        file_id=state.id,
        previous_file_id=state.previous,
        following_file_id=state.following,
        run_start=run.start,
        file_start=state.start,
        file_end=state.end,
        name=run.name,
        write_period=float(run.options["write_period"]),
        write_period_jitter=float(run.options["write_period_jitter"]),
        rollover_interval=str(run.options["rollover_interval"]),
        attrs=run.attrs,
        run_id=run.id,
        durability=str(run.options["durability"]),
    )


def file_options(run: RunRecord | None) -> dict[str, Any]:
    """How the run's files are written: filters, and the seconds between checkpoints."""
    options = run.options if run else {}
    return {
        "compression": options.get("compression"),
        "write_period": float(options.get("write_period", 60.0)),
    }


def file_format(run: RunRecord | None) -> str:
    """How the run's files are named."""
    options = run.options if run else {}
    return str(options.get("file_format", "DAQ_{date_from}_{date_to}.hdf5"))
