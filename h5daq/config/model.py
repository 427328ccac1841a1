"""What a configuration may say: one model per table, each key with its kind, default and meaning.

The description of a key is what an error message gives as right, and what the example explains:
there is no second place where this stands. Rules that join several keys are in `rules`, the table
of a job is in `job_model`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from h5daq.config.job_model import Job
from h5daq.config.kinds import Address, Attrs, FileFormat, FilterName, Size
from h5daq.config.table import Count, Period, Port, Seconds, Table, key, made, needed

if TYPE_CHECKING:
    from h5daq.jobs.job import DAQJob

__all__ = [
    "Alarms",
    "Compression",
    "Config",
    "Disk",
    "Host",
    "LogRollover",
    "Logging",
    "Metrics",
    "Rollover",
    "Run",
    "Security",
    "Writer",
]


class Rollover(Table):
    """When the next file is begun: one unit of time, and a size, whichever comes first."""

    years: Count | None = key(None, "a whole number of years, at least 1")
    months: Count | None = key(None, "a whole number of months, at least 1")
    weeks: Count | None = key(None, "a whole number of weeks, at least 1")
    days: Count | None = key(None, "a whole number of days, at least 1")
    hours: Count | None = key(None, "a whole number of hours, at least 1")
    minutes: Count | None = key(None, "a whole number of minutes, at least 1")
    seconds: Count | None = key(None, "a whole number of seconds, at least 1")
    size: Size | None = key(None, 'a size such as "16 GiB" or "500 MB", or a number of bytes')

    def interval(self) -> dict[str, int]:
        """The unit of time and its count, as `DAQDaemon` takes them; a day if none is set."""
        units = self.model_dump(exclude={"size"}, exclude_none=True)
        return units or {"days": 1}


class Compression(Table):
    """The HDF5 filter of all datasets. Checksums (Fletcher-32) are always on."""

    filter: FilterName = key("gzip", '"gzip", "lzf", "szip", or the number of an HDF5 plugin')
    level: Annotated[int, Field(ge=0, le=9)] | None = key(
        None, "0 (fast) to 9 (small), for gzip only"
    )
    options: list[int] | None = key(None, "a list of whole numbers: the options of a plugin")
    shuffle: bool = key(False, "true or false")


class Run(Table):
    """The run and its files."""

    name: str = key("", "a text: the run's name")
    directory: str = key(".", "a directory, relative to this file; it is created when missing")
    file_format: FileFormat = key(
        "DAQ_{date_from}_{date_to}.hdf5", "a file's name with {date_from}, {date_to} or both in it"
    )
    rollover: Rollover = made(Rollover, 'a table such as { days = 1, size = "16 GiB" }')
    rollover_grace: Seconds = key(60.0, "a number of seconds, 0 or more")
    write_period: Period = key(60.0, "a number of seconds above 0")
    write_period_jitter: Seconds = key(0.0, "a number of seconds, less than write_period")
    drain_timeout: Seconds = key(30.0, "a number of seconds, 0 or more")
    compression: Compression | None = key(
        None, 'a table such as { filter = "gzip", level = 4, shuffle = true }'
    )
    attrs: Attrs = Field(
        default_factory=dict, description="a table of texts, numbers, true, false or lists of them"
    )


class Writer(Table):
    """Where the writer runs, where it listens, and how safe a commit is."""

    host: str | None = key(None, "a host's name as the other hosts know it; leave out for this one")
    requests: str | None = key(None, 'an endpoint such as "tcp://*:5570" or "ipc:///run/h5/req"')
    signals: str | None = key(None, 'an endpoint such as "tcp://*:5571" or "ipc:///run/h5/sig"')
    data: str | None = key(None, 'an endpoint such as "tcp://*:5572" or "ipc:///run/h5/data"')
    durability: Literal["fsync", "os", "none"] = key("fsync", '"fsync", "os" or "none"')
    signal_rate: Period = key(20.0, "signals per second and dataset, above 0")
    window_bytes: Size = key(64 << 20, 'a size such as "64 MiB"')
    journal_bytes: Size = key(4 << 30, 'a size such as "4 GiB"')
    checkpoint_bytes: Size = key(128 << 20, 'a size such as "128 MiB"')
    overlay_bytes: Size = key(64 << 20, 'a size such as "64 MiB"')


class Security(Table):
    """Keys of the sockets."""

    keys: str | None = key(None, "the directory that `h5daq keys init` made, relative to this file")
    insecure: bool = key(False, "true or false")


class LogRollover(Table):
    """When the next log file is begun, and how many are kept."""

    days: Count | None = key(None, "a whole number of days, at least 1")
    hours: Count | None = key(None, "a whole number of hours, at least 1")
    size: Size | None = key(None, 'a size such as "10 MiB"')
    keep: Annotated[int, Field(ge=0)] = key(10, "how many old files are kept: a whole number")


class Logging(Table):
    """Messages of all processes, in one place."""

    file: str | None = key(None, "a file, relative to this one")
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = key(
        "INFO", '"DEBUG", "INFO", "WARNING", "ERROR" or "CRITICAL"'
    )
    format: str | None = key(None, 'a format of Python\'s logging: "%(asctime)s %(message)s"')
    console: bool = key(True, "true or false")
    console_format: str | None = key(None, 'a format of Python\'s logging: "%(message)s"')
    counter_file: str | None = key(None, "a file, relative to this one")
    rollover: LogRollover = made(LogRollover, "a table such as { days = 7, keep = 10 }")


class Host(Table):
    """Another machine on which jobs run."""

    ssh: str = needed('where ssh finds it, such as "daq@pi1"')
    python: str = key("python3", "the Python there, with h5daq in it")
    sync: list[str] = Field(
        default_factory=list,
        description='a list of modules beside this file, which are copied there: ["mylab"]',
    )


class Metrics(Table):
    """The table [metrics]: figures for Prometheus."""

    port: Port | None = key(None, "a port, e.g. 9571; 0 takes a free one")
    host: str = key("127.0.0.1", "the address to bind")
    values: bool = key(False, "whether to tell the newest value of each column as well")


class Disk(Table):
    """Free space where the files are, below which it is worth a warning, an alarm."""

    warn: Size | None = key(None, 'a size such as "20 GiB"')
    alarm: Size | None = key(None, 'a size such as "2 GiB"')


class Alarms(Table):
    """The table [alarms]: what is watched beside the limits of columns, and who is told."""

    down: bool = key(True, "true or false")
    loss: bool = key(True, "true or false")
    disk: Disk | None = key(None, 'a table such as { warn = "20 GiB", alarm = "2 GiB" }')
    command: Annotated[list[str], Field(min_length=1)] | None = key(
        None, 'a list: a program and its arguments, such as ["./alarm.sh", "--loud"]'
    )
    webhook: Address | None = key(None, 'an address such as "https://example.org/alarm"')
    timeout: Period = key(10.0, "a number of seconds above 0")
    per_minute: Period = key(30.0, "a number above 0: most alarms that are told per minute")


class Config(Table):
    """A whole configuration; made by `h5daq.config.load`."""

    run: Run = made(Run, "the table [run]")
    writer: Writer = made(Writer, "the table [writer]")
    security: Security = made(Security, "the table [security]")
    logging: Logging = made(Logging, "the table [logging]")
    metrics: Metrics = made(Metrics, "the table [metrics]")
    alarms: Alarms | None = key(None, "the table [alarms]")
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
