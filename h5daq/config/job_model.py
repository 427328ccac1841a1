"""What a configuration may say about a job: the table [[jobs]], its columns and their limits."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from h5daq.config.kinds import Attrs, Dtype, Group, Label, Name, RowShape, Size
from h5daq.config.table import Count, Period, Seconds, Table, key, needed

__all__ = ["Bounds", "Column", "Job", "Limits"]


class Bounds(Table):
    """What lies between them is good."""

    low: float | None = key(None, "a number, in the column's unit")
    high: float | None = key(None, "a number, in the column's unit")


class Limits(Table):
    """From where on a value is worth a warning, and from where on an alarm."""

    warn: Bounds | None = key(None, "a table such as { low = 280, high = 310 }")
    alarm: Bounds | None = key(None, "a table such as { high = 320 }")
    hysteresis: Seconds = key(0.0, "a number, 0 or more, in the column's unit")
    stale: Period | None = key(None, "a number of seconds above 0")


class Column(Table):
    """One dataset of a job."""

    label: Label = needed('the dataset\'s name, a text without "/", and not "time"')
    dtype: Dtype = key("f8", 'a type of numpy such as "f8", "i2", "u1", "bool", "S16"; or "text"')
    shape: RowShape = Field(
        default_factory=list, description="lengths of one row's axes, such as [2, 2]; none: []"
    )
    unit: str = key("", 'a text such as "K"')
    description: str = key("", "a text")
    limits: Limits | None = key(None, "a table such as { warn = { high = 310 }, stale = 60 }")


class Job(Table):
    """One group of columns, and what reads them."""

    group: Group = needed('the HDF5 group, such as "tank/temperature"')
    getter: Name | None = key(None, '"module:name" of a function, a class or a factory')
    args: dict[str, Any] | None = key(None, "a table of the arguments to build the getter with")
    command: str | None = key(None, 'a command whose output lines are rows, such as "./read.sh"')
    delimiter: str = key(" ", "a text: what stands between the entries of a line")
    comment: str = key("#", "a text: lines that begin with it are logged")
    host: str | None = key(None, "a name from [hosts]; leave out for the writer's daemon's host")
    columns: Annotated[list[Column], Field(min_length=1)] = needed(
        'a list such as [ { label = "T", dtype = "f8", unit = "K" } ]'
    )
    read_mode: Literal["schedule", "constant", "trigger"] = key(
        "schedule", '"schedule", "constant" or "trigger"'
    )
    read_period: Period = key(1.0, "a number of seconds above 0")
    align: bool = key(False, "true or false")
    overrun: Literal["skip", "catch-up", "shift"] = key("skip", '"skip", "catch-up" or "shift"')
    thread_id: str | None = key(None, "a text")
    lock_timeout: Seconds | None = key(None, "a number of seconds, 0 or more")
    hang_timeout: Period | None = key(None, "a number of seconds above 0")
    provide_time: bool = key(False, "true or false")
    extend_mode: bool = key(False, "true or false")
    compress: bool = key(False, "true or false")
    time_dtype: Literal["float64", "int64"] = key("float64", '"float64" or "int64"')
    chunk_length: Count | None = key(None, "a whole number of rows, at least 1")
    constant_read_error_delay: Seconds = key(1.0, "a number of seconds, 0 or more")
    error_count_limit: Annotated[int, Field(ge=0)] = key(2, "a whole number, 0 or more")
    handle_error: Name | None = key(None, '"module:name" of a function without arguments')
    batch_interval: Seconds | None = key(None, "a number of seconds, 0 or more")
    buffer_bytes: Size = key(64 << 20, 'a size such as "64 MiB"')
    overflow: Literal["spool", "drop-oldest", "drop-newest", "block"] = key(
        "spool", '"spool", "drop-oldest", "drop-newest" or "block"'
    )
    spool: Literal["overflow", "always", "never"] = key(
        "overflow", '"overflow", "always" or "never"'
    )
    spool_bytes: Size = key(4 << 30, 'a size such as "4 GiB"')
    attrs: Attrs = Field(
        default_factory=dict, description="a table of texts, numbers, true, false or lists of them"
    )
