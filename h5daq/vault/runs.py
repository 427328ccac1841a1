"""The runs in the vault's tree: a directory each, and in it the jobs as datasets.

A run has the path of its name; its jobs' groups are directories below it, and the last part of a
group is the dataset's name. Of several runs of one name the newest has it, and the others have
the time of their start behind it: ``tank@20261121T093000.000Z``. Nothing of this is on disk but the
run files themselves, in whichever way they are named; what is recorded at this moment is told by
the `Recorder`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from h5daq.errors import ReadOnly, StorageError
from h5daq.flow.names import run_path
from h5daq.flow.rollover import stamp
from h5daq.storage.layouts.run_notes import read_tags
from h5daq.storage.runs.catalog import Catalog
from h5daq.storage.runs.job_files import JobFiles
from h5daq.storage.runs.order import Run
from h5daq.vault.job_dataset import JobDataset
from h5daq.vault.job_store import JobStore, Recorder
from h5daq.vault.names import VaultPath, number_of, path_of

__all__ = ["Runs"]

log = logging.getLogger("h5daq.vault")

_PATIENCE = 1.0
"""Seconds to wait for a file that somebody else has locked."""


class _Job(NamedTuple):
    """A job of a run."""

    run: str
    group: str


@dataclass(slots=True)
class _Node:
    """A directory of the tree: what is in it; the run that it belongs to, and its group there."""

    run: str = ""
    group: str = ""
    directories: dict[str, None] = field(default_factory=dict)
    jobs: dict[str, _Job] = field(default_factory=dict)


class Runs:
    """The runs whose files lie in a directory.

    Parameters
    ----------
    directory : Path
        The vault's root.
    recorder : Recorder, optional
        Who records one of them.
    """

    def __init__(self, directory: Path, recorder: Recorder | None = None) -> None:
        self._directory = directory
        self._catalog = Catalog(
            directory,
            "all",
            _PATIENCE,
            skip=_tell,
            latest=recorder is not None,
            leave_out=lambda path: not _may_be_run(path.name),
        )
        self._recorder = recorder
        self._known: tuple[object, dict[VaultPath, _Node]] | None = None

    # -- what there is ---------------------------------------------------------------------------

    def has(self, path: VaultPath) -> bool:
        """Whether there is such a directory, of a run or above one."""
        return path in self._tree()

    def owns(self, path: VaultPath) -> bool:
        """Whether a directory is that of a run, or in one."""
        tree = self._tree()
        return any(
            path[:depth] in tree and tree[path[:depth]].run for depth in range(2, len(path) + 1)
        )

    def contents(self, path: VaultPath) -> tuple[list[str], list[str]]:
        """Names of the directories and of the jobs in a directory, in order."""
        node = self._tree().get(path, _Node())
        return sorted(node.directories), sorted(node.jobs)

    def find(self, path: VaultPath, which: str | int) -> str | None:
        """The name of a job, by that or by its number; None if there is none.

        Jobs are numbered from 1 in each directory, in the order in which they appeared.
        """
        names = list(self._tree().get(path, _Node()).jobs)
        if isinstance(which, int):
            return names[which - 1] if 0 < which <= len(names) else None
        return which if which in names else None

    def open(self, path: VaultPath, name: str) -> JobDataset | None:
        """The dataset of a job; None if there is none."""
        job = self._tree().get(path, _Node()).jobs.get(name)
        if job is None:
            return None
        files = JobFiles(self._catalog, lambda: self._run(job.run), job.group)
        return JobDataset(name, job.group, JobStore(name, files, self._recording(job.run)))

    def _recording(self, run: str) -> Recorder | None:
        live = self._recorder is not None and self._recorder.run_id == run
        return self._recorder if live else None

    # -- tags ------------------------------------------------------------------------------------

    def tags(self, path: VaultPath) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
        """Tags of the directories and jobs in a directory."""
        node = self._tree().get(path, _Node())
        # A job and a directory may be one group, and then have the same tags.
        found = {name: self._tags(node, name) for name in {**node.directories, **node.jobs}}
        return {n: found[n] for n in node.directories}, {n: found[n] for n in node.jobs}

    def _tags(self, node: _Node, name: str) -> frozenset[str]:
        group, tags = f"{node.group}/{name}".strip("/"), list[str]()
        for head in self._files(node.run):
            found = self._catalog.look(head, f"tags {group}", lambda file: _tags(file, group))
            tags = tags if found is None else found
        live = self._recording(node.run)
        for _, note in live.notes(group) if live is not None else ():
            tags = list(note.value) if note.kind == "tags" else tags
        return frozenset(tags)

    def tag_notes(self, path: VaultPath, tags: Mapping[str, Iterable[str]]) -> list[list[Any]]:
        """New tags of what is in a directory, as notes for the journal.

        Raises
        ------
        ReadOnly
            If the run is over, or the directory none of a run's, or something is not in it.
        """
        node = self._tree().get(path, _Node())
        if self._recording(node.run) is None:
            raise ReadOnly(f"{'/'.join(path)} is of a run that is over: its tags stay as they are")
        for name in tags:
            if name not in node.directories and name not in node.jobs:
                raise ReadOnly(f"{'/'.join(path)} is of a run, and has no {name!r} to be tagged")
        return [[f"{node.group}/{n}".strip("/"), "tags", sorted(t)] for n, t in tags.items()]

    # -- the tree --------------------------------------------------------------------------------

    def _runs(self) -> list[Run]:
        try:
            return self._catalog.runs()
        except StorageError as error:
            log.debug("no runs to be shown: %s", error)
            return []

    def _run(self, run: str) -> Run | None:
        return next((one for one in self._runs() if one.id == run), None)

    def _files(self, run: str) -> tuple[Any, ...]:
        found = self._run(run)
        return found.files if found is not None else ()

    def _tree(self) -> dict[VaultPath, _Node]:
        """The directories of all runs; made anew when a file of the directory is another."""
        signature = self._signature()
        if self._known is None or self._known[0] != signature:
            tree, sure = self._made(), not self._catalog.unreadable
            self._known = (signature, tree) if sure else None
            return tree
        return self._known[1]

    def _signature(self) -> object:
        live = self._recorder
        now = None if live is None else (live.run_id, live.run_path, tuple(live.jobs()))
        try:
            with os.scandir(self._directory) as entries:
                stats = {entry.name: entry.stat() for entry in entries if _may_be_run(entry.name)}
        except OSError:
            # Somebody changes it just now; or it is away, which a closer look will say.
            return object()
        return now, [(n, s.st_ino, s.st_mtime_ns, s.st_size) for n, s in sorted(stats.items())]

    def _made(self) -> dict[VaultPath, _Node]:
        tree: dict[VaultPath, _Node] = {("",): _Node()}
        taken: set[VaultPath] = set()
        if self._recorder is not None:
            place = path_of(self._recorder.run_path)
            taken.add(place)
            _plant(tree, place, self._recorder.run_id, self._jobs_now(self._recorder))
        for run in reversed(self._runs()):
            jobs = self._jobs_of(run) if self._recording(run.id) is None else []
            if jobs:
                place = _free(path_of(run_path(run.name)), run, taken)
                taken.add(place)
                _plant(tree, place, run.id, jobs)
        return tree

    def _jobs_of(self, run: Run | None) -> list[str]:
        heads = run.files if run is not None else ()
        return list(dict.fromkeys(name for head in heads for name in self._names(head)))

    def _names(self, head: Any) -> tuple[str, ...]:
        try:
            return self._catalog.names(head)
        except StorageError as error:
            log.warning("%s", error)
            return ()

    def _jobs_now(self, recorder: Recorder) -> list[str]:
        filed = self._jobs_of(self._run(recorder.run_id))
        return list(dict.fromkeys([*filed, *recorder.jobs()]))


def _may_be_run(name: str) -> bool:
    """Whether a file may be one of a run, or the log of such a one: datasets have numbers."""
    name = name[1 : -len(".redo")] if name[:1] == "." and name.endswith(".redo") else name
    return name.endswith("5") and ".h" in name and number_of(name) is None


def _free(place: VaultPath, run: Run, taken: set[VaultPath]) -> VaultPath:
    if place not in taken:
        return place
    dated = f"{place[-1]}@{stamp(run.start or 0.0)}"
    names = (dated, *(f"{dated}-{count}" for count in range(2, len(taken) + 3)))
    return next(path for name in names if (path := (*place[:-1], name)) not in taken)


def _plant(tree: dict[VaultPath, _Node], place: VaultPath, run: str, jobs: Iterable[str]) -> None:
    """Put a run into the tree."""
    for depth in range(1, len(place)):
        tree.setdefault(place[:depth], _Node()).directories[place[depth]] = None
    node = tree.setdefault(place, _Node())
    node.run, node.group = run, ""
    for job in jobs:
        *above, name = job.split("/")
        path = place
        for depth, part in enumerate(above):
            tree[path].directories[part] = None
            path = (*path, part)
            tree.setdefault(path, _Node(run, "/".join(above[: depth + 1])))
        tree[path].jobs[name] = _Job(run, job)


def _tags(file: Any, group: str) -> list[str] | None:
    return read_tags(file[group]) if group in file else None


def _tell(path: Path, reason: str) -> None:
    log.info("left out %s: %s", path, reason)
