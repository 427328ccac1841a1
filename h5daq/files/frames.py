"""A `Group` as the data frames that people analyse with: xarray and pandas.

Both are imported here and only when asked for. Times become ``datetime64[ns]`` in UTC; units and
descriptions go along where the library has a place for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from h5daq.files.extras import optional
from h5daq.files.times import as_datetime64
from h5daq.storage.runs.contents import TIME, ColumnInfo

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import xarray as xr

    from h5daq.files.group import Group

__all__ = ["to_pandas", "to_xarray"]


def to_xarray(group: Group) -> xr.Dataset:
    """A dataset with the coordinate ``time`` and one variable per column.

    A column with rows of shape ``(m,)`` has the dimensions ``("time", "<label>_0")``.
    """
    xarray = optional("xarray", "xarray")
    found = group.read()
    time = as_datetime64(found.pop(TIME))
    variables = {label: _variable(group.columns[label], values) for label, values in found.items()}
    dataset: xr.Dataset = xarray.Dataset(variables, {TIME: time}, dict(group.attrs))
    return dataset


def _variable(column: ColumnInfo, values: NDArray[Any]) -> tuple[Any, ...]:
    inner = [f"{column.label}_{axis}" for axis in range(len(column.shape))]
    texts = {"units": column.unit, "long_name": column.description}
    return ((TIME, *inner), values, {key: text for key, text in texts.items() if text})


def to_pandas(group: Group) -> pd.DataFrame:
    """A frame indexed by UTC time; a column of arrays holds one array per cell."""
    pandas = optional("pandas", "pandas")
    found = group.read()
    time = pandas.DatetimeIndex(as_datetime64(found.pop(TIME)), tz="UTC", name=TIME)
    columns = {
        label: values if values.ndim == 1 else list(values) for label, values in found.items()
    }
    frame: pd.DataFrame = pandas.DataFrame(columns, index=time)
    frame.attrs.update(group.attrs)
    return frame
