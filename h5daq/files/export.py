"""Rows as files for other programs: CSV, Parquet, netCDF.

`export` reads block after block, so a recording of any size goes through a few megabytes of
memory, and a run that is still being recorded can be exported as far as it has come. What each
format does with a block stands in `h5daq.files.formats`.

A target that breaks off half-way would look like a whole one: it is written under another name
and gets its own with the last block.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from h5daq.errors import ConfigError, ConfigKeyError, StorageError
from h5daq.files.formats import FORMATS, Format
from h5daq.files.group import Group
from h5daq.files.recording import Recording
from h5daq.files.times import Moment
from h5daq.storage.runs.contents import TIME, ColumnInfo

__all__ = ["export"]

BLOCK_BYTES = 16 << 20
"""Bytes that are read in one go."""

Progress = Callable[[int, int], None]


def export(
    recording: Recording,
    target: str | os.PathLike[str],
    *,
    groups: Sequence[str] = (),
    columns: Sequence[str] = (),
    start: Moment | None = None,
    end: Moment | None = None,
    every: int = 1,
    format: str | None = None,  # noqa: A002 - the word that everybody uses for it
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write rows of a recording to files of another format.

    Parameters
    ----------
    recording : Recording
        What `h5daq.open` gives.
    target : path-like
        A file, if there is one group or the format takes several (netCDF); else a directory,
        which gets a file per group.
    groups : sequence of str
        Which groups; all if none is named.
    columns : sequence of str
        Which columns, beside ``time``; all if none is named.
    start, end : float, str, datetime or datetime64, optional
        Only rows with ``start <= time < end``.
    every : int
        Only each so-manieth row.
    format : {"csv", "parquet", "netcdf"}, optional
        By default what the suffix of `target` says: ``.csv``, ``.parquet``, ``.nc``.
    overwrite : bool
        Whether files that are there already are replaced.
    progress : callable, optional
        Told after each block how many rows are done, and of how many.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ConfigError
        If the format, a group or a column is unknown, or a column can't be put into the format.
    MissingExtra
        If the format needs a package that is not installed.
    StorageError
        If a target is there already, or can't be written.
    """
    if every < 1:
        raise ConfigError(f"every = {every} must be at least 1")
    path, form = Path(target), _format(Path(target), format)
    chosen = [recording[name].between(start, end)[::every] for name in groups or recording.groups]
    if columns:
        _check_columns(chosen, columns)
    plans = _plans(path, form, chosen)
    for file in plans:
        _check_free(file, overwrite)
    report = _Report(progress, sum(map(len, chosen)))
    for file, members in plans.items():
        _write(file, form, members, columns, report)
    return list(plans)


class _Report:
    """Adds up the rows that are done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def add(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            self._progress(self._done, self._total)


def _format(path: Path, wanted: str | None) -> type[Format]:
    for name, form in FORMATS.items():
        if wanted == name or (wanted is None and path.suffix == form.suffix):
            return form
    known = ", ".join(f"{name} ({form.suffix})" for name, form in FORMATS.items())
    found = f"format {wanted!r}" if wanted else f"the suffix of {path}"
    raise ConfigError(f"{found} is none of these: {known}")


def _check_columns(groups: Sequence[Group], columns: Sequence[str]) -> None:
    known = {label for group in groups for label in group.columns}
    for label in columns:
        if label not in known:
            raise ConfigKeyError(f"no column {label!r}; there are: {', '.join(sorted(known))}")


def _plans(path: Path, form: type[Format], groups: list[Group]) -> dict[Path, list[Group]]:
    """Which groups go to which file."""
    if form.many or (len(groups) == 1 and not path.is_dir()):
        return {path: groups}
    if path.suffix == form.suffix:
        names = ", ".join(group.name for group in groups)
        raise ConfigError(
            f"{path} can hold one group, and there are {len(groups)} ({names}): name one, or "
            f"give a directory and the format"
        )
    return {path / f"{group.name.replace('/', '.')}{form.suffix}": [group] for group in groups}


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise StorageError(errno.EEXIST, "is there already, and is not overwritten", str(path))


def _write(
    path: Path, form: type[Format], groups: list[Group], columns: Sequence[str], report: _Report
) -> None:
    fresh = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.callback(fresh.unlink, missing_ok=True)
            with form(fresh) as writer:
                for group in groups:
                    _write_group(writer, group, _labels(group, columns), report)
            fresh.replace(path)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        text = f"can't be written: {error.strerror or error}"
        raise StorageError(error.errno or errno.EIO, text, str(path)) from error


def _labels(group: Group, columns: Sequence[str]) -> list[str]:
    wanted = [label for label in group.columns if not columns or label in columns]
    return [TIME, *(label for label in wanted if label != TIME)]


def _write_group(writer: Format, group: Group, labels: list[str], report: _Report) -> None:
    writer.begin(group.name, {label: group.columns[label] for label in labels}, group.attrs)
    for block in group.blocks(_block_rows([group.columns[label] for label in labels])):
        found = block.read(*labels)
        writer.add({label: found[label] for label in labels})
        report.add(len(block))


def _block_rows(columns: Sequence[ColumnInfo]) -> int:
    sizes = (column.dtype.itemsize * _elements(column.shape) for column in columns)
    return max(1, BLOCK_BYTES // max(1, sum(sizes)))


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
