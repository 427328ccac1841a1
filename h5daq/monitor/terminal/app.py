"""``h5daq monitor``: the panes on a screen, keys for them, and orders to the run.

The app draws a few times a second and asks nothing in doing so. Orders go out by threads of their
own, and what the writer says to them is shown: a key that may only look is told so. On a terminal
that is slow, drawings are left out; whoever feeds the picture is not held up.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, HelpPanel, Input

from h5daq.errors import H5daqError
from h5daq.monitor import words
from h5daq.monitor.terminal.ask import Question
from h5daq.monitor.terminal.lists import Entries
from h5daq.monitor.terminal.panes import ColumnsPane, HeadPane, HostsPane, JobsPane, LogPane
from h5daq.monitor.terminal.plot import PlotPane
from h5daq.monitor.terminal.view import Source, View

__all__ = ["MonitorApp"]

DRAWINGS_PER_SECOND = 4.0


class MonitorApp(App[None]):
    """The monitor.

    Parameters
    ----------
    source : Source
        The picture and what feeds it, as `h5daq.monitor.feed.Feed`.
    clock : callable
        Gives the time, UTC seconds.
    select : str, optional
        The column to begin with, as ``tank/temperature/T_top``.
    """

    CSS_PATH = "app.tcss"
    TITLE = "h5daq monitor"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "order('pause')", "pause"),
        Binding("r", "order('resume')", "resume"),
        Binding("t", "order('trigger')", "trigger"),
        Binding("c", "comment", "comment"),
        Binding("left", "column(-1)", "the column before", show=False),
        Binding("right", "column(1)", "the next column", show=False),
        Binding("n", "next", "the next job in need of a look", show=False),
        Binding("slash", "filter", "filter", key_display="/"),
        Binding("w", "warnings", "warnings"),
        Binding("z", "zoom", "zoom"),
        Binding("question_mark", "keys", "keys", key_display="?"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(
        self, source: Source, clock: Callable[[], float] = time.time, select: str | None = None
    ) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
        self.view = View(source, clock)
        if select is not None:
            self.view.job, _, self.view.label = select.strip("/").rpartition("/")

    def compose(self) -> ComposeResult:
        """The panes, from top to bottom."""
        yield HeadPane(id="head")
        yield JobsPane(self.view)
        with Horizontal(id="middle"):
            yield PlotPane(self.view)
            with Vertical(id="side"):
                yield ColumnsPane(self.view)
                yield HostsPane(id="hosts")
        yield LogPane(self.view)
        yield Input(placeholder="words to look for; -word leaves out; Esc shows all", id="filter")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Draw, and go on drawing."""
        self._watch()
        self.query_one("#filter").display = False
        self.query_one(JobsPane).focus()
        self.set_interval(1.0 / DRAWINGS_PER_SECOND, self.draw)
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Show the picture as it is now."""
        self.query_one(HeadPane).show(self.view)
        self.query_one(HostsPane).show(self.view)
        self.query_one(JobsPane).show()
        self.query_one(ColumnsPane).show()
        self.query_one(LogPane).show()
        self.query_one(PlotPane).show()

    def picture(self) -> str:
        """What is on the screen, as SVG."""
        self.draw()
        return self.export_screenshot(simplify=True)

    # -- what is chosen --------------------------------------------------------------------------

    def on_entries_moved(self, moved: Entries.Moved) -> None:
        """Another job, or another column of it."""
        if isinstance(moved.entries, JobsPane):
            self.view.job = moved.entries.chosen
            self._watch()
            self.query_one(ColumnsPane).show()
        if isinstance(moved.entries, ColumnsPane):
            self.view.label = moved.entries.chosen
        self.query_one(PlotPane).show()

    def _watch(self) -> None:
        with self.view.source.lock:
            self.view.picture.watch(self.view.job)

    def action_column(self, by: int) -> None:
        """The next column of the job."""
        self.query_one(ColumnsPane).action_move(by)

    def action_next(self) -> None:
        """The next job that somebody should look at."""
        if not self.query_one(JobsPane).next_in_need():
            self._say("no job needs a look")

    def action_keys(self) -> None:
        """All keys, beside the panes, or no longer."""
        if self.screen.query(HelpPanel):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def action_zoom(self) -> None:
        """The pane with the focus over the whole screen, and back."""
        if self.screen.maximized is None:
            self.screen.action_maximize()
        else:
            self.screen.minimize()

    # -- the log ---------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type words to look for."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_warnings(self) -> None:
        """Leave out what is below a warning, or don't."""
        self.view.warnings = not self.view.warnings
        self.query_one(LogPane).show()

    def on_input_changed(self, changed: Input.Changed) -> None:
        """The log follows each letter."""
        self.view.wanted = changed.value
        self.query_one(LogPane).show()

    def on_input_submitted(self) -> None:
        """The words stay."""
        self.query_one("#filter").display = False
        self.query_one(LogPane).focus()

    def key_escape(self) -> None:
        """Back to everything."""
        field = self.query_one("#filter", Input)
        field.value, field.display = "", False
        self.screen.minimize()
        self.query_one(JobsPane).focus()

    # -- orders ----------------------------------------------------------------------------------

    def action_order(self, verb: str) -> None:
        """Tell the chosen job."""
        job = self.view.job
        if job is not None:
            self._send(f"{verb} {job}", lambda: self.view.source.order(verb, [job]))

    def action_comment(self) -> None:
        """Ask for a comment and add it to the chosen job."""
        job = self.view.job
        if job is not None:
            question = Question(f"Comment on {words.clean(job)}: it goes into the file")
            self.push_screen(question, lambda text: self._comment(job, text))

    def _comment(self, job: str, text: str | None) -> None:
        if text:
            user = getpass.getuser()
            done = lambda: self.view.source.comment(job, text, user)  # noqa: E731
            self._send(f"comment on {job}", done)

    def _send(self, what: str, order: Callable[[], None]) -> None:
        def run() -> None:
            try:
                order()
            except H5daqError as error:
                self.call_from_thread(self._say, f"{what}: {error}", "error")
            else:
                self.call_from_thread(self._say, what)

        self.run_worker(run, thread=True, group="orders")

    def _say(self, text: str, severity: Any = "information") -> None:
        self.notify(words.clean(text, 400), severity=severity, markup=False)
