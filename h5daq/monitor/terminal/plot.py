"""The pane with the curve of the chosen column."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from h5daq.canvas import Size
from h5daq.monitor.terminal.figure import figure
from h5daq.monitor.terminal.view import View

__all__ = ["PlotPane"]


class PlotPane(Widget, can_focus=True):
    """Over time, or of an array the newest one."""

    ALLOW_MAXIMIZE = True

    def __init__(self, view: View) -> None:
        super().__init__(id="plot")
        self._view = view

    def show(self) -> None:
        """Draw it anew."""
        with self._view.source.lock:
            job = self._view.picture.jobs.get(self._view.job or "")
            title = job.heading(self._view.label) if job and self._view.label else ""
        self.border_title = Text(title)
        self.refresh()

    def render(self) -> Text:
        """The curve, or why there is none."""
        view, size = self._view, Size(self.size.width, self.size.height)
        with view.source.lock:
            job = view.picture.jobs.get(view.job or "")
            if job is None or view.label not in job.labels:
                return Text("no column is chosen", "dim")
            return figure(job, view.label, size)
