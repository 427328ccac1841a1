"""What ``h5daq status`` shows: the run and its writer, then where the rows of each job are.

One line per job, whatever its state, so that a hundred of them stay a table. What is out of the
ordinary (losses by cause, a spool, restarts, a complaint) stands below its job, and at the end,
where the eye falls on a terminal, who needs a look. Names lose their beginning on a narrow
terminal, numbers never anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.text import Text

from h5daq.monitor import words
from h5daq.monitor.frame import ALARMING, Frame, alarm_lines, lost_text, state_text
from h5daq.monitor.job import JobPicture
from h5daq.monitor.picture import Picture
from h5daq.monitor.writer import ClockPicture

__all__ = ["summary"]

_TOTAL = "total"
"""What marks the last row, in the place of a state."""

GAP = "  "
INDENT = 12
LEAST_NAME = 14
FIRST_TO_GO = ("produced", "in file", "held", "newest")
MOST_ALARMS = 20
OLD_SECONDS = 15.0
"""A clock is told every two seconds."""

MOST_NAMED = 8
"""Jobs that are named at the end as needing a look."""


def summary(picture: Picture, now: float, frame: Frame) -> Group:
    """The whole of it."""
    jobs = sorted(picture.jobs.values(), key=lambda job: job.name)
    lines = [_head(picture, now, frame), *_facts(picture, now, frame)]
    if jobs:
        lines += [Text(), *_table(jobs, now, frame)]
    else:
        lines.append(frame.text("  no job has said hello yet", "dim"))
    in_need = [job for job in jobs if _needs_a_look(job, now)]
    if in_need and len(jobs) > 1:
        lines.append(_in_need(in_need, now, frame))
    return Group(*lines)


# -- the run and its writer ------------------------------------------------------------------------


def _head(picture: Picture, now: float, frame: Frame) -> Text:
    writer = picture.writer
    line = Text().append_text(state_text(writer.state, frame))
    line.append("  ").append(words.clean(writer.run_name or writer.run_path or "run", 40), "bold")
    if writer.run_start is not None:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(writer.run_start))
        line.append(f"  since {since} ({words.duration(max(0.0, now - writer.run_start))})", "dim")
    return line


def _facts(picture: Picture, now: float, frame: Frame) -> Iterator[Text]:
    writer = picture.writer
    yield _fact("file", _tail(writer.file or "none yet", frame.width - INDENT), "", frame)
    yield from _wrapped("writer", _writer_facts(picture, now), frame)
    yield from _clocks(writer.clocks, frame)
    if writer.insecure:
        yield _fact("insecure", "tcp without keys: anybody may use it", "yellow", frame)
    if writer.trouble:
        yield _fact("trouble", words.clean(writer.trouble, 400), "bold red", frame)
    if writer.refused:
        counts = writer.refused.items()
        causes = ", ".join(f"{words.count(n)} {words.clean(cause, 30)}" for cause, n in counts)
        yield _fact("refused", f"messages: {causes}", "yellow", frame)
    for number, line in enumerate(alarm_lines(picture.raised(now), frame, MOST_ALARMS)):
        yield _fact("" if number else "alarms", "", "", frame).append_text(line)


def _writer_facts(picture: Picture, now: float) -> list[str]:
    writer, age = picture.writer, picture.checkpoint_age(now)
    return [
        f"pid {writer.pid}" if writer.pid else "",
        writer.durability,
        f"checkpoint {words.duration(age)} ago" if age is not None else "no checkpoint yet",
        f"journal {words.size(writer.journal_bytes)} waiting",
        "disk unknown" if writer.disk_free is None else f"disk {words.size(writer.disk_free)} free",
    ]


def _clocks(clocks: Mapping[str, ClockPicture], frame: Frame) -> Iterator[Text]:
    """How the clocks of other hosts are to the writer's."""
    parts = []
    for host, clock in sorted(clocks.items()):
        old = f", {words.duration(clock.age)} ago" if clock.age > OLD_SECONDS else ""
        parts.append(f"{words.clean(host, 40)} {words.clock(clock.offset, clock.error)}{old}")
    if parts:
        yield from _wrapped("clocks", parts, frame)


def _fact(title: str, text: str, style: str, frame: Frame) -> Text:
    return Text(f"  {title:<{INDENT - 2}}", "dim").append_text(frame.text(text, style))


def _wrapped(title: str, parts: Sequence[str], frame: Frame) -> Iterator[Text]:
    """Parts with commas between them, on as many lines as they need; none is torn."""
    line = ""
    for part in filter(None, parts):
        if line and INDENT + len(line) + 3 + len(part) > frame.width:
            yield _fact(title, line + ",", "", frame)
            title, line = "", ""
        line = f"{line}, {part}" if line else part
    yield _fact(title, line, "", frame)


# -- the jobs --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cell: Callable[[JobPicture, float, Frame], Text]
    right: bool = True


def _state(job: JobPicture, now: float, frame: Frame) -> Text:
    if job.state == _TOTAL:
        return Text()
    return state_text("silent" if job.silent(now) else job.state, frame)


def _lost(job: JobPicture, _now: float, _frame: Frame) -> Text:
    return Text(words.count(job.lost_rows), "red" if job.lost_rows else "dim")


