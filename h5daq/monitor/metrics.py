"""A run in figures for Prometheus, made anew from a status each time somebody asks.

`RunCollector` turns the reply to a ``status`` request into metric families of the official client
(``prometheus_client``, the extra ``metrics``), with names and units by its conventions; counts of
a run go on over restarts of the writer, since its status does. Nothing runs between two scrapes,
and a writer that does not answer is a metric of its own, ``h5daq_up 0``, and an alarm.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from h5daq.errors import MissingExtra, NoAnswer, StorageError
from h5daq.flow.vigil import WRITER

__all__ = ["Ask", "RunCollector", "exposition", "serve"]

Ask = Callable[[str, dict[str, Any]], Any]
"""Puts a request, by verb and arguments, and gives its result."""

_JOB_COUNTS = {
    "produced": ("h5daq_rows_produced", "Rows that workers have numbered"),
    "rows": ("h5daq_rows_committed", "Rows that are committed"),
    "in_file": ("h5daq_rows_in_file", "Rows that checkpoints have brought into files"),
    "late": ("h5daq_rows_late", "Rows that came after the file of their time was closed"),
    "restarts": ("h5daq_job_restarts", "Starts of the job's worker after the first"),
    "overruns": ("h5daq_job_overruns", "Readings left out since the one before took too long"),
}
_JOB_GAUGES = {
    "held": ("h5daq_rows_held", "Rows that the worker holds since they are not committed", 1.0),
    "spooled": ("h5daq_rows_spooled", "Rows held on the worker's disk alone", 1.0),
    "spooled_bytes": ("h5daq_spool_bytes", "Bytes on the worker's disk", 1.0),
    "lateness_ms": ("h5daq_job_lateness_seconds", "Lateness of readings, 99th percentile", 1e-3),
    "last_time": ("h5daq_job_last_row_timestamp_seconds", "Time of the newest row", 1.0),
}
_WRITER_COUNTS = {
    "rows": ("h5daq_writer_received_rows", "Rows taken since the writer began"),
    "bytes": ("h5daq_writer_received_bytes", "Bytes taken since the writer began"),
}
_WRITER_GAUGES = {
    "journal_bytes": ("h5daq_journal_waiting_bytes", "Bytes of the journal that wait for files"),
    "checkpoint_seconds": ("h5daq_checkpoint_duration_seconds", "How long the last one took"),
    "last_checkpoint": ("h5daq_checkpoint_last_timestamp_seconds", "When the last one was made"),
    "disk_free": ("h5daq_disk_free_bytes", "Free bytes where the files are"),
}

_CLOCK_GAUGES = {
    "offset": ("h5daq_clock_offset_seconds", "The writer's clock minus the host's"),
    "error": ("h5daq_clock_offset_error_seconds", "By how much that may be wrong at most"),
}


_LEVELS = {"warn": 1.0, "alarm": 2.0}

_NO_WRITER = {"kind": WRITER, "level": "alarm"}
"""The alarm that a writer can't raise itself."""


def _client() -> Any:
    try:
        import_module("prometheus_client.exposition")
        return import_module("prometheus_client")
    except ImportError as error:
        raise MissingExtra(
            "metrics need prometheus_client, which is not installed: pip install 'h5daq[metrics]'"
        ) from error


