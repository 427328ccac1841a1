"""The state of a running system in one model, fed by what the writer broadcasts and answers.

A `Picture` is pure: signals, replies and the time come in as arguments; nothing is asked or waited
for. It is right for who joins late, by the old rule "first a full copy, then the changes": at
first, after a restart of the writer, and whenever a signal speaks of something unknown,
`wants_status` says that a ``status`` request is due, and its reply makes the picture whole again.
Signals that could not be placed until then are kept. Values that no signal tells (of a job that
rests, or large arrays of the job that is watched) are asked for by `wants_values`.

What comes in is data of other processes: an odd field is ignored, never an error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from h5daq.flow.names import is_own
from h5daq.flow.vigil import WRITER
from h5daq.monitor.alarm import Alarm, AlarmPictures, writer_silent
from h5daq.monitor.hosts import HostPicture, hosts_of
from h5daq.monitor.job import JobPicture
from h5daq.monitor.peeks import Peeks
from h5daq.monitor.plain import as_plain
from h5daq.monitor.rate import Rate, Room
from h5daq.monitor.remark import Remark, remark_of, state_remark
from h5daq.monitor.writer import WriterPicture, as_map

__all__ = ["KINDS", "Picture", "Remark"]

KINDS = ("heartbeat", "data-available", "new-dataset", "status", "log", "alarm", "refused")
"""The signals that a picture is made from: what its owner subscribes to."""

ASK_SECONDS = 5.0
"""A reply older than this is asked for anew: file, journal and disk are told only there."""

ASK_AGAIN_SECONDS = 1.0
"""The least time between two requests."""

SILENT_SECONDS = 4.0
"""A writer beats once a second; without a beat for so long it is shown as silent."""

MOST_WAITING = 1000

_SEVERITIES = {"ok": "INFO", "warn": "WARNING", "alarm": "ERROR"}

LONG_HISTORIES, SHORT_HISTORY = 200, 60
"""So many jobs have long histories; those of further ones are short, for the sake of memory."""


class Picture:
    """All that a monitor shows.

    Parameters
    ----------
    log_lines : int
        Lines of the log that are kept.

    Attributes
    ----------
    writer : WriterPicture
        The run, the writer, its file and journal.
    jobs : dict of str to JobPicture
        By group, in the order in which they became known.
    alarms : AlarmPictures
        The alarms that are raised, a mapping by job, column and kind.
    log : deque of Remark
        The last lines, alarms and changes of a job's state among them.
    """

    def __init__(self, log_lines: int = 200) -> None:
        self.writer = WriterPicture()
        self.jobs: dict[str, JobPicture] = {}
        self.alarms = AlarmPictures()
        self.log: deque[Remark] = deque(maxlen=log_lines)
        self.heard: float | None = None
        self._last_boot = ""
        self._peeks = Peeks()
        self._bytes, self._room = Rate(), Room()
        self._waiting: dict[str, tuple[Mapping[str, Any], float]] = {}
        self._whole = False
        self._replied = self._asked = float("-inf")

    # -- what comes in -------------------------------------------------------------------------

    def take(self, kind: str, path: str, told: Mapping[str, Any], now: float) -> None:
        """A signal of some kind about a path, told at `now` (UTC seconds)."""
        self.heard = now
        if kind == "heartbeat":
            self._take_heartbeat(told)
        elif kind == "data-available":
            self._take_rows(str(told.get("path", path)).strip("/"), told, now)
        elif kind == "status" and path:
            self._take_status(path, told, now)
        elif kind == "alarm":
            self._take_alarm(path, told, now)
        elif kind == "log":
            self._take_remark(str(told.get("level", "INFO")), path, told, now)
        elif kind == "refused":
            cause = str(told.get("cause", ""))
            self.writer.refused[cause] = self.writer.refused.get(cause, 0) + 1
        elif kind == "new-dataset":
            self._whole = False

    def take_status(self, reply: Mapping[str, Any], now: float) -> None:
        """The reply to a ``status`` request: the whole state."""
        self.heard = self._replied = now
        run, writer = as_map(reply, "run"), as_map(reply, "writer")
        if self.writer.run_id and str(run.get("id", "")) != self.writer.run_id:
            self._forget_run()
        self.writer.take_run(run)
        self.writer.take_writer(writer)
        self.writer.take_clocks(as_map(reply, "clocks"))
        self._bytes.count(self.writer.bytes, now)
        if self.writer.disk_free is not None:
            self._room.count(self.writer.disk_free, now)
        jobs = as_map(reply, "jobs")
        for name in [name for name in self.jobs if name not in jobs]:
            del self.jobs[name]
        for name, part in jobs.items():
            if isinstance(part, Mapping):
                job, before = self.job(str(name)), self.job(str(name)).state
                job.take_reply(part, now)
                self._note_state(job, before, now)
        # An answer that is older than what was heard meanwhile is no whole one.
        self._whole = self.alarms.take_all(reply.get("alarms"), writer.get("alarm_id"))
        self._place_waiting()

    def wants_status(self, now: float) -> bool:
        """Whether to send a ``status`` request now; saying yes counts as having sent it."""
        due = not self._whole or now - self._replied >= ASK_SECONDS
        if due and not 0.0 <= now - self._asked < ASK_AGAIN_SECONDS:
            self._asked = now
            return True
        return False

    def wants_values(self, now: float) -> list[str]:
        """Jobs to send a ``peek`` request for now: new ones, and the one that is watched."""
        return self._peeks.due(self.jobs, now)

    def take_values(self, name: str, row: Any, now: float) -> None:
        """The reply to a ``peek`` request for a job."""
        if name in self.jobs:
            self.jobs[name].take_values(row, now, whole=name == self._peeks.watched)

    def wants_glimpses(self, now: float) -> list[tuple[str, str]]:
        """Jobs and columns to send a ``glimpse`` request for now: the largest that are watched."""
        return self._peeks.glimpses(self.jobs, now)

    def wants_units(self) -> str | None:
        """The job whose columns are to be described now: the one that is watched, once."""
        job = self.jobs.get(self._peeks.watched or "")
        return job.name if job is not None and job.rows and job.units is None else None

    def watch(self, name: str | None) -> None:
        """Want the large arrays of this job, and of no other."""
        for job in self.jobs.values():
            job.arrays, job.glimpsed = {}, -1
        self._peeks.watch(name)

    def job(self, name: str) -> JobPicture:
        """The picture of a job; made when it was not known."""
        if name not in self.jobs:
            self.jobs[name] = JobPicture(name)
            if len(self.jobs) > LONG_HISTORIES:
                self.jobs[name].history_length = SHORT_HISTORY
        return self.jobs[name]

    # -- what is seen --------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the writer has said that its run is over."""
        return bool(self.writer.boot) and self.writer.boot == self._last_boot

    def silence(self, now: float) -> float | None:
        """Seconds since anything was heard, if that is longer than a living writer is silent."""
        if self.heard is None or self.ended or now - self.heard < SILENT_SECONDS:
            return None
        return now - self.heard

    def raised(self, now: float) -> list[Alarm]:
        """The alarms, the worst first: those of the writer, and the one that it can't raise itself.

        That of a writer which was not heard for `SILENT_SECONDS`, although its run has not ended.
        """
        silence, worst = self.silence(now), self.alarms.worst()
        if silence is None or ("", "", WRITER) in self.alarms:
            return worst
        return [writer_silent(silence, SILENT_SECONDS, now), *worst]

    def checkpoint_age(self, now: float) -> float | None:
        """Seconds since the last checkpoint; None before the first one."""
        last = self.writer.last_checkpoint
        return None if last is None else max(0.0, now - last)

    def rows(self) -> int:
        """Committed rows of all jobs."""
        return sum(job.rows for job in self.jobs.values())

    def rate(self, now: float) -> float:
        """Rows per second of all jobs together."""
        return sum(job.rate(now) or 0.0 for job in self.jobs.values())

    def byte_rate(self, now: float) -> float | None:
        """Bytes per second that the writer receives; None while it can't be told."""
        return self._bytes.at(now)

    def disk_lasts(self) -> float | None:
        """Seconds until the disk is full, by how it filled lately; None if that can't be told."""
        return None if self.writer.disk_free is None else self._room.lasts

    def hosts(self, now: float) -> list[HostPicture]:
        """The machines on which jobs run."""
        return hosts_of(self.jobs.values(), now)

    def lost(self) -> dict[str, int]:
        """Rows that could not be kept, by cause, of all jobs together."""
        total: dict[str, int] = {}
        for job in self.jobs.values():
            for cause, n in job.lost.items():
                total[cause] = total.get(cause, 0) + n
        return total

    def as_dict(self, now: float) -> dict[str, Any]:
        """All of it as plain values, for JSON and the web page."""
        return as_plain(self, now)

    # -- signals -------------------------------------------------------------------------------

    def _take_heartbeat(self, told: Mapping[str, Any]) -> None:
        writer = self.writer
        run, boot = str(told.get("run", "")), str(told.get("boot", ""))
        if run != writer.run_id and writer.run_id:
            self._forget_run()
        if (run, boot) != (writer.run_id, writer.boot):
            self._whole = False
        if boot != writer.boot and writer.boot:
            self.alarms.forget()
        self.writer.run_id, self.writer.boot = run, boot
        self._last_boot = boot if told.get("ended") is True else ""
        self.writer.trouble = str(told.get("stalled", ""))
        for name in as_map(told, "positions"):
            self._whole = self._whole and name in self.jobs
            self.job(str(name))

    def _forget_run(self) -> None:
        """Another run: nothing that was counted goes on."""
        self.writer = WriterPicture()
        self.jobs.clear()
        self.alarms.forget()
        self._waiting.clear()
        self._bytes, self._room = Rate(), Room()

    def _take_rows(self, path: str, told: Mapping[str, Any], now: float) -> None:
        name = self._job_of(path)
        if name is not None and is_own(name):
            return
        if name is not None:
            self._whole = self._whole and name in self.jobs
            self.job(name).take_rows(told, now)
        elif len(self._waiting) < MOST_WAITING or path in self._waiting:
            self._waiting[path] = (told, now)

    def _job_of(self, path: str) -> str | None:
        """The job that a path of the vault means: what comes behind the run's directory."""
        above = self.writer.run_path
        if above is not None:
            return path.removeprefix(f"{above}/") if path.startswith(f"{above}/") else None
        known = [name for name in self.jobs if f"/{path}".endswith(f"/{name}")]
        return max(known, key=len, default=None)

    def _place_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for path, (told, then) in waiting.items():
            if self._job_of(path) in self.jobs:
                self._take_rows(path, told, then)

    def _take_status(self, name: str, told: Mapping[str, Any], now: float) -> None:
        known = name in self.jobs
        job, before = self.job(name), self.job(name).state
        restarted = job.take_status(told, now)
        self._note_state(job, before, now)
        if restarted or not known:
            self._whole = False

    def _note_state(self, job: JobPicture, before: str, now: float) -> None:
        if (remark := state_remark(job, before, now)) is not None:
            self.log.append(remark)

    def _take_alarm(self, path: str, told: Mapping[str, Any], now: float) -> None:
        alarm = self.alarms.take(told)
        self._take_remark(_SEVERITIES[alarm.level if alarm else "alarm"], path, told, now)

    def _take_remark(self, level: str, path: str, told: Mapping[str, Any], now: float) -> None:
        self.log.append(remark_of(level, path, told, now))
