"""The rows of a vault's dataset for people: an overview, lines of text, files of other formats.

Rows are read block by block, so a dataset of any size goes through a few megabytes.
"""

from __future__ import annotations

import errno
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ConfigError, StorageError
from h5daq.files.times import iso
from h5daq.monitor.words import clean
from h5daq.vault.labrad import Quantity

if TYPE_CHECKING:
    from h5daq.cli.vault import Source

__all__ = ["Overview", "plain", "row_lines", "write"]

_BLOCK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Overview:
    """What is to be said of a dataset in a few lines."""

    name: str
    columns: list[dict[str, Any]]
    rows: int
    first: Any
    last: Any
    parameters: dict[str, Any]
    comments: list[Any]

    @classmethod
    def of(cls, vault: Source, name: str) -> Overview:
        """Of the open dataset."""
        rows, first, last = 0, None, None
        for block in _blocks(vault):
            rows += len(block)
            first = plain(block[0]) if first is None else first
            last = plain(block[-1])
        parameters, comments = _notes(vault)
        return cls(name, _columns(vault), rows, first, last, parameters, comments)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name, "columns": self.columns, "rows": self.rows, "first": self.first,
            "last": self.last, "parameters": {k: plain(v) for k, v in self.parameters.items()},
            "comments": [said._asdict() for said in self.comments],
        }  # fmt: skip

    def text(self) -> str:
        """For people."""
        lines = [f"{clean(self.name)}  {self.rows:,} rows", *map(_column_line, self.columns)]
        if self.rows:
            lines += [f"  first  {clean(str(self.first))}", f"  last   {clean(str(self.last))}"]
        lines += [f"  {clean(k)} = {clean(str(v))}" for k, v in self.parameters.items()]
        lines += [
            f"  {iso(said.time)}  {clean(said.user)}: {clean(said.comment)}"
            for said in self.comments
        ]
        return "\n".join(lines)


def _notes(vault: Source) -> tuple[dict[str, Any], list[Any]]:
    from h5daq.vault.browse import Vault

    if isinstance(vault, Vault):
        return vault.parameters(), list(vault.comments())
    return vault.get_parameters(), list(vault.get_comments())


def _columns(vault: Source) -> list[dict[str, Any]]:
    independents, dependents = vault.variables_ex()
    return [
        {"label": label, "legend": legend, "shape": list(shape), "type": kind, "unit": unit,
         "independent": place < len(independents)}
        for place, (label, legend, shape, kind, unit) in enumerate(
            [*((label, "", *rest) for label, *rest in independents), *dependents]
        )
    ]  # fmt: skip


def _column_line(column: dict[str, Any]) -> str:
    shape = "" if column["shape"] == [1] else " × ".join(map(str, column["shape"]))
    parts = [
        f"  {clean(column['label']):<20}", column["type"], shape,
        f"[{clean(column['unit'])}]" if column["unit"] else "", clean(column["legend"]),
        "(independent)" if column["independent"] else "",
    ]  # fmt: skip
    return " ".join(part for part in parts if part)


def _blocks(vault: Source) -> Iterator[NDArray[Any]]:
    while len(block := vault.get_ex(_BLOCK_ROWS)):
        yield block


def plain(value: Any) -> Any:
    """A value as JSON knows it; complex numbers as [real, imaginary], quantities as a map."""
    if isinstance(value, Quantity):
        return {"value": plain(value.value), "unit": value.unit}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return [value.real, value.imag] if isinstance(value, complex) else value


def row_lines(rows: NDArray[Any], as_json: bool) -> Iterator[str]:
    """A line per row."""
    for row in rows.tolist():
        values = plain(row)
        yield (json.dumps(values) if as_json else "\t".join(map(_cell, values))) + "\n"


def _cell(value: Any) -> str:
    return f"{value:.12g}" if isinstance(value, float) else clean(str(value))


# -- files ----------------------------------------------------------------------------------------


def write(vault: Source, name: str, target: str, *, overwrite: bool = False) -> int:
    """Write the open dataset into a file; how many rows.

    Raises
    ------
    ConfigError
        If the file's suffix is none of ``.csv``, ``.parquet`` and ``.nc``, or a column does not
        go into it.
    StorageError
        If there is such a file, or it can't be written.
    """
    from h5daq.files.formats import FORMATS

    path = Path(target)
    form = {one.suffix: one for one in FORMATS.values()}.get(path.suffix)
    if form is None:
        raise ConfigError(f"the suffix of {target} is none of .csv, .parquet and .nc")
    if path.exists() and not overwrite:
        raise StorageError(errno.EEXIST, "is there already; --force replaces it", target)
    fresh, count = path.with_name(f".{path.name}.part"), 0
    try:
        blocks = _blocks(vault)
        first = next(blocks, None)
        infos = _infos(vault, first)
        with form(fresh) as writer:
            writer.begin(name, infos, {})
            for block in chain([] if first is None else [first], blocks):
                writer.add(dict(zip(infos, _fields(block), strict=True)))
                count += len(block)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    return count


def _infos(vault: Source, rows: NDArray[Any] | None) -> dict[str, Any]:
    """The columns, with the dtypes that `rows` have: those of jobs may be of any width."""
    from h5daq.flow.variables import DTYPES
    from h5daq.storage.runs.contents import ColumnInfo

    infos: dict[str, Any] = {}
    columns = _columns(vault)
    for place, (column, label) in enumerate(zip(columns, _labels(columns), strict=True)):
        shape = () if column["shape"] == [1] else tuple(column["shape"])
        dtype = np.dtype(DTYPES[column["type"]]) if rows is None else _fields(rows)[place].dtype
        infos[label] = ColumnInfo(label, dtype, shape, column["unit"], column["legend"])
    return infos


def _labels(columns: list[dict[str, Any]]) -> list[str]:
    """One for each column; where labels are the same, the legend or the place tells them apart."""
    counts = Counter(column["label"] for column in columns)
    labels: list[str] = []
    for place, column in enumerate(columns):
        label = column["label"]
        # To the formats a column "time" would be seconds since 1970.
        if counts[label] > 1 or label == "time":
            label = f"{label} ({column['legend'] or place})"
        labels.append(label if label not in labels else f"{label} ({place})")
    return labels


def _fields(block: NDArray[Any]) -> list[NDArray[Any]]:
    names = block.dtype.names
    return [block[name] for name in names] if names else list(block.T)
