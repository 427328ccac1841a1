"""`live`: a plot in a notebook's cell that a thread keeps up to date.

The thread draws a few times per second at most, and only when there is something new; it waits for
neither the kernel nor the run, and they don't wait for it. It ends with the run, by `stop`, or with
the kernel, and leaves the last drawing in the cell.
"""

from __future__ import annotations

import atexit
import contextvars
import math
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from h5daq.client import Keys
from h5daq.client import connect as connect_to
from h5daq.errors import ConfigError, H5daqError
from h5daq.files.recent import Recent
from h5daq.monitor.feed import Feed
from h5daq.monitor.words import clean
from h5daq.notebook.figure import Panel, drawing
from h5daq.notebook.sight import Sight

if TYPE_CHECKING:
    from h5daq.client import Client

__all__ = ["Canvas", "LivePlot", "live"]

FRAME_SECONDS = 0.25
"""The least time between two drawings; more where drawing takes long, to leave the kernel alone."""

SHARE = 10.0
"""Of the time, at most one part in so many goes into drawing."""

QUIET_SECONDS = 1.5
"""A writer beats once a second; after so long without one the files are asked for the run's end."""

GONE_SECONDS = 30.0
"""A writer that was not heard of for so long has gone, whatever the files say."""


class Canvas(Protocol):
    """Where drawings go: an `IPython.display.DisplayHandle`."""

    def display(self, obj: Any, **kwargs: Any) -> None:
        """Make it stand there."""
        ...

    def update(self, obj: Any, **kwargs: Any) -> None:
        """Put another one in its place."""
        ...


def live(
    datasets: str | Sequence[str],
    *,
    connect: str | None = None,
    directory: str | os.PathLike[str] | None = None,
    keys: Keys | None = None,
    seconds: float = 300.0,
    rows: int = 1000,
) -> LivePlot:
    """Show a live plot of a run in a Jupyter notebook.

    It begins with the rows that are in the files, where they are on this machine, and goes on with
    what the writer's signals tell: at most some 20 rows per second; each checkpoint brings in the
    others. Scalar columns are drawn over time, an array as its newest row, a large 2-D one as an
    image. It works in JupyterLab, the classic notebook and VS Code without any extension.

    Parameters
    ----------
    datasets : str or sequence of str
        ``"group/label"`` for a column, ``"group"`` for all of a job; each gets axes of its own.
        A job that is not known yet is waited for.
    connect : str, optional
        The writer's requests endpoint, e.g. ``tcp://daq0:5570``.
    directory : str or Path, optional
        Where a local writer runs; looked at if there is no `connect` (``.`` by default).
    keys : str or Path, optional
        For a writer with keys: a key file or a directory with one.
    seconds : float
        How far back curves go.
    rows : int
        Most points of a curve; of more rows the least and the largest of each stretch are drawn.

    Returns
    -------
    LivePlot
        The plot, which goes on by itself: `LivePlot.stop` ends it, and so do the end of the run and
        that of the kernel.

    Raises
    ------
    ConfigError
        If this is no notebook (use ``h5daq monitor`` in a terminal, ``h5daq web`` in a browser), or
        an argument can't be used.
    NoAnswer
        If no writer is found, or it does not answer.
    NotAllowed
        If the key may not look.

    Examples
    --------
    >>> import h5daq
    >>> plot = h5daq.live("tank/temperature", directory="data", seconds=60)  # doctest: +SKIP
    >>> plot.stop()  # doctest: +SKIP
    """
    paths = _checked(datasets, seconds, rows)
    canvas = _canvas(paths, directory)

    def dial() -> Client:
        return connect_to(connect, directory=directory, keys=keys)

    return LivePlot(Feed(dial), Sight(paths, seconds, rows), canvas)


