"""A running system on the terminal: a table that moves, or one line under the log.

`LiveTable` is what ``h5daq monitor`` shows, `StatusLine` what ``h5daq run`` keeps at the foot of
the screen. Both draw a `Picture` that somebody else feeds, whenever `update` is called.

Where the output is no terminal (a log file, a pipe, a service), nothing moves: both then write
plain lines, now and then, and at once when something changes that somebody should know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from h5daq.monitor import words
from h5daq.monitor.frame import Frame, alarm_lines, alarm_text
from h5daq.monitor.page import headline, page
from h5daq.monitor.picture import Picture
from h5daq.monitor.summary import summary
from h5daq.monitor.table import plain_job

__all__ = ["LiveTable", "StatusLine", "Summary"]

PLAIN_WIDTH = 160
"""Characters of a line where there is no terminal that has a width."""


class _Display(ABC):
    """Draws a picture in place, or writes lines; what is drawn is told by the two kinds below."""

    def __init__(
        self,
        picture: Picture,
        console: Console | None = None,
        *,
        plain_every: float = 60.0,
        screen: bool = False,
    ) -> None:
        self._picture = picture
        self._console = Console() if console is None else console
        self._plain_every, self._screen = plain_every, screen
        self._live: Live | None = None
        self._written: float | None = None
        self._known: object = None

    @property
    def moving(self) -> bool:
        """Whether the output is a terminal that can be drawn on."""
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def __enter__(self) -> Self:
        if self.moving:
            self._live = Live(
                Text(), console=self._console, auto_refresh=False, screen=self._screen,
                transient=True,
            )  # fmt: skip
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def update(self, now: float) -> None:
        """Show the picture as it is at `now` (UTC seconds)."""
        if self._live is not None:
            self._live.update(self._drawing(now), refresh=True)
        elif self._is_time(now):
            for line in self._lines(now):
                self._write(line)

    def print(self, now: float) -> None:
        """Write the picture once, to stay."""
        width = self._frame().width
        self._console.print(self._drawing(now), width=width, crop=False)

    def _is_time(self, now: float) -> bool:
        """Whether plain lines are due: by the clock, or since something is new."""
        telling = self._telling(now)
        waited = None if self._written is None else now - self._written
        if waited is not None and 0.0 <= waited < self._plain_every and telling == self._known:
            return False
        self._written, self._known = now, telling
        return True

    def _telling(self, now: float) -> object:
        """What is told at once when it changes. Counts are not: they would never rest."""
        picture = self._picture
        states = tuple((job.name, job.state, job.silent(now), bool(job.lost_rows))
                       for job in picture.jobs.values())  # fmt: skip
        writer = picture.writer
        alarms = tuple((alarm.key, alarm.level) for alarm in picture.raised(now))
        return (writer.state, writer.trouble, writer.file, states, alarms)

    def _frame(self, height: int | None = None) -> Frame:
        console = self._console
        width = console.width if console.is_terminal else max(PLAIN_WIDTH, console.width)
        return Frame(width, height, console.options.ascii_only)

    def _write(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    @abstractmethod
    def _drawing(self, now: float) -> RenderableType: ...

    @abstractmethod
    def _lines(self, now: float) -> list[str]: ...


class Summary(_Display):
    """The picture once, as ``h5daq status`` shows it; see `h5daq.monitor.summary`."""

    def _drawing(self, now: float) -> RenderableType:
        return summary(self._picture, now, self._frame())

    def _lines(self, now: float) -> list[str]:
        return [headline(self._picture, now, self._frame()).plain]


class LiveTable(_Display):
    """The picture as a page: the run, a row per job with a sparkline, the end of the log.

    Parameters
    ----------
    picture : Picture
        What is shown.
    console : rich.console.Console, optional
        Where to; standard output if left out.
    plain_every : float
        Seconds between lines where the output is no terminal.
    screen : bool
        Whether to take the whole terminal, and give it back at the end.

    Attributes
    ----------
    progress : float or None
        How much of a run of known length is done, 0 to 1: shown as a bar.

    Examples
    --------
    ::

        with LiveTable(picture) as table:
            while running:
                picture.take(kind, path, payload, now)
                table.update(now)
    """

    progress: float | None = None

    def _drawing(self, now: float) -> RenderableType:
        height = self._console.height if self._live is not None else None
        if self.progress is None:
            return page(self._picture, now, self._frame(height))
        bar = ProgressBar(total=1.0, completed=self.progress)
        shorter = None if height is None else height - 1
        return Group(bar, page(self._picture, now, self._frame(shorter)))

    def _lines(self, now: float) -> list[str]:
        jobs = (f"  {plain_job(job, now)}" for job in self._picture.jobs.values())
        share = "" if self.progress is None else f"   {self.progress:.0%} done"
        raised = alarm_lines(self._picture.raised(now), self._frame())
        alarms = [f"  {line.plain}" for line in raised]
        return [headline(self._picture, now, self._frame()).plain + share, *alarms, *jobs]


class StatusLine(_Display):
    """The picture in one line, at the foot of what else is written.

    Parameters
    ----------
    picture : Picture
        What is shown.
    console : rich.console.Console, optional
        Where to; standard output if left out. Log lines that go through the same console (or
        through ``sys.stdout`` and ``sys.stderr``) scroll above it.
    plain_every : float
        Seconds between lines where the output is no terminal.
    """

    def _drawing(self, now: float) -> RenderableType:
        line = self._line(now)
        line.no_wrap, line.overflow = True, "ellipsis"
        return line

    def _line(self, now: float) -> Text:
        line = headline(self._picture, now, self._frame())
        if self._picture.writer.trouble:
            line.append(f"   {words.clean(self._picture.writer.trouble)}", "bold red")
        for alarm in self._picture.raised(now)[:1]:
            line.append("   ").append_text(alarm_text(alarm, self._frame()))
        return line

    def _lines(self, now: float) -> list[str]:
        return [self._line(now).plain]
