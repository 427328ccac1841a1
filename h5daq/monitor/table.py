"""The table of jobs: one row each, as many columns as there is room for.

`jobs_table` is for a page that is drawn as a whole, `job_lines` for a list that is scrolled.
On a narrow terminal the columns that matter least go first, the sparkline before the newest
values, losses never. What is left keeps its full width, and only names and values are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from h5daq.monitor import words
from h5daq.monitor.frame import Frame, lost_text, state_text
from h5daq.monitor.job import JobPicture

__all__ = ["job_lines", "jobs_table", "plain_job"]

TREND_WIDTH = 20
MOST_VALUES = 4
LEAST_JOB_WIDTH = 16
LEAST_VALUES_WIDTH = 16
GAP = 2


@dataclass(frozen=True, slots=True)
class _Cells:
    """What stands in the columns, for one moment and one terminal."""

    now: float
    frame: Frame

    def job(self, job: JobPicture) -> Text:
        return Text(words.clean(job.name, 60))

    def state(self, job: JobPicture) -> Text:
        return state_text("silent" if job.silent(self.now) else job.state, self.frame)

    def rows(self, job: JobPicture) -> Text:
        return Text(words.count(job.rows))

    def rate(self, job: JobPicture) -> Text:
        rate = job.rate(self.now)
        return self._none() if rate is None else Text(f"{words.count(rate)}/s")

    def values(self, job: JobPicture) -> Text:
        if job.message:
            # What is wrong matters more than the values from before.
            return self.frame.text(words.clean(job.message, 80), "yellow")
        line = Text()
        for label in job.labels[:MOST_VALUES]:
            line.append(f"{words.clean(label, 20)} ", "dim")
            line.append_text(self.frame.text(job.text(label))).append("  ")
        if len(job.labels) > MOST_VALUES:
            line.append(f"+{len(job.labels) - MOST_VALUES}", "dim")
        return line

    def trend(self, job: JobPicture) -> Text:
        trend = next(iter(job.trends.values()), None)
        points = trend.points if trend else ()
        return Text(words.sparkline(points, TREND_WIDTH, self.frame.ascii_only), "cyan")

    def late_by(self, job: JobPicture) -> Text:
        if job.lateness_ms is None:
            return self._none()
        return self.frame.text(words.lateness(job.lateness_ms))

    def held(self, job: JobPicture) -> Text:
        return Text(words.count(job.held), "" if job.held else "dim")

    def memory(self, job: JobPicture) -> Text:
        return Text(words.size(job.rss) if job.rss else "", "dim")

    def restarts(self, job: JobPicture) -> Text:
        return Text(words.count(job.restarts), "yellow" if job.restarts else "dim")

    def lost(self, job: JobPicture) -> Text:
        return lost_text(job.lost)

    def _none(self) -> Text:
        return self.frame.text("–", "dim")


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cell: Callable[[_Cells, JobPicture], Text]
    right: bool = False
    least: int | None = None


_COLUMNS = (
    _Column("job", _Cells.job, least=LEAST_JOB_WIDTH),
    _Column("state", _Cells.state),
    _Column("rows", _Cells.rows, right=True),
    _Column("rate", _Cells.rate, right=True),
    _Column("newest", _Cells.values, least=LEAST_VALUES_WIDTH),
    _Column("trend", _Cells.trend),
    _Column("late by", _Cells.late_by, right=True),
    _Column("held", _Cells.held, right=True),
    _Column("memory", _Cells.memory, right=True),
    _Column("restarts", _Cells.restarts, right=True),
    _Column("lost", _Cells.lost),
)

_FIRST_TO_GO = ("memory", "trend", "late by", "restarts", "held", "newest", "rate")


def jobs_table(jobs: Sequence[JobPicture], now: float, frame: Frame) -> Table:
    """A row per job, with the columns that the width of the frame has room for."""
    drawn = _drawn(jobs, now, frame)
    shown = _fitting(drawn, frame.width)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, GAP, 0, 0))
    for column, width in shown.items():
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            width=width,
            no_wrap=True,
            overflow="ellipsis",
        )
    for row in zip(*(drawn[column] for column in shown), strict=True):
        table.add_row(*row)
    return table


def job_lines(jobs: Sequence[JobPicture], now: float, frame: Frame) -> list[Text]:
    """The same as lines of text as wide as the frame, the titles first."""
    drawn = _drawn(jobs, now, frame)
    shown = _fitting(drawn, frame.width)
    titles = ((Text(column.title, "dim"), column, width) for column, width in shown.items())
    lines = [_line(titles, frame)]
    for place in range(len(jobs)):
        cells = ((drawn[column][place], column, width) for column, width in shown.items())
        lines.append(_line(cells, frame))
    return lines


def _line(cells: Iterable[tuple[Text, _Column, int]], frame: Frame) -> Text:
    line = Text(no_wrap=True)
    for cell, column, width in cells:
        cut = cell.copy()
        cut.truncate(width, overflow="ellipsis")
        space = " " * (width - cut.cell_len)
        line.append(space if column.right else "").append_text(cut)
        line.append(("" if column.right else space) + " " * GAP)
    line.truncate(frame.width, pad=True)
    return line


def _drawn(jobs: Sequence[JobPicture], now: float, frame: Frame) -> dict[_Column, list[Text]]:
    cells = _Cells(now, frame)
    return {column: [column.cell(cells, job) for job in jobs] for column in _COLUMNS}


def _fitting(drawn: dict[_Column, list[Text]], room: int) -> dict[_Column, int]:
    """The columns that are shown, and how wide."""
    shown = {column: _width(column, cells) for column, cells in drawn.items()}
    for title in ("restarts", *_FIRST_TO_GO):
        column = next((c for c in shown if c.title == title), None)
        empty = column is not None and not any(_tells(cell) for cell in drawn[column])
        if column is not None and (_least(shown) > room or (empty and title == "restarts")):
            del shown[column]
    _share(shown, room)
    return shown


def _width(column: _Column, cells: list[Text]) -> int:
    return max([len(column.title), *(cell.cell_len for cell in cells)])


def _tells(cell: Text) -> bool:
    return cell.plain.strip() not in ("", "0")


def _least(shown: dict[_Column, int]) -> int:
    least = (w if c.least is None else min(w, c.least) for c, w in shown.items())
    return sum(least) + GAP * len(shown)


def _share(shown: dict[_Column, int], room: int) -> None:
    """Cut what may be cut, values before names, until all columns fit."""
    for column in sorted(shown, key=lambda c: c.title != "newest"):
        over = sum(shown.values()) + GAP * len(shown) - room
        if column.least is not None and over > 0:
            shown[column] = max(min(shown[column], column.least), shown[column] - over)


def plain_job(job: JobPicture, now: float) -> str:
    """A job in one line, for where no table is wanted."""
    cells = _Cells(now, Frame())
    parts = [
        words.clean(job.name, 60),
        cells.state(job).plain[2:],
        f"{words.count(job.rows)} rows",
        "" if job.rate(now) is None else cells.rate(job).plain,
        cells.values(job).plain.strip(),
        f"held {words.count(job.held)}" if job.held else "",
        lost_text(job.lost, "lost ").plain if job.lost else "",
    ]
    return "  ".join(part for part in parts if part)
