"""A `Picture` as plain values: for JSON, and for whoever wants no objects of ours."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from h5daq.monitor.picture import Picture

__all__ = ["as_plain"]


def as_plain(picture: Picture, now: float) -> dict[str, Any]:
    """All of it at `now` (UTC seconds)."""
    writer, hosts = picture.writer, picture.hosts(now)
    return {
        "time": now,
        "silence": picture.silence(now),
        "writer": {**asdict(writer), "checkpoint_age": picture.checkpoint_age(now),
                   "disk_lasts": picture.disk_lasts()},
        "rows": picture.rows(),
        "rate": picture.rate(now),
        "byte_rate": picture.byte_rate(now),
        "hosts": {host.name: {**asdict(host), "state": host.state} for host in hosts},
        "jobs": {name: job.as_dict(now) for name, job in picture.jobs.items()},
        "alarms": [alarm.as_dict() for alarm in picture.raised(now)],
        "log": [asdict(remark) for remark in picture.log],
    }  # fmt: skip