class LivePlot:
    """A plot that goes on by itself; made by `live`.

    Parameters
    ----------
    feed : Feed
        The model of the running system; closed at the end.
    sight : Sight
        What is looked at.
    canvas : Canvas
        Where it is drawn.
    """

    def __init__(self, feed: Feed, sight: Sight, canvas: Canvas) -> None:
        self._feed, self._sight, self._canvas = feed, sight, canvas
        with feed.lock:
            self._run, where = feed.picture.writer.run_id, feed.picture.writer.directory
        self._archive = Recent(where) if where and Path(where).is_dir() else None
        self._panels: list[Panel] = []
        self._foot = ""
        self._end = threading.Event()
        self._pause = FRAME_SECONDS
        self._canvas.display(self._bundle("looking"), raw=True)
        # In the cell's own context: what is drawn later belongs to that cell.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._go_on,), name="h5daq live", daemon=True
        )
        atexit.register(self.stop)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive() and not self._end.is_set()

    def stop(self) -> None:
        """End it; the last drawing stays. Twice does no harm."""
        self._end.set()
        self._thread.join()

    def __repr__(self) -> str:
        return f"<LivePlot: {self._foot or 'looking'}>"

    # -- the thread ------------------------------------------------------------------------------

    def _go_on(self) -> None:
        try:
            why = ""
            while not why:
                stopped = self._end.wait(self._pause)
                why = "stopped" if stopped else self._over(time.time())
                self._show(why or self._state(), last=bool(why))
        finally:
            self._end.set()
            self._feed.close()
            atexit.unregister(self.stop)

    def _show(self, foot: str, *, last: bool) -> None:
        begin = time.monotonic()
        panels = None if self._another() else self._sight.look(self._feed, self._files, anew=last)
        if panels is None and foot == self._foot:
            return
        self._panels = self._panels if panels is None else panels
        bundle = self._bundle(foot)
        self._canvas.update(bundle, raw=True)
        self._pause = max(FRAME_SECONDS, SHARE * (time.monotonic() - begin))

    def _bundle(self, foot: str) -> dict[str, str]:
        self._foot = foot
        titles = [panel.title for panel in self._panels]
        return {
            "image/svg+xml": drawing(self._panels, foot),
            "text/plain": "\n".join([*titles, foot]),
        }

    def _state(self) -> str:
        now = time.time()
        with self._feed.lock:
            picture = self._feed.picture
            name, alarms = picture.writer.run_name or "run", picture.raised(now)
        where = "recording" if self._archive else "recording on another machine"
        if not alarms:
            return f"{name}: {where}"
        more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
        return f"{name}: {alarms[0].level}: {clean(alarms[0].text)}{more}"

    # -- the end of the run ----------------------------------------------------------------------

    def _over(self, now: float) -> str:
        """Why nothing more will come; empty while something may."""
        with self._feed.lock:
            heard = self._feed.picture.heard
        quiet = 0.0 if heard is None else now - heard
        if self._another() or (quiet > QUIET_SECONDS and self._has_ended()):
            return "the run has ended"
        return "the writer has gone" if quiet > GONE_SECONDS else ""

    def _another(self) -> bool:
        """Whether the writer tells of another run by now."""
        with self._feed.lock:
            return self._feed.picture.writer.run_id not in ("", self._run)

    def _has_ended(self) -> bool:
        attrs = self._attrs()
        end = attrs.get("run_end")
        ended = isinstance(end, float) and math.isfinite(end)
        return bool(attrs) and (ended or attrs.get("run_id") != self._run)

    def _files(self) -> Recent | None:
        """The run's files; none if the directory has another run's, or none yet."""
        return self._archive if self._attrs().get("run_id") == self._run else None

    def _attrs(self) -> dict[str, Any]:
        try:
            return {} if self._archive is None else self._archive.attrs()
        except H5daqError:
            return {}


# -- arguments -------------------------------------------------------------------------------------


def _checked(datasets: str | Sequence[str], seconds: float, rows: int) -> list[str]:
    given = [datasets] if isinstance(datasets, str) else datasets
    if not isinstance(given, Sequence) or not all(isinstance(path, str) for path in given):
        raise ConfigError(f"live: datasets must be a path or a list of paths, not {datasets!r}")
    paths = [path.strip("/") for path in given]
    if not paths or not all(paths):
        raise ConfigError(f"live: no dataset in {datasets!r}; one is like 'tank/temperature'")
    if not (seconds > 0 and rows >= 2):
        raise ConfigError(f"live: seconds={seconds!r} must be positive, rows={rows!r} at least 2")
    return paths


def _canvas(paths: list[str], directory: str | os.PathLike[str] | None) -> Canvas:
    """A display of the notebook that this is, if it is one."""
    # Whoever is in a notebook has loaded it.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or type(shell).__name__ == "TerminalInteractiveShell":
        where = f" --directory {os.fspath(directory)}" if directory is not None else ""
        raise ConfigError(
            f"live draws {', '.join(paths)} in a Jupyter notebook, and this is none: use "
            f"`h5daq monitor{where}` in a terminal, or `h5daq web{where}` in a browser"
        )
    from IPython.display import DisplayHandle

    handle: Canvas = DisplayHandle()  # type: ignore[no-untyped-call, unused-ignore]
    return handle