class RunCollector:
    """Metric families of one run, for a Prometheus registry.

    Parameters
    ----------
    ask : callable
        Puts a request to the writer; raises `NoAnswer` if none comes.
    values : bool
        Also the newest value of each scalar column that is a real number.
    """

    def __init__(self, ask: Ask, *, values: bool = False) -> None:
        self._ask, self._values = ask, values
        core = import_module("prometheus_client.core")
        self._gauge, self._counter = core.GaugeMetricFamily, core.CounterMetricFamily

    def describe(self) -> list[Any]:
        """Nothing: the registry need not ask for values when a collector is registered."""
        return []

    def collect(self) -> Iterator[Any]:
        """The families of this moment."""
        try:
            status = self._ask("status", {})
        except NoAnswer:
            yield self._gauge("h5daq_up", "Whether the writer answers", 0.0)
            yield self._raised([_NO_WRITER])
            return
        yield self._gauge("h5daq_up", "Whether the writer answers", 1.0)
        yield from self._of_run(status["run"], status["writer"])
        yield from self._of_clocks(status.get("clocks") or {})
        yield from self._of_jobs(status["jobs"])
        yield from self._of_alarms(status.get("alarms") or [], status["writer"])
        if self._values:
            yield self._newest(status["jobs"])

    def _of_run(self, run: Mapping[str, Any], writer: Mapping[str, Any]) -> Iterator[Any]:
        info = self._gauge("h5daq_run_info", "The run", labels=["run", "name", "durability"])
        info.add_metric([str(run.get(key) or "") for key in ("id", "name", "durability")], 1.0)
        yield info
        if run.get("start") is not None:
            yield self._gauge("h5daq_run_start_timestamp_seconds", "Begin of the run", run["start"])
        for key, (name, text) in _WRITER_COUNTS.items():
            yield self._counter(name, text, writer.get(key) or 0)
        for key, (name, text) in _WRITER_GAUGES.items():
            if writer.get(key) is not None:
                yield self._gauge(name, text, writer[key])
        trouble = 1.0 if writer.get("trouble") else 0.0
        yield self._gauge("h5daq_writer_trouble", "Whether something keeps rows back", trouble)
        refused = self._counter("h5daq_messages_refused", "Messages refused", labels=["cause"])
        for cause, count in (writer.get("refused") or {}).items():
            refused.add_metric([cause], count)
        yield refused

    def _of_clocks(self, clocks: Mapping[str, Any]) -> Iterator[Any]:
        for key, (name, text) in _CLOCK_GAUGES.items():
            family = self._gauge(name, text, labels=["host"])
            for host, told in clocks.items():
                family.add_metric([host], told[key])
            yield family

    def _of_jobs(self, jobs: Mapping[str, Any]) -> Iterator[Any]:
        for key, (name, text) in _JOB_COUNTS.items():
            yield self._per_job(self._counter(name, text, labels=["job"]), jobs, key, 1.0)
        for key, (name, text, scale) in _JOB_GAUGES.items():
            yield self._per_job(self._gauge(name, text, labels=["job"]), jobs, key, scale)
        lost = self._counter(
            "h5daq_rows_lost", "Rows that could not be kept", labels=["job", "cause"]
        )
        state = self._gauge("h5daq_job_state", "The state it is in", labels=["job", "state"])
        for job, told in jobs.items():
            state.add_metric([job, str(told.get("state", ""))], 1.0)
            for cause, count in (told.get("lost") or {}).items():
                lost.add_metric([job, cause], count)
        yield from (lost, state)

    def _of_alarms(self, alarms: list[Any], writer: Mapping[str, Any]) -> Iterator[Any]:
        yield self._raised(alarms)
        text = "Alarms that a command or a webhook was to be told"
        told = self._counter("h5daq_alarm_deliveries", text, labels=["receiver", "outcome"])
        for receiver, counts in (writer.get("alarm_receivers") or {}).items():
            for outcome in ("delivered", "failed", "dropped"):
                told.add_metric([receiver, outcome], counts.get(outcome) or 0)
        yield told

    def _raised(self, alarms: Iterable[Mapping[str, Any]]) -> Any:
        text = "Alarms that are raised: 1 is a warning, 2 an alarm"
        raised = self._gauge("h5daq_alarm", text, labels=["job", "column", "kind"])
        for alarm in alarms:
            key = [str(alarm.get(name) or "") for name in ("job", "column", "kind")]
            raised.add_metric(key, _LEVELS.get(str(alarm.get("level")), 0.0))
        return raised

    @staticmethod
    def _per_job(family: Any, jobs: Mapping[str, Any], key: str, scale: float) -> Any:
        for job, told in jobs.items():
            if told.get(key) is not None:
                family.add_metric([job], scale * told[key])
        return family

    def _newest(self, jobs: Mapping[str, Any]) -> Any:
        family = self._gauge("h5daq_value", "Newest value of a column", labels=["job", "column"])
        for job, told in jobs.items():
            row = self._ask("peek", {"job": job}) if told.get("rows") else None
            for label, value in (row or {}).items():
                if label != "time" and isinstance(value, int | float):
                    family.add_metric([job, label], float(value))
        return family


def exposition(ask: Ask, *, values: bool = False) -> str:
    """The metrics of this moment in Prometheus' text format.

    Raises
    ------
    MissingExtra
        If ``prometheus_client`` is not installed.
    """
    text: str = _client().generate_latest(_registry(ask, values)).decode()
    return text


def serve(
    ask: Ask, port: int, host: str = "127.0.0.1", *, values: bool = False
) -> tuple[int, Callable[[], None]]:
    """Answer scrapes over HTTP, in a thread of its own.

    Parameters
    ----------
    ask : callable
        Puts a request to the writer.
    port : int
        Port; 0 takes a free one.
    host : str
        Address to bind; loopback unless said otherwise.
    values : bool
        Also the newest values.

    Returns
    -------
    port : int
        The real one.
    stop : callable
        Ends the thread.

    Raises
    ------
    MissingExtra
        If ``prometheus_client`` is not installed.
    StorageError
        If the address can't be had.
    """
    client = _client()
    try:
        server, thread = client.start_http_server(port, host, _registry(ask, values))
    except OSError as error:
        text = f"metrics can't be served there: {error.strerror}; choose another port"
        raise StorageError(error.errno or errno.EADDRINUSE, text, f"{host}:{port}") from error
    return int(server.server_port), lambda: _stop(server, thread)


def _registry(ask: Ask, values: bool) -> Any:
    registry = _client().CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(ask, values=values))
    return registry


def _stop(server: Any, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()
