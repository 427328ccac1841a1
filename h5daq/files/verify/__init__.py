"""Are run files what h5daq wrote? For the day when a disk, a copy or a program has gone wrong.

`verify` looks at the head of each file, at its layout, and at every stored byte that has a
checksum; then at the files of a run as a chain, and at what the vault's directories remember. What
it finds is said in words, with what to do about it. It never writes, works on files that are being
recorded, and no damage makes it fail: HDF5 is asked in a process of its own, so that even a crash
of the library is a finding.

::

    verify ── watching ─(process)─ child ── file ┬── head       superblock, redo log, length
      │                                          ├── walk       objects, attributes, links
      ├── chain   files of a run                 ├── layout     root, jobs, columns; plots
      └── session directories of the vault       ├── places     where each chunk lies
                                                 ├── raw        stored bytes and their checksums
                                                 ├── readback   what only HDF5 can judge
                                                 └── times      order, and within the file's span
"""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from h5daq.errors import StorageError
from h5daq.files.verify.chain import check_chain
from h5daq.files.verify.report import ERROR, NOTE, WARNING, FileReport, Finding, Report
from h5daq.files.verify.session import check_sessions
from h5daq.files.verify.watching import check_in_child
from h5daq.storage.recover import below
from h5daq.storage.runs.catalog import RUN_FILES, Source

__all__ = ["ERROR", "NOTE", "WARNING", "FileReport", "Finding", "Report", "verify"]


def verify(
    paths: Source,
    *,
    quick: bool = False,
    patience: float = 5.0,
    progress: Callable[[str, int, int], object] | None = None,
) -> Report:
    """Verify run files; other HDF5 files, too, as far as that goes.

    Parameters
    ----------
    paths : path-like, str or list
        Files, directories (their files named ``*.h5`` or ``*.hdf5``, and those of the vault's
        directories below) and patterns with ``*``.
    quick : bool
        Look at structure only; values and their checksums are left alone.
    patience : float
        Seconds to wait for a file that is busy.
    progress : callable, optional
        Called with the name of the file at hand, and with the bytes done and in all, of all files.

    Returns
    -------
    Report
        ``report.ok`` is False if there is damage; ``report.findings()`` says what.

    Raises
    ------
    StorageError
        If there is no such file or directory, or a directory without any file.

    Examples
    --------
    >>> import h5py, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/other.h5", "w") as file:
    ...         file["x"] = [1, 2, 3]
    ...     report = verify(folder)
    >>> report.ok, report.files[0].what
    (True, 'foreign')
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files = _files(given)
    reports: dict[Path, FileReport] = {}
    while files:
        step = None if progress is None else _Sum(files, progress).add
        done = check_in_child(files, quick=quick, patience=patience, progress=step)
        reports.update(zip(files, done, strict=True))
        files = _new_files(given, reports)
    report = Report(_without_old_names(reports), quick)
    if len(report.files) > 1 or any(Path(path).is_dir() for path in given):
        check_chain(report.files)
    for directory in (path for path in map(Path, given) if path.is_dir()):
        report.files += check_sessions(directory)
    return report


def _new_files(
    given: Iterable[str | os.PathLike[str]], known: Mapping[Path, FileReport]
) -> list[Path]:
    """Files that a run has begun, or given another name, since its directory was looked at."""
    directories = [Path(path) for path in given if Path(path).is_dir()]
    return [path for each in directories for path in _run_files(each) if path not in known]


def _without_old_names(reports: Mapping[Path, FileReport]) -> list[FileReport]:
    """Without those files that were checked once more under the name that they have by now."""
    ids = {report.head.get("file_id") for path, report in reports.items() if path.exists()}
    kept = []
    for path, report in reports.items():
        if path.exists() or report.head.get("file_id") not in ids - {None}:
            kept.append(report)
    return kept


class _Sum:
    """Turns bytes of one file into bytes of all."""

    def __init__(self, files: list[Path], tell: Callable[[str, int, int], object]) -> None:
        self._sizes = {str(path): _size(path) for path in files}
        self._tell, self._total = tell, sum(self._sizes.values())
        self._file, self._before, self._done = "", 0, 0

    def add(self, path: str, nbytes: int) -> None:
        """So many more bytes of a file are checked."""
        if path != self._file:
            # What a file has beside its chunks is done with it.
            self._before += self._sizes.get(self._file, 0)
            self._file, self._done = path, 0
        self._done = min(self._done + nbytes, self._sizes.get(path, 0))
        self._tell(path, self._before + self._done, self._total)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _files(given: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The files meant, each once."""
    found: dict[Path, None] = {}
    for source in given:
        found.update(dict.fromkeys(_expanded(source)))
    return list(found)


def _expanded(source: str | os.PathLike[str]) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        files = _run_files(path)
        if not files and next(below(path), None) is None:
            raise StorageError(errno.ENOENT, "no file named *.h5 or *.hdf5 in it", str(path))
        return files
    if path.is_file():
        return [path]
    if path.exists():
        raise StorageError(errno.EINVAL, "is neither a file nor a directory", str(path))
    if glob.has_magic(str(source)):
        files = [Path(name) for name in sorted(glob.glob(str(source), recursive=True))]
        if files:
            return [p for p in files if p.is_file()]
    raise StorageError(errno.ENOENT, "there is no such file", str(path))


def _run_files(directory: Path) -> list[Path]:
    places = [directory, *sorted(_shown(directory, found) for found in below(directory))]
    return [file for place in places for file in sorted(place.glob(RUN_FILES)) if file.is_file()]


def _shown(directory: Path, found: Path) -> Path:
    """The directory as it was asked for."""
    return directory / found.relative_to(directory.absolute())
