"""A `Picture` as a page: a heading, the table of jobs, the end of the log.

Quiet where all is well, coloured where somebody should look: lost rows, silent workers, trouble of
the writer, alarms. When not all jobs fit, those in need of a look come first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from rich.console import Group
from rich.text import Text

from h5daq.monitor import words
from h5daq.monitor.frame import ALARMING, Frame, alarm_lines, lost_text, state_text
from h5daq.monitor.job import JobPicture
from h5daq.monitor.picture import Picture, Remark
from h5daq.monitor.table import jobs_table

__all__ = ["details", "headline", "log_line", "needs_a_look", "page", "trouble"]

LOG_LINES = 5

_LEVELS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


def page(picture: Picture, now: float, frame: Frame) -> Group:
    """The whole picture."""
    above = [
        headline(picture, now, frame),
        details(picture, now, frame),
        *trouble(picture, now, frame),
    ]
    log = [log_line(remark, frame) for remark in list(picture.log)[-LOG_LINES:]]
    below = [Text(), *log] if log else []
    # Beside these lines: an empty one, the table's titles, "and more", and the cursor's.
    room = None if frame.height is None else max(1, frame.height - len(above) - len(below) - 4)
    shown, hidden = _chosen(picture, now, room)
    more = [frame.text(f"… and {hidden} more jobs", "dim")] if hidden else []
    for line in (*above, *below):
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(*above, Text(), jobs_table(shown, now, frame), *more, *below)


def headline(picture: Picture, now: float, frame: Frame) -> Text:
    """The run in one line: state, age, alarms, losses, jobs, rows, rates."""
    writer, silence, lost = picture.writer, picture.silence(now), picture.lost()
    state = "ended" if picture.ended else "silent" if silence is not None else writer.state
    line = Text().append_text(state_text(state, frame))
    line.append("  ").append(words.clean(writer.run_name or writer.run_path or "run", 40), "bold")
    if writer.run_start is not None:
        line.append(f"  {words.duration(max(0.0, now - writer.run_start))}", "dim")
    figures = [Text(text) for text in _figures(picture, now)]
    # Losses and alarms come where no narrow terminal cuts them off.
    figures.insert(0 if lost else len(figures), lost_text(lost, "lost "))
    if alarms := picture.raised(now):
        style = "bold red" if alarms[0].level == "alarm" else "yellow"
        figures.insert(0, Text(f"{len(alarms)} alarm{'' if len(alarms) == 1 else 's'}", style))
    for figure in figures:
        line.append("   ").append_text(figure)
    return line


def _figures(picture: Picture, now: float) -> Iterable[str]:
    jobs, rate = len(picture.jobs), picture.byte_rate(now)
    yield f"{jobs} job{'' if jobs == 1 else 's'}"
    yield f"{words.count(picture.rows())} rows"
    yield f"{words.count(picture.rate(now))} rows/s"
    if rate is not None:
        yield f"{words.size(rate)}/s"


def details(picture: Picture, now: float, frame: Frame) -> Text:
    """The writer in one line: checkpoint, journal, disk, file."""
    writer, age = picture.writer, picture.checkpoint_age(now)
    parts = [
        f"checkpoint {words.duration(age)} ago" if age is not None else "no checkpoint yet",
        f"journal {words.size(writer.journal_bytes)}",
        _disk(picture),
        writer.durability,
        words.clean(writer.file) if writer.file else "no file yet",
    ]
    line = Text("insecure   ", "yellow") if writer.insecure else Text()
    return line.append_text(frame.text("   ".join(part for part in parts if part), "dim"))


def _disk(picture: Picture) -> str:
    free, lasts = picture.writer.disk_free, picture.disk_lasts()
    if free is None:
        return ""
    until = "" if lasts is None else f", full in {words.duration(lasts)}"
    return f"disk {words.size(free)} free{until}"


def trouble(picture: Picture, now: float, frame: Frame) -> list[Text]:
    """What is wrong with the writer, a line each; nothing if all is well."""
    writer, found = picture.writer, []
    if writer.trouble:
        found.append(frame.text(words.clean(writer.trouble, 300), "bold red"))
    if writer.refused:
        causes = ", ".join(f"{words.clean(c, 30)} {n}" for c, n in writer.refused.items())
        found.append(frame.text(f"refused messages: {causes}", "yellow"))
    return found + alarm_lines(picture.raised(now), frame)


def _chosen(picture: Picture, now: float, room: int | None) -> tuple[list[JobPicture], int]:
    """The jobs that are shown, and how many are not."""
    jobs = list(picture.jobs.values())
    if room is None or len(jobs) <= room:
        return jobs, 0
    urgent = sorted(jobs, key=lambda job: not needs_a_look(job, now))
    return urgent[: room - 1], len(jobs) - room + 1


def needs_a_look(job: JobPicture, now: float) -> bool:
    """Whether somebody should look at a job."""
    return job.silent(now) or job.state in ALARMING or bool(job.lost_rows)


def log_line(remark: Remark, frame: Frame) -> Text:
    """A line of the log."""
    clock = time.strftime("%H:%M:%S", time.localtime(remark.time))
    line = Text(f"{clock}  ", "dim")
    line.append(f"{words.clean(remark.level, 8):<8}  ", _LEVELS.get(remark.level, "dim"))
    line.append(f"{words.clean(remark.source, 40)}  ", "dim")
    return line.append_text(frame.text(words.clean(remark.text, 500)))
