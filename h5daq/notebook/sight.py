"""What a plot in a notebook looks at: columns of jobs, found by their paths, as panels.

A path may mean a whole job or one column, and is looked up at each look: a job may be heard of only
after the plot was made. What can't be drawn says why in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from h5daq.monitor.archive import Archive
from h5daq.monitor.feed import Feed
from h5daq.monitor.job import JobPicture
from h5daq.monitor.picture import Picture
from h5daq.monitor.thin import MOST_LINES, as_image, as_lines
from h5daq.notebook.figure import Panel
from h5daq.notebook.rows import JobRows

__all__ = ["Sight"]

MOST_PANELS = 12
IMAGE_POINTS = 400
LINE_POINTS = 1500

Column = tuple[str, str]
"""Job and label."""


class Sight:
    """The columns that are looked at.

    Parameters
    ----------
    paths : sequence of str
        ``group`` for all columns of a job, ``group/label`` for one.
    seconds : float
        How far back curves go.
    most : int
        Points of a curve.
    """

    def __init__(self, paths: Sequence[str], seconds: float, most: int) -> None:
        self._paths, self._seconds, self._most = paths, seconds, most
        self._rows: dict[str, JobRows] = {}
        self._seen: object = None
        self._watched: str | None = None

    def look(
        self, feed: Feed, files: Callable[[], Archive | None], *, anew: bool = False
    ) -> list[Panel] | None:
        """The panels; None if nothing is new since the last look.

        Parameters
        ----------
        feed : Feed
            Its picture is looked at.
        files : callable
            Gives the run's files, where they are to be had; called only when there is need.
        anew : bool
            Whether to read the files whatever was read before.
        """
        with feed.lock:
            found = [self._columns(path, feed.picture) for path in self._paths]
            columns = [column for each in found if not isinstance(each, str) for column in each]
            jobs = [feed.picture.jobs[name] for name in dict.fromkeys(job for job, _ in columns)]
            in_file = {job.name: job.in_file for job in jobs}
            seen = found, [_looked(job) for job in jobs]
            self._hear(feed.picture, columns)
        wanted = [name for name in in_file if anew or self._rows[name].wants(in_file[name])]
        if seen == self._seen and not wanted:
            return None
        self._seen = seen
        archive = files() if wanted else None
        if archive is not None:
            for name in wanted:
                labels = [label for job, label in columns if job == name]
                self._rows[name].read(archive, in_file[name], labels)
        with feed.lock:
            panels = [panel for each in found for panel in self._panels(each, feed.picture)]
        return panels[:MOST_PANELS]

    # -- under the feed's lock -----------------------------------------------------------------

    def _hear(self, picture: Picture, columns: list[Column]) -> None:
        for name in dict.fromkeys(job for job, _ in columns):
            rows = self._rows.setdefault(name, JobRows(name, self._seconds))
            rows.hear(picture.jobs[name], [label for job, label in columns if job == name])
        known = [picture.jobs[name] for name in self._rows if name in picture.jobs]
        unknown = [job.name for job in known if job.rows and job.units is None]
        large = [job for job, label in columns if label in picture.jobs[job].shapes]
        # Each is described once. The writer is then asked for the large arrays of one job; of
        # others the files tell.
        job = next(iter([*unknown, *large, *self._rows]), None)
        if job != self._watched:
            picture.watch(job)
            self._watched = job

    def _columns(self, path: str, picture: Picture) -> list[Column] | str:
        """The columns that a path means, or what is to be said while it means none."""
        job, _, label = path.rpartition("/")
        if path in picture.jobs:
            labels = picture.jobs[path].labels
            return [(path, label) for label in labels] or f"no row of {path} yet"
        if job not in picture.jobs:
            known = ", ".join(picture.jobs) or "none yet"
            return f"waiting for {path}; jobs that are known: {known}"
        labels = picture.jobs[job].labels
        if labels and label not in labels:
            return f"no column {label!r} in {job}; it has: {', '.join(labels)}"
        return [(job, label)]

    def _panels(self, found: list[Column] | str, picture: Picture) -> list[Panel]:
        if isinstance(found, str):
            return [Panel(found, note=" ")]
        return [
            self._panel(picture.jobs[job], label) for job, label in found if job in picture.jobs
        ]

    def _panel(self, job: JobPicture, label: str) -> Panel:
        rows = self._rows[job.name]
        unit = rows.units.get(label) or (job.units or {}).get(label, "")
        title = f"{job.name}/{label}" + (f" [{unit}]" if unit else "")
        array = rows.array(label)
        if label in job.shapes or array is not None:
            if array is None or not array.size:
                return Panel(title, note="the newest array is not known yet")
            if array.ndim > 2 or (array.ndim == 2 and len(array) > MOST_LINES):
                return Panel(title, image=as_image(array, IMAGE_POINTS))
            x, lines = as_lines(array, LINE_POINTS)
            return Panel(title, [(x, line) for line in lines], is_time=False)
        newest = f" = {job.text(label)}" if label in job.last else ""
        return Panel(title + newest, [rows.curve(label, self._most)], note="no numbers yet")


def _looked(job: JobPicture) -> tuple[object, ...]:
    """What is another one when there is something new to see of a job."""
    return job.rows, job.last_time, job.in_file, job.peeked, job.glimpsed, len(job.shapes)
