"""`DAQDaemon`: starts the writer and one worker per job, keeps them up, stops them in order.

The daemon holds no rows and is not on their way. It starts processes, restarts what dies, passes
on what the script asks (flush, trigger, status), and calls the script's error handlers here, in
the script's own process.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from h5daq.daemon.checks import (
    check_options,
    check_security,
    checked_alarms,
    checked_attrs,
    checked_compression,
    checked_jobs,
    checked_name,
    checked_period,
)
from h5daq.daemon.fleet import Fleet
from h5daq.daemon.state import ask_status
from h5daq.daemon.texts import started_text, stopped_text
from h5daq.daemon.writer_child import Spare
from h5daq.errors import ConfigError, NoAnswer
from h5daq.flow.rollover import Calendar, check_format
from h5daq.jobs.job import DAQJob
from h5daq.transports.locks import ClientKeys
from h5daq.writer.settings import WriterSettings

__all__ = ["DAQDaemon"]

log = logging.getLogger("h5daq.daemon")


class DAQDaemon:
    """Runs jobs in processes of their own and records them in HDF5 files.

    Parameters
    ----------
    job_list : DAQJob or iterable of DAQJob
        What to record; their groups must differ. May be empty where `data` is given, so that
        workers on other hosts send.
    name : str
        Name of the run; also its directory in the vault and in signal paths (``run`` if empty).
    write_period, write_period_jitter : float
        Seconds between checkpoints, and by how much each varies (must be smaller).
    directory : str or Path
        Where files go; made if missing.
    file_format_str : str
        File name with at least one of ``{date_from}``, ``{date_to}``.
    rollover_interval_dict : dict
        Exactly one of years, months, weeks, days, hours, minutes, seconds, with a value >= 1.
    compression_dict : dict, optional
        ``{"compression": "gzip", "compression_opts": 6, "shuffle": True}`` for all datasets.
    attrs : dict, optional
        Attributes of the file's root.
    rollover_size : int
        Payload bytes after which a new file begins (0: no limit).
    durability : {"fsync", "os", "none"}
        What a commit waits for: the disk, the operating system, or nothing.
    data, requests, signals : str, optional
        Endpoints to bind; private ``ipc://`` sockets where absent.
    keys : str or Path, optional
        Directory of the keys (``h5daq keys init``): only keys on its list are let in. The
        daemon's own workers get keys of their own for their life.
    insecure : bool
        Allow tcp endpoints without keys.
    drain_timeout : float
        Seconds that a stop waits for rows held by workers.
    signal_rate : float
        Most data-available signals per second and dataset.
    window_bytes, journal_bytes, checkpoint_bytes, overlay_bytes : int
        Bytes in flight from all workers; in the journal before commits wait for the files; at
        which a checkpoint comes early; of changed pages kept in memory while a reader holds
        the file.
    log_level : str
        From which level on the processes report.
    alarms : dict, optional
        What is watched beside the limits of the jobs' columns, and who is told: ``down`` and
        ``loss`` (of jobs; both True), ``disk`` (``{"warn": 4 << 30, "alarm": 1 << 30}``, free
        bytes), ``command`` (a list: a program that gets each alarm as JSON on its standard input),
        ``webhook`` (an address that it is posted to), ``timeout`` (10 s), ``per_minute`` (30), and
        ``limits`` by group and label for jobs of other hosts. ``{}`` takes the defaults; without
        it and without limits nothing is watched.

    Raises
    ------
    ConfigError, ConfigKeyError
        For wrong arguments, before anything starts.

    Examples
    --------
    >>> import tempfile, h5py, h5daq
    >>> job = h5daq.DAQJob("tank", "T", lambda: 20.5, read_period=0.05, units=["degC"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5daq.DAQDaemon(job, directory=folder) as daemon:
    ...         while daemon.job_rows("tank") < 2:
    ...             daemon.flush()
    ...     with h5py.File(daemon.file_name) as file:
    ...         float(file["tank/T"][0])
    20.5
    """

    def __init__(
        self,
        job_list: DAQJob | Iterable[DAQJob],
        name: str = "",
        write_period: float = 60,
        write_period_jitter: float | None = None,
        directory: str | os.PathLike[str] = ".",
        file_format_str: str = "DAQ_{date_from}_{date_to}.hdf5",
        rollover_interval_dict: Mapping[str, int] | None = None,
        compression_dict: Mapping[str, Any] | None = None,
        attrs: Mapping[str, Any] | None = None,
        *,
        rollover_size: int = 0,
        rollover_grace: float = 60.0,
        durability: str = "fsync",
        data: str | None = None,
        requests: str | None = None,
        signals: str | None = None,
        keys: str | os.PathLike[str] | None = None,
        insecure: bool = False,
        drain_timeout: float = 30.0,
        signal_rate: float = 20.0,
        window_bytes: int = 64 << 20,
        journal_bytes: int = 4 << 30,
        checkpoint_bytes: int = 128 << 20,
        overlay_bytes: int = 64 << 20,
        log_level: str = "INFO",
        alarms: Mapping[str, Any] | None = None,
    ) -> None:
        self.jobs = checked_jobs(job_list, data)
        self.name = checked_name(name)
        self.directory = Path(directory)
        self._period, self._jitter = checked_period(write_period, write_period_jitter)
        check_format(file_format_str)
        rollover = {"days": 1} if rollover_interval_dict is None else rollover_interval_dict
        Calendar(rollover)
        self._attrs = checked_attrs(attrs)
        check_security((data, requests, signals), insecure, keys)
        self._options: dict[str, Any] = {
            "data": data or "",
            "requests": requests or "",
            "signals": signals or "",
            "file_format": file_format_str,
            "rollover": dict(rollover),
            "compression": checked_compression(compression_dict),
            "rollover_size": rollover_size,
            "rollover_grace": rollover_grace,
            "durability": durability,
            "keys": str(Path(keys).expanduser().absolute()) if keys else "",
            "insecure": insecure,
            "drain_timeout": drain_timeout,
            "signal_rate": signal_rate,
            "window_bytes": window_bytes,
            "journal_bytes": journal_bytes,
            "checkpoint_bytes": checkpoint_bytes,
            "overlay_bytes": overlay_bytes,
            "log_level": log_level,
            "alarms": checked_alarms(alarms, self.jobs),
        }
        check_options(self._options)
        self._lock = threading.RLock()
        self._fleet: Fleet | None = None
        self._spare: Spare | None = None
        self._file_name: str | None = None
        self._status: dict[str, Any] = {}
        for job in self.jobs:
            job._daemon = self

    # -- what a script does with it ------------------------------------------------------------

    def warm(self) -> None:
        """Have a process load what the writer needs; the next `start` takes less time then."""
        self._spare = self._spare or Spare()

    def start(self, attrs: Mapping[str, Any] | None = None) -> str:
        """Start the writer and the workers.

        Parameters
        ----------
        attrs : dict, optional
            Attributes of this run, added to those of the daemon.

        Returns
        -------
        str
            What was started, or that it runs already.

        Raises
        ------
        FileBusy
            If another writer has the directory.
        ProcessFailed
            If the writer can't be started.
        """
        with self._lock:
            if self._fleet is not None:
                return f"already running: {self.file_name}"
            settings = self._settings({**self._attrs, **checked_attrs(attrs)})
            spare, self._spare = self._spare, None
            fleet = Fleet(self.jobs, settings, spare)
            try:
                fleet.start()
            except BaseException:
                fleet.abandon()
                raise
            self._fleet = fleet
            atexit.register(self.stop)
            text = started_text(len(self.jobs), fleet.file_name)
            log.info(text)
            return text

    def stop(self) -> str:
        """Stop reading, wait until every row is in the file, give the file its last name.

        Returns
        -------
        str
            Which files were made, and which rows could not be fetched.
        """
        with self._lock:
            if self._fleet is None:
                return "not running"
            atexit.unregister(self.stop)
            fleet, self._fleet = self._fleet, None
            try:
                report = fleet.stop()
            finally:
                fleet.abandon()
            self._file_name = fleet.file_name
            text = stopped_text(report)
            log.info(text)
            return text

    def flush(self, timeout: float = 60.0) -> None:
        """Write now; returns when the rows committed so far are in the file.

        Without a run there is nothing that is not written, and nothing happens.

        Raises
        ------
        StorageError
            If the disk does not take them; the journal keeps them, and the writer goes on trying.
        NoAnswer
            If they are not in the file after `timeout` seconds.
        """
        if self._fleet is not None:
            self._request("flush", timeout=timeout)

    def status(self) -> dict[str, Any]:
        """The state of run, writer and jobs (see the status request in ``PROTOCOL.md``)."""
        fleet = self._fleet
        if fleet is None or fleet.ended.is_set():
            return {"run": {"name": self.name, "file": self._file_name}, "writer": {}, "jobs": {}}
        status = self._status = ask_status(fleet, self._status)
        status["writer"]["restarts"] = fleet.writer.restarts
        for child in fleet.workers:
            job = status["jobs"].setdefault(child.name, {"state": "starting", "rows": 0})
            job["restarts"] = child.restarts
            if child.cause:
                job["last_death"] = child.cause
            if child.given_up:
                job["state"] = "given up"
        return status

    def set_write_period(self, period: float, jitter: float | None = None) -> None:
        """Change the checkpoint period, now and for later starts."""
        self._period, self._jitter = checked_period(period, jitter)
        if self._fleet is not None:
            self._request("set_write_period", period=self._period, jitter=self._jitter)

    @property
    def write_period(self) -> float:
        """Seconds between checkpoints."""
        return self._period

    @property
    def is_active(self) -> bool:
        """Whether the run is on; no longer after a stop, be it from here or from elsewhere."""
        return self._fleet is not None and not self._fleet.ended.is_set()

    @property
    def file_name(self) -> str | None:
        """Path of the current file, or of the last one after a stop; None before the first."""
        fleet = self._fleet
        if fleet is not None and not fleet.ended.is_set():
            # While the writer is started again it can't be asked; the last answer stands.
            with suppress(NoAnswer):
                fleet.file_name = fleet.request("status")["run"]["file"]
            self._file_name = fleet.file_name
        return self._file_name

    @property
    def endpoints(self) -> dict[str, str]:
        """Addresses of the running writer's sockets: data, requests, signals."""
        if self._fleet is None:
            raise ConfigError("the daemon is not running; call start() first")
        settings = self._fleet.settings
        return {name: getattr(settings, name) for name in ("data", "requests", "signals")}

    @property
    def keys(self) -> ClientKeys | None:
        """What this process shows to the running writer; None where there are no keys."""
        return self._fleet.keys if self._fleet is not None else None

    @property
    def recovered(self) -> dict[str, Any]:
        """What the writer found to finish when it started: run, rows, journal entries."""
        return dict(self._fleet.recovered) if self._fleet is not None else {}

    def __repr__(self) -> str:
        state = "recording" if self.is_active else "not running"
        groups = ", ".join(job.group for job in self.jobs)
        return f"<{type(self).__name__} {self.name or 'unnamed'}: {state}; jobs: {groups}>"

    def __enter__(self) -> DAQDaemon:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- for the jobs -------------------------------------------------------------------------

    def job_command(self, group: str, verb: str, n: int = 1) -> None:
        """Tell one job's worker to trigger, pause or resume."""
        self._request(verb, jobs=[group], n=n)

    def job_peek(self, group: str) -> dict[str, Any] | None:
        """The newest committed row of a job, by label."""
        row: dict[str, Any] | None = self._request("peek", job=group)
        return row

    def job_is_active(self, group: str) -> bool:
        """Whether a job is being read."""
        state = self.status()["jobs"].get(group, {}).get("state")
        return state not in (None, "paused", "ended", "given up")

    def job_rows(self, group: str) -> int:
        """How many rows of a job are committed."""
        return int(self._request("status")["jobs"].get(group, {}).get("rows", 0))

    # -- inside -----------------------------------------------------------------------------

    def _settings(self, attrs: dict[str, Any]) -> WriterSettings:
        return WriterSettings(
            directory=str(self.directory.absolute()),
            run_id=secrets.token_hex(8),
            run_name=self.name,
            attrs=attrs,
            write_period=self._period,
            write_period_jitter=self._jitter,
            **self._options,
        )

    def _request(self, verb: str, timeout: float = 10.0, **args: Any) -> Any:
        if self._fleet is None:
            raise ConfigError(f"{verb}: the daemon is not running; call start() first")
        return self._fleet.request(verb, timeout=timeout, **args)
