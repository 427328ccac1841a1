"""What a configuration may say: one model per table, each key with its kind, default and meaning.

The description of a key is what an error message gives as right, and what the example explains:
there is no second place where this stands. Rules that join several keys are in `rules`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from h5daq.config.kinds import (
    Address,
    Attrs,
    Dtype,
    FileFormat,
    FilterName,
    Group,
    Label,
    Name,
    RowShape,
    Size,
)

if TYPE_CHECKING:
    from h5daq.jobs.job import DAQJob

__all__ = [
    "Alarms",
    "Bounds",
    "Column",
    "Compression",
    "Config",
    "Disk",
    "Host",
    "Job",
    "Limits",
    "LogRollover",
    "Logging",
    "Metrics",
    "Rollover",
    "Run",
    "Security",
    "Writer",
]

Seconds = Annotated[float, Field(ge=0)]
Period = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]


def _key(default: Any, right: str) -> Any:
    """A key with a default, and what would be right for it."""
    return Field(default, description=right)


def _made(kind: type[BaseModel], right: str) -> Any:
    return Field(default_factory=kind, description=right)


def _needed(right: str) -> Any:
    return Field(description=right)


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class Rollover(_Table):
    """When the next file is begun: one unit of time, and a size, whichever comes first."""

    years: Count | None = _key(None, "a whole number of years, at least 1")
    months: Count | None = _key(None, "a whole number of months, at least 1")
    weeks: Count | None = _key(None, "a whole number of weeks, at least 1")
    days: Count | None = _key(None, "a whole number of days, at least 1")
    hours: Count | None = _key(None, "a whole number of hours, at least 1")
    minutes: Count | None = _key(None, "a whole number of minutes, at least 1")
    seconds: Count | None = _key(None, "a whole number of seconds, at least 1")
    size: Size | None = _key(None, 'a size such as "16 GiB" or "500 MB", or a number of bytes')

    def interval(self) -> dict[str, int]:
        """The unit of time and its count, as `DAQDaemon` takes them; a day if none is set."""
        units = self.model_dump(exclude={"size"}, exclude_none=True)
        return units or {"days": 1}


class Compression(_Table):
    """The HDF5 filter of all datasets. Checksums (Fletcher-32) are always on."""

    filter: FilterName = _key("gzip", '"gzip", "lzf", "szip", or the number of an HDF5 plugin')
    level: Annotated[int, Field(ge=0, le=9)] | None = _key(
        None, "0 (fast) to 9 (small), for gzip only"
    )
    options: list[int] | None = _key(None, "a list of whole numbers: the options of a plugin")
    shuffle: bool = _key(False, "true or false")


class Run(_Table):
    """The run and its files."""

    name: str = _key("", "a text: the run's name")
    directory: str = _key(".", "a directory, relative to this file; it is created when missing")
    file_format: FileFormat = _key(
        "DAQ_{date_from}_{date_to}.hdf5", "a file's name with {date_from}, {date_to} or both in it"
    )
    rollover: Rollover = _made(Rollover, 'a table such as { days = 1, size = "16 GiB" }')
    rollover_grace: Seconds = _key(60.0, "a number of seconds, 0 or more")
    write_period: Period = _key(60.0, "a number of seconds above 0")
    write_period_jitter: Seconds = _key(0.0, "a number of seconds, less than write_period")
    drain_timeout: Seconds = _key(30.0, "a number of seconds, 0 or more")
    compression: Compression | None = _key(
        None, 'a table such as { filter = "gzip", level = 4, shuffle = true }'
    )
    attrs: Attrs = Field(
        default_factory=dict, description="a table of texts, numbers, true, false or lists of them"
    )


class Writer(_Table):
    """Where the writer runs, where it listens, and how safe a commit is."""

    host: str | None = _key(
        None, "a host's name as the other hosts know it; leave out for this one"
    )
    requests: str | None = _key(None, 'an endpoint such as "tcp://*:5570" or "ipc:///run/h5/req"')
    signals: str | None = _key(None, 'an endpoint such as "tcp://*:5571" or "ipc:///run/h5/sig"')
    data: str | None = _key(None, 'an endpoint such as "tcp://*:5572" or "ipc:///run/h5/data"')
    durability: Literal["fsync", "os", "none"] = _key("fsync", '"fsync", "os" or "none"')
    signal_rate: Period = _key(20.0, "signals per second and dataset, above 0")
    window_bytes: Size = _key(64 << 20, 'a size such as "64 MiB"')
    journal_bytes: Size = _key(4 << 30, 'a size such as "4 GiB"')
    checkpoint_bytes: Size = _key(128 << 20, 'a size such as "128 MiB"')
    overlay_bytes: Size = _key(64 << 20, 'a size such as "64 MiB"')


class Security(_Table):
    """Keys of the sockets."""

    keys: str | None = _key(
        None, "the directory that `h5daq keys init` made, relative to this file"
    )
    insecure: bool = _key(False, "true or false")


class LogRollover(_Table):
    """When the next log file is begun, and how many are kept."""

    days: Count | None = _key(None, "a whole number of days, at least 1")
    hours: Count | None = _key(None, "a whole number of hours, at least 1")
    size: Size | None = _key(None, 'a size such as "10 MiB"')
    keep: Annotated[int, Field(ge=0)] = _key(10, "how many old files are kept: a whole number")


class Logging(_Table):
    """Messages of all processes, in one place."""

    file: str | None = _key(None, "a file, relative to this one")
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = _key(
        "INFO", '"DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL"'
    )
    format: str | None = _key(None, 'a format of Python\'s logging: "%(asctime)s %(message)s"')
    console: bool = _key(True, "true or false")
    console_format: str | None = _key(None, 'a format of Python\'s logging: "%(message)s"')
    counter_file: str | None = _key(None, "a file, relative to this one")
    rollover: LogRollover = _made(LogRollover, "a table such as { days = 7, keep = 10 }")


class Host(_Table):
    """Another machine on which jobs run."""

    ssh: str = _needed('where ssh finds it, such as "daq@pi1"')
    python: str = _key("python3", "the Python there, with h5daq in it")
    sync: list[str] = Field(
        default_factory=list,
        description='a list of modules beside this file, which are copied there: ["mylab"]',
    )


class Bounds(_Table):
    """What lies between them is good."""

    low: float | None = _key(None, "a number, in the column's unit")
    high: float | None = _key(None, "a number, in the column's unit")


class Limits(_Table):
    """From where on a value is worth a warning, and from where on an alarm."""

    warn: Bounds | None = _key(None, "a table such as { low = 280, high = 310 }")
    alarm: Bounds | None = _key(None, "a table such as { high = 320 }")
    hysteresis: Seconds = _key(0.0, "a number, 0 or more, in the column's unit")
    stale: Period | None = _key(None, "a number of seconds above 0")


class Column(_Table):
    """One dataset of a job."""

    label: Label = _needed('the dataset\'s name, a text without "/", and not "time"')
    dtype: Dtype = _key("f8", 'a type of numpy such as "f8", "i2", "u1", "bool", "S16"; or "text"')
    shape: RowShape = Field(
        default_factory=list, description="lengths of one row's axes, such as [2, 2]; none: []"
    )
    unit: str = _key("", 'a text such as "K"')
    description: str = _key("", "a text")
    limits: Limits | None = _key(None, "a table such as { warn = { high = 310 }, stale = 60 }")


class Job(_Table):
    """One group of columns, and what reads them."""

    group: Group = _needed('the HDF5 group, such as "tank/temperature"')
    getter: Name | None = _key(None, '"module:name" of a function, a class or a factory')
    args: dict[str, Any] | None = _key(None, "a table of the arguments to build the getter with")
    command: str | None = _key(None, 'a command whose output lines are rows, such as "./read.sh"')
    delimiter: str = _key(" ", "a text: what stands between the entries of a line")
    comment: str = _key("#", "a text: lines that begin with it are logged")
    host: str | None = _key(None, "a name from [hosts]; leave out for the writer's daemon's host")
    columns: Annotated[list[Column], Field(min_length=1)] = _needed(
        'a list such as [ { label = "T", dtype = "f8", unit = "K" } ]'
    )
    read_mode: Literal["schedule", "constant", "trigger"] = _key(
        "schedule", '"schedule", "constant" or "trigger"'
    )
    read_period: Period = _key(1.0, "a number of seconds above 0")
    align: bool = _key(False, "true or false")
    overrun: Literal["skip", "catch-up", "shift"] = _key("skip", '"skip", "catch-up" or "shift"')
    thread_id: str | None = _key(None, "a text")
    lock_timeout: Seconds | None = _key(None, "a number of seconds, 0 or more")
    hang_timeout: Period | None = _key(None, "a number of seconds above 0")
    provide_time: bool = _key(False, "true or false")
    extend_mode: bool = _key(False, "true or false")
    compress: bool = _key(False, "true or false")
    time_dtype: Literal["float64", "int64"] = _key("float64", '"float64" or "int64"')
    chunk_length: Count | None = _key(None, "a whole number of rows, at least 1")
    constant_read_error_delay: Seconds = _key(1.0, "a number of seconds, 0 or more")
    error_count_limit: Annotated[int, Field(ge=0)] = _key(2, "a whole number, 0 or more")
    handle_error: Name | None = _key(None, '"module:name" of a function without arguments')
    batch_interval: Seconds | None = _key(None, "a number of seconds, 0 or more")
    buffer_bytes: Size = _key(64 << 20, 'a size such as "64 MiB"')
    overflow: Literal["spool", "drop-oldest", "drop-newest", "block"] = _key(
        "spool", '"spool", "drop-oldest", "drop-newest" or "block"'
    )
    spool: Literal["overflow", "always", "never"] = _key(
        "overflow", '"overflow", "always" or "never"'
    )
    spool_bytes: Size = _key(4 << 30, 'a size such as "4 GiB"')
    attrs: Attrs = Field(
        default_factory=dict, description="a table of texts, numbers, true, false or lists of them"
    )


class Metrics(_Table):
    """The table [metrics]: figures for Prometheus."""

    port: Port | None = _key(None, "a port, e.g. 9571; 0 takes a free one")
    host: str = _key("127.0.0.1", "the address to bind")
    values: bool = _key(False, "whether to tell the newest value of each column as well")


class Disk(_Table):
    """Free space where the files are, below which it is worth a warning, an alarm."""

    warn: Size | None = _key(None, 'a size such as "20 GiB"')
    alarm: Size | None = _key(None, 'a size such as "2 GiB"')


class Alarms(_Table):
    """The table [alarms]: what is watched beside the limits of columns, and who is told."""

    down: bool = _key(True, "true or false")
    loss: bool = _key(True, "true or false")
    disk: Disk | None = _key(None, 'a table such as { warn = "20 GiB", alarm = "2 GiB" }')
    command: Annotated[list[str], Field(min_length=1)] | None = _key(
        None, 'a list: a program and its arguments, such as ["./alarm.sh", "--loud"]'
    )
    webhook: Address | None = _key(None, 'an address such as "https://example.org/alarm"')
    timeout: Period = _key(10.0, "a number of seconds above 0")
    per_minute: Period = _key(30.0, "a number above 0: most alarms that are told per minute")


class Config(_Table):
    """A whole configuration; made by `h5daq.config.load`."""

    run: Run = _made(Run, "the table [run]")
    writer: Writer = _made(Writer, "the table [writer]")
    security: Security = _made(Security, "the table [security]")
    logging: Logging = _made(Logging, "the table [logging]")
    metrics: Metrics = _made(Metrics, "the table [metrics]")
    alarms: Alarms | None = _key(None, "the table [alarms]")
    hosts: dict[str, Host] = Field(default_factory=dict, description="tables [hosts.<name>]")
    jobs: list[Job] = Field(default_factory=list, description="tables [[jobs]]")
    _path: Path = PrivateAttr(default=Path("h5daq.toml"))

    @property
    def path(self) -> Path:
        """The file that it was read from."""
        return self._path

    def resolve(self, path: str) -> Path:
        """A path of the configuration as an absolute one: relative means from its file."""
        return (self._path.parent / Path(path).expanduser()).resolve()

    @property
    def directory(self) -> Path:
        """Where the run's files go."""
        return self.resolve(self.run.directory)

    @property
    def keys(self) -> Path | None:
        """The directory of the keys, or a key file; None without keys."""
        return self.resolve(self.security.keys) if self.security.keys else None

    def make_jobs(self, host: str | None = None, group: str | None = None) -> list[DAQJob]:
        """The jobs that run on `host`; by default those that name no host.

        Parameters
        ----------
        host : str, optional
            A name from [hosts].
        group : str, optional
            Only the job of this group; the getters of others are not imported.

        Returns
        -------
        list of DAQJob
            In the order of the file, their getters imported by name.

        Raises
        ------
        ConfigError
            If a getter can't be imported or a job refuses its arguments: all of them at once.
        """
        from h5daq.config.build import make_jobs

        return make_jobs(self, host, group)

    def daemon_arguments(self) -> dict[str, Any]:
        """The table [run] as `DAQDaemon` takes it, without the jobs."""
        run = self.run
        return {
            "name": run.name,
            "directory": str(self.directory),
            "write_period": run.write_period,
            "write_period_jitter": run.write_period_jitter,
            "file_format_str": run.file_format,
            "rollover_interval_dict": run.rollover.interval(),
            "compression_dict": _compression(run.compression),
            "attrs": dict(run.attrs),
        }

    def writer_arguments(self) -> dict[str, Any]:
        """What the writer is to know beside `daemon_arguments`, named as in `WriterSettings`."""
        options = self.writer.model_dump(exclude={"host", "requests", "signals", "data"})
        return options | {
            "rollover_size": self.run.rollover.size or 0,
            "rollover_grace": self.run.rollover_grace,
            "drain_timeout": self.run.drain_timeout,
            "insecure": self.security.insecure,
            "keys": str(self.keys) if self.keys else "",
            "alarms": self.alarm_options(),
        }

    def alarm_options(self) -> dict[str, Any] | None:
        """What is watched, as `DAQDaemon` and `WriterSettings` take it; None for nothing."""
        from h5daq.config.build import alarm_options

        return alarm_options(self)

    def logging_arguments(self) -> dict[str, Any]:
        """The table [logging] as `h5daq.setup_logging` takes it."""
        table = self.logging
        return {
            "log_level": table.level,
            "to_console": table.console,
            "file_name": self.resolve(table.file) if table.file else None,
            "msg_counter_file": self.resolve(table.counter_file) if table.counter_file else None,
            "msg_formatter_file": table.format,
            "msg_formatter_console": table.console_format,
            "rollover": table.rollover.model_dump(exclude={"keep"}, exclude_none=True) or None,
            "keep": table.rollover.keep,
        }


def _compression(table: Compression | None) -> dict[str, Any] | None:
    if table is None:
        return None
    given = {"compression": table.filter, "shuffle": table.shuffle}
    if table.level is not None:
        given["compression_opts"] = table.level
    if table.options is not None:
        given["compression_opts"] = tuple(table.options)
    return given
