"""The panes: the run and its writer, jobs, columns of the chosen one, hosts, the log.

Each draws its part of the picture when it is told to, in the words of `h5daq status`, and holds
the picture's lock only while it reads it.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from h5daq.monitor import words
from h5daq.monitor.frame import Frame, state_text
from h5daq.monitor.page import details, headline, log_line, needs_a_look, trouble
from h5daq.monitor.picture import Remark
from h5daq.monitor.sift import sift
from h5daq.monitor.table import job_lines
from h5daq.monitor.terminal.drawn import Drawn
from h5daq.monitor.terminal.lists import Entries
from h5daq.monitor.terminal.view import View

__all__ = ["ColumnsPane", "HeadPane", "HostsPane", "JobsPane", "LogPane"]


class HeadPane(Drawn):
    """The run, the writer, and what is wrong with it."""

    def show(self, view: View) -> None:
        """Draw it anew."""
        now, frame = view.clock(), Frame(self.size.width)
        with view.source.lock:
            lines = [headline(view.picture, now, frame), details(view.picture, now, frame)]
            lines += trouble(view.picture, now, frame)
        if view.source.trouble:
            lines.append(Text(words.clean(view.source.trouble, 300), "bold red"))
        self.put(lines)


class JobsPane(Entries):
    """The table of jobs."""

    TITLES = 1

    def __init__(self, view: View, moved: Callable[[], None]) -> None:
        super().__init__(moved, id="jobs")
        self.chosen = view.job
        self._view, self.border_title = view, "jobs"

    def names(self) -> list[str]:
        """By group."""
        with self._view.source.lock:
            return list(self._view.picture.jobs)

    def lines(self, names: list[str], width: int) -> list[Text]:
        """A table with as many columns as there is room for."""
        now = self._view.clock()
        with self._view.source.lock:
            known = self._view.picture.jobs
            jobs = [known[name] for name in names if name in known]
            lines = job_lines(jobs, now, Frame(width))
        return lines + [Text()] * (len(names) - len(jobs))

    def next_in_need(self) -> bool:
        """Put the cursor on the next job that somebody should look at; False if there is none."""
        now, place = self._view.clock(), self.place
        with self._view.source.lock:
            needy = [j.name for j in self._view.picture.jobs.values() if needs_a_look(j, now)]
        order = self._names[place + 1 :] + self._names[: place + 1]
        found = next((name for name in order if name in needy), None)
        if found is not None:
            self.choose(found)
        return found is not None


class ColumnsPane(Entries):
    """The columns of the chosen job with their newest values."""

    def __init__(self, view: View, moved: Callable[[], None]) -> None:
        super().__init__(moved, id="columns")
        self.chosen = view.label
        self._view, self.border_title = view, "newest row"

    def names(self) -> list[str]:
        """By label."""
        with self._view.source.lock:
            job = self._view.picture.jobs.get(self._view.job or "")
            return [] if job is None else job.labels

    def lines(self, names: list[str], width: int) -> list[Text]:
        """Label and value, as far apart as there is room."""
        with self._view.source.lock:
            job = self._view.picture.jobs.get(self._view.job or "")
            texts = ["" if job is None else job.text(name) for name in names]
        lines = []
        for name, text in zip(names, texts, strict=True):
            label = Text(words.clean(name), no_wrap=True)
            label.truncate(max(4, width - len(text) - 1), overflow="ellipsis")
            label.append(" " * max(1, width - label.cell_len - len(text))).append(text, "bold")
            lines.append(label)
        return lines


class HostsPane(Drawn):
    """The machines."""

    def on_mount(self) -> None:
        """What stands above it."""
        self.border_title = "hosts"

    def show(self, view: View) -> None:
        """Draw it anew."""
        frame, lines = Frame(self.size.width), []
        with view.source.lock:
            hosts = view.picture.hosts(view.clock())
        for host in hosts:
            line = Text().append_text(state_text(host.state, frame))
            line.append(f"  {words.clean(host.name, 40)}", "bold")
            held = f"held {words.count(host.held)}" if host.held else words.size(host.memory)
            jobs = f"{host.jobs} job{'s' * (host.jobs != 1)}"
            line.append("  ".join(["", jobs, f"{words.count(host.rate)}/s", held]), "dim")
            line.append(f"  lost {words.count(host.lost)}" if host.lost else "", "red")
            lines.append(line)
        self.put(lines or [Text("none yet", "dim")])


class LogPane(Entries):
    """The end of the log, or where the cursor is in it; at the end it follows."""

    def __init__(self, view: View) -> None:
        super().__init__(lambda: None, id="log")
        self._view = view
        self._remarks: dict[str, Remark] = {}
        self._title = ""

    def names(self) -> list[str]:
        """Each line's own, so that the cursor stays on it while lines come and go."""
        view = self._view
        with view.source.lock:
            remarks = list(view.picture.log)
        found = sift(remarks, view.wanted, warnings=view.warnings)
        self._remarks = {f"{id(remark)}": remark for remark in found}
        level = "warnings" if view.warnings else ""
        only = "  ".join(part for part in (level, words.clean(view.wanted, 60)) if part)
        title = f"log: {only}" if only else "log"
        if title != self._title:
            self.border_title, self._title = Text(title), title
        return list(self._remarks)

    def show(self) -> None:
        """Draw it; at its end, if that is where the cursor was."""
        follows = not self._names or self.chosen == self._names[-1]
        super().show()
        if follows and self._names and self.chosen != self._names[-1]:
            self.choose(self._names[-1])
            self.draw()

    def lines(self, names: list[str], width: int) -> list[Text]:
        """A line each, cut at the edge."""
        if not self._remarks:
            return [Text("nothing yet", "dim")]
        lines = [log_line(self._remarks[name], Frame(width)) for name in names]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return lines

    def _mark(self, line: Text) -> None:
        if self.has_focus:
            super()._mark(line)
