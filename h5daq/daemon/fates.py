"""What became of each job's worker, from one start to the next, for those who ask for the status.

A writer sees the messages of workers and nothing else: of one that died, and waits to be started
again, of one that was given up, or that a call holds fast, it would go on saying what was last
heard. So the daemon tells it, whenever that changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from h5daq.daemon.supervisor import Child
from h5daq.daemon.watch import Victim, Watch
from h5daq.daemon.writer_child import cause_of_death
from h5daq.jobs.job import DAQJob

__all__ = ["Fate", "Fates"]


class Fate:
    """The worker of one job, in all of its lives: who looks at it.

    Parameters
    ----------
    job : DAQJob
        Its job.
    stem : Path
        What the names of the files of its pulse begin with.
    """

    def __init__(self, job: DAQJob, stem: Path) -> None:
        self._job, self._stem = job, stem
        self._starts = 0
        self._watch: Watch | None = None

    def begin(self) -> Path:
        """A worker is to be started; the file of its pulse."""
        self.close()
        self._starts += 1
        # A new one each time: what the last worker forked may have the old one still.
        path = self._stem.with_name(f"{self._stem.name}.{self._starts}")
        self._watch = Watch(self._job.group, self._job.hang_timeout, path)
        return path

    def say(self, words: str) -> None:
        """It said its last words: why it ends, or nothing if all is done."""
        if self._watch is not None:
            self._watch.words, self._watch.over = words, True

    def look(self, process: Victim, now: float) -> None:
        """At a living worker."""
        if self._watch is not None:
            self._watch.look(process, now)

    def cause(self, status: int | None) -> str:
        """Why it died, in words."""
        return cause_of_death(status) if self._watch is None else self._watch.cause(status)

    def trouble(self, pid: int) -> str:
        """Why nothing is heard of a living worker; empty if that isn't so."""
        return "" if self._watch is None else self._watch.trouble(pid)

    @property
    def lost(self) -> bool:
        """Whether a living worker has been silent for so long that nobody waits for it."""
        return self._watch is not None and self._watch.lost

    def close(self) -> None:
        """Let go of the file."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None


class Fates:
    """The fates of all jobs.

    Parameters
    ----------
    jobs : iterable of DAQJob
        The jobs.
    directory : Path
        Where the files of their pulses lie.

    Attributes
    ----------
    told : dict
        By job its ``state`` and ``message``, where there is something to say.
    """

    def __init__(self, jobs: Iterable[DAQJob], directory: Path) -> None:
        self._fates = {job.group: Fate(job, directory / f"pulse-{n}") for n, job in enumerate(jobs)}
        self.told: dict[str, dict[str, str]] = {}

    def of(self, group: str) -> Fate:
        """The fate of one job."""
        return self._fates[group]

    def changed(self, workers: Sequence[Child]) -> bool:
        """Whether there is something else to say than the last time."""
        before = self.told
        pairs = ((child.name, self._of_child(child)) for child in workers)
        self.told = {name: fate for name, fate in pairs if fate}
        return self.told != before

    def forget(self) -> None:
        """Nothing was told to the writer that there is now."""
        self.told = {}

    def _of_child(self, child: Child) -> dict[str, str]:
        if child.finished:
            return {}
        if child.given_up:
            return {"state": "given up", "message": f"{child.cause}; it died too often"}
        if child.start_at is not None:
            return {"state": "restarting", "message": child.cause}
        process = child.process
        trouble = "" if process is None else self._fates[child.name].trouble(process.pid)
        return {"state": "silent", "message": trouble} if trouble else {}

    def close(self) -> None:
        """Let go of all files."""
        for fate in self._fates.values():
            fate.close()
