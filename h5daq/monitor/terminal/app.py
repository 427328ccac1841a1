"""``h5daq monitor``: the panes on a screen, keys for them, and orders to the run.

The app draws twice a second and asks nothing in doing so. Orders go out by threads of their
own, and what the writer says to them is shown: a key that may only look is told so. On a terminal
that is slow, drawings are left out; whoever feeds the picture is not held up.
"""

from __future__ import annotations

import getpass
import re
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
from h5daq.monitor.terminal.panes import ColumnsPane, HeadPane, HostsPane, JobsPane, LogPane
from h5daq.monitor.terminal.plot import PlotPane
from h5daq.monitor.terminal.view import Source, View

__all__ = ["MonitorApp"]

DRAWINGS_PER_SECOND = 2.0


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
        Binding("c", "comment", "comment", priority=True),
        Binding("left", "column(-1)", "the column before", show=False),
        Binding("right", "column(1)", "the next column", show=False),
        Binding("n", "next", "the next job in need of a look", show=False),
        Binding("slash", "filter", "filter", key_display="/", priority=True),
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
        # Kept here, and not looked for: a question may lie over the screen that they are on.
        self.head, self.hosts = HeadPane(id="head"), HostsPane(id="hosts")
        self.jobs = JobsPane(self.view, self._choose_job)
        self.columns = ColumnsPane(self.view, self._choose_column)
        self.plot, self.log_lines = PlotPane(self.view), LogPane(self.view)
        self.filter = Input(placeholder="words; -word leaves out; Esc shows all", id="filter")

    def compose(self) -> ComposeResult:
        """The panes, from top to bottom."""
        yield self.head
        yield self.jobs
        with Horizontal(id="middle"):
            yield self.plot
            with Vertical(id="side"):
                yield self.columns
                yield self.hosts
        yield self.log_lines
        yield self.filter
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Draw, and go on drawing."""
        self._watch()
        self.filter.display = False
        self.jobs.focus()
        self.set_interval(1.0 / DRAWINGS_PER_SECOND, self.draw)
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Show the picture as it is now."""
        self.head.show(self.view)
        self.hosts.show(self.view)
        for entries in (self.jobs, self.columns, self.log_lines):
            entries.show()
        self.plot.show()

    def picture(self) -> str:
        """What is on the screen, as SVG that needs nothing from the net."""
        self.draw()
        svg = self.export_screenshot(simplify=True)
        return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)

    # -- what is chosen --------------------------------------------------------------------------

    def _choose_job(self) -> None:
        self.view.job = self.jobs.chosen
        self._watch()
        self.columns.show()
        self.plot.show()

    def _choose_column(self) -> None:
        self.view.label = self.columns.chosen
        self.plot.show()

    def _watch(self) -> None:
        with self.view.source.lock:
            self.view.picture.watch(self.view.job)

    def action_column(self, by: int) -> None:
        """The next column of the job."""
        self.columns.action_move(by)

    def action_next(self) -> None:
        """The next job that somebody should look at."""
        if not self.jobs.next_in_need():
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Whether a key does this now.

        What begins the typing of text is done before any further key is looked at: else the first
        letters of the text could be orders. Where text is typed, they are letters again.
        """
        typing = len(self.screen_stack) > 1 or isinstance(self.screen.focused, Input)
        return not (typing and action in ("comment", "filter"))

    # -- the log ---------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Type words to look for."""
        self.filter.display = True
        self.screen.set_focus(self.filter)

    def action_warnings(self) -> None:
        """Leave out what is below a warning, or don't."""
        self.view.warnings = not self.view.warnings
        self.log_lines.show()

    def on_input_changed(self, changed: Input.Changed) -> None:
        """The log follows each letter."""
        self.view.wanted = changed.value
        self.log_lines.show()

    def on_input_submitted(self) -> None:
        """The words stay."""
        self.filter.display = False
        self.log_lines.focus()

    def key_escape(self) -> None:
        """Back to everything."""
        self.filter.value, self.filter.display = "", False
        self.screen.minimize()
        self.jobs.focus()

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