def _held(job: JobPicture, _now: float, _frame: Frame) -> Text:
    return Text(words.count(job.held), "" if job.held else "dim")


def _newest(job: JobPicture, now: float, frame: Frame) -> Text:
    if job.last_time is None:
        return frame.text("" if job.state == _TOTAL else "–", "dim")
    return Text(words.duration(max(0.0, now - job.last_time)))


_COLUMNS = (
    _Column("state", _state, right=False),
    _Column("produced", lambda job, _now, _frame: Text(words.count(job.produced))),
    _Column("committed", lambda job, _now, _frame: Text(words.count(job.rows))),
    _Column("in file", lambda job, _now, _frame: Text(words.count(job.in_file))),
    _Column("held", _held),
    _Column("lost", _lost),
    _Column("newest", _newest),
)


def _table(jobs: Sequence[JobPicture], now: float, frame: Frame) -> Iterator[Text]:
    shown = [*jobs, _total(jobs)] if len(jobs) > 1 else list(jobs)
    drawn = {c: [c.cell(job, now, frame) for job in shown] for c in _COLUMNS}
    widths = _fitting(drawn, frame.width)
    name = min(_room(widths, frame.width), max(len(words.clean(job.name)) for job in shown))
    name = max(name, len("job"))
    titles = {c: Text(c.title, "dim") for c in widths}
    yield _row(Text("job", "dim"), titles, name, widths)
    for index, job in enumerate(shown):
        cells = {c: drawn[c][index] for c in widths}
        yield _row(Text(_tail(words.clean(job.name), name)), cells, name, widths)
        yield from _notes(job, frame)


def _fitting(drawn: dict[_Column, list[Text]], room: int) -> dict[_Column, int]:
    """The columns that are shown, and how wide."""
    widths = {c: max(len(c.title), *(cell.cell_len for cell in drawn[c])) for c in drawn}
    for title in FIRST_TO_GO:
        if _room(widths, room) < LEAST_NAME:
            widths = {c: width for c, width in widths.items() if c.title != title}
    return widths


def _room(widths: dict[_Column, int], room: int) -> int:
    """What is left for the names."""
    return room - sum(widths.values()) - len(GAP) * len(widths)


def _row(name: Text, cells: dict[_Column, Text], width: int, widths: dict[_Column, int]) -> Text:
    line = name.append(" " * (width - name.cell_len))
    for column, cell in cells.items():
        space = " " * (widths[column] - cell.cell_len)
        line.append(GAP + (space if column.right else "")).append_text(cell)
        line.append("" if column.right else space)
    line.rstrip()
    return line


def _total(jobs: Sequence[JobPicture]) -> JobPicture:
    total = JobPicture("all jobs", state=_TOTAL)
    for job in jobs:
        for name in ("produced", "rows", "in_file", "held"):
            setattr(total, name, getattr(total, name) + getattr(job, name))
    total.lost = {"all": sum(job.lost_rows for job in jobs)}
    return total


def _notes(job: JobPicture, frame: Frame) -> Iterator[Text]:
    """What is out of the ordinary, below its job."""
    if job.state == _TOTAL:
        return
    parts = [
        lost_text(job.lost, "lost: ") if job.lost_rows else Text(),
        Text(f"HDF5 refused: {words.count(job.refused)}" if job.refused else "", "red"),
        Text(f"spooled: {words.count(job.spooled)} ({words.size(job.spooled_bytes)} on disk)"
             if job.spooled else "", "yellow"),
        Text(f"restarts: {words.count(job.restarts)}" if job.restarts else "", "yellow"),
        Text(f"late: {words.count(job.late)}" if job.late else "", "dim"),
        Text(words.clean(job.message, 200), "yellow"),
    ]  # fmt: skip
    line = Text("    ")
    for part in filter(None, parts):
        if line.plain.strip() and line.cell_len + 3 + part.cell_len > frame.width:
            yield line
            line = Text("    ")
        line.append("   " if line.plain.strip() else "").append_text(part)
    if line.plain.strip():
        yield line


def _needs_a_look(job: JobPicture, now: float) -> bool:
    return job.silent(now) or job.state in ALARMING or bool(job.lost_rows or job.refused)


def _in_need(jobs: Sequence[JobPicture], now: float, frame: Frame) -> Text:
    names = [f"{words.clean(job.name)} ({_why(job, now)})" for job in jobs[:MOST_NAMED]]
    more = [f"and {len(jobs) - MOST_NAMED} more"] if len(jobs) > MOST_NAMED else []
    verb = "need" if len(jobs) > 1 else "needs"
    return frame.text(f"{len(jobs)} {verb} a look: {', '.join([*names, *more])}", "yellow")


def _why(job: JobPicture, now: float) -> str:
    if job.silent(now) or job.state in ALARMING:
        return "silent" if job.silent(now) else job.state
    return f"lost {words.count(job.lost_rows)}" if job.lost_rows else "refused rows"


def _tail(text: str, room: int) -> str:
    """The end of it: what tells a path from others."""
    return text if len(text) <= room else f"…{text[len(text) - room + 1 :]}"
