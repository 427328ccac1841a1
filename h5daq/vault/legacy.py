"""Datasets of the Data Vault's first days: a CSV file with the rows, an INI file with the rest.

They are read and never written. Each ``Dependent`` section has the legend under ``label`` and the
label under ``category``; sections count from 1. Parameters are data URLs or, before that, Python's
``repr`` of LabRAD values; numbers may be spelled as Windows did (``1.#IND``).
"""

from __future__ import annotations

import configparser
import errno
import io
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import FileDamaged, LabradError
from h5daq.flow.variables import Columns, Variable
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.storage.layouts.datavault_head import DatasetHead
from h5daq.storage.ondisk import naming
from h5daq.vault.labrad import DATA_URL, Quantity, from_data_url
from h5daq.vault.literal import parse_literal
from h5daq.vault.session import TIME_FORMAT

__all__ = ["LegacyReader", "parameter_value"]

VERSION = (1, 0, 0)
"""What such a dataset says of itself."""

_NUMBER = re.compile(r"1\.#(IND|QNAN|SNAN|INF)[0-9]*")


class LegacyReader:
    """A dataset of two files, for reading only.

    Parameters
    ----------
    path : Path
        One of them; the other has the same name with ``.csv`` or ``.ini``.

    Raises
    ------
    FileDamaged
        If the INI file does not describe a dataset.
    StorageError
        If a file can't be read.
    """

    writable = False

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name[:-4]}.csv")
        info = self.path.with_name(f"{path.name[:-4]}.ini")
        parser = configparser.RawConfigParser(strict=False)
        with naming(info, "can't be read"):
            data = info.read_bytes()
        try:
            parser.read_string(_decoded(data))
            self.head = _head(parser)
            self.parameters = _parameters(parser)
            self.comments = _comments(parser)
        except (configparser.Error, ValueError, TypeError, LookupError) as error:
            text = f"describes no dataset of the Data Vault: {error}"
            raise FileDamaged(errno.EINVAL, text, str(info)) from error
        self._known: tuple[tuple[int, int], NDArray[Any]] | None = None

    @property
    def rows(self) -> int:
        """Rows in the file by now."""
        return len(self._table())

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start … stop-1``, or fewer."""
        rows = np.array(self._table()[start:stop], order="C")
        return rows.view(self.head.columns.dtype).reshape(-1)

    def _table(self) -> NDArray[Any]:
        """All rows; read again when the file has changed."""
        if not self.path.exists():
            return np.empty((0, len(self.head.columns.all)))
        with naming(self.path, "can't be read"):
            stat = self.path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if self._known is None or self._known[0] != state:
                self._known = state, self._parse(self.path.read_bytes())
        return self._known[1]

    def _parse(self, data: bytes) -> NDArray[Any]:
        # What follows the last end of a line is being written at this moment.
        text = data[: data.rfind(b"\n") + 1].decode("latin-1")
        count = len(self.head.columns.all)
        if not text.strip():
            return np.empty((0, count))
        if "#" in text:
            text = _NUMBER.sub(lambda found: "inf" if found.group(1) == "INF" else "nan", text)
        try:
            table = np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2, comments=None)
        except ValueError as error:
            raise FileDamaged(errno.EINVAL, f"is no table: {error}", str(self.path)) from error
        if table.shape[1] != count:
            text = f"has {table.shape[1]} columns, and {count} are described"
            raise FileDamaged(errno.EINVAL, text, str(self.path))
        return table


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _head(parser: configparser.RawConfigParser) -> DatasetHead:
    general = parser["General"]
    sides = (
        tuple(_variable(parser[f"{kind} {k}"]) for k in range(1, int(general[kind]) + 1))
        for kind in ("Independent", "Dependent")
    )
    times = (_seconds(general.get(what, "")) for what in ("created", "modified", "accessed"))
    return DatasetHead(general["title"], Columns(*sides), False, VERSION, *times)


def _variable(section: configparser.SectionProxy) -> Variable:
    label, unit = section.get("label", ""), section.get("units", "")
    if "category" in section:
        return Variable(section["category"], label, unit=unit)
    return Variable(label, unit=unit)


def _parameters(parser: configparser.RawConfigParser) -> dict[str, str]:
    count = parser.getint("General", "parameters", fallback=0)
    sections = [parser[f"Parameter {k}"] for k in range(1, count + 1)]
    return {section["label"]: section["data"] for section in sections}


def _comments(parser: configparser.RawConfigParser) -> list[Comment]:
    count = parser.getint("General", "comments", fallback=0)
    texts = (parser.get("Comments", f"c{k}") for k in range(count))
    return [Comment(_seconds(when), user, text) for when, user, text in map(parse_literal, texts)]


def _seconds(text: str) -> float:
    try:
        return time.mktime(time.strptime(text, TIME_FORMAT))
    except (ValueError, TypeError, OverflowError):
        return 0.0


# -- values that were written with repr ---------------------------------------------------------


def parameter_value(text: str) -> Any:
    """The value of a parameter's text: a data URL, or what Python wrote before there were any.

    Returns
    -------
    object
        As `h5daq.vault.labrad.unflatten` gives it. An old text that can't be read is returned as
        it is.

    Raises
    ------
    LabradError
        If it is a damaged data URL.
    """
    if text.startswith(DATA_URL):
        return from_data_url(text)
    try:
        return parse_literal(text, _CALLS)
    except LabradError:
        return text


def _value(number: Any, unit: str | None = None) -> Any:
    return Quantity(number, unit) if unit else number


def _array(values: Any, unit: Any = None, **_dtype: Any) -> Any:
    return _value(np.array(values), unit if isinstance(unit, str) else None)


def _time(*parts: int) -> datetime:
    return datetime(*parts).astimezone(UTC)  # type: ignore[arg-type]


_CALLS: dict[str, Callable[..., Any]] = {
    "Value": _value,
    "Complex": _value,
    "ValueArray": _array,
    "DimensionlessArray": _array,
    "array": _array,
    "datetime": _time,
}
