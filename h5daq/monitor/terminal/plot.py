"""The pane with the curve of the chosen column."""

from __future__ import annotations

from rich.text import Text

from h5daq.canvas import Size
from h5daq.monitor.terminal.drawn import Drawn
from h5daq.monitor.terminal.figure import Known, figure, known
from h5daq.monitor.terminal.view import View

__all__ = ["PlotPane"]


class PlotPane(Drawn, can_focus=True):
    """Over time, or of an array the newest one."""

    ALLOW_MAXIMIZE = True

    def __init__(self, view: View) -> None:
        super().__init__(id="plot")
        self._view, self._title = view, ""

    def show(self) -> None:
        """Draw the curve anew, or say why there is none."""
        view, title, column = self._view, "", Known(note="no column is chosen")
        with view.source.lock:
            job = view.picture.jobs.get(view.job or "")
            if job is not None and view.label in job.labels:
                title, column = job.heading(view.label), known(job, view.label)
        if title != self._title:
            self.border_title, self._title = Text(title), title
        drawn = figure(column, Size(self.size.width, self.size.height))
        self.put(list(drawn.split("\n")))

    def on_resize(self) -> None:
        """Another size, another drawing."""
        self.show()
