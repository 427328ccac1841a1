"""What can be known to be wrong with a daemon's arguments before anything starts."""

from __future__ import annotations

import logging
import math
import numbers
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from h5daq.errors import ConfigError, JobTypeError, JobValueError
from h5daq.flow.alarm_options import AlarmOptions
from h5daq.flow.names import check_attrs, check_collision
from h5daq.flow.schema import check_group
from h5daq.jobs import columns
from h5daq.jobs.job import DAQJob
from h5daq.keys import KeyDirectory

__all__ = [
    "check_options",
    "check_security",
    "checked_alarms",
    "checked_attrs",
    "checked_compression",
    "checked_jobs",
    "checked_name",
    "checked_period",
]

_DURABILITIES = ("fsync", "os", "none")


def checked_jobs(job_list: DAQJob | Iterable[DAQJob], data: str | None = None) -> list[DAQJob]:
    """The jobs as a list, if they can stand in one file; none only if others send to `data`."""
    if not isinstance(job_list, DAQJob | Iterable):
        raise JobTypeError(f"job_list must be a DAQJob or a list of them, not {job_list!r}")
    jobs = [job_list] if isinstance(job_list, DAQJob) else list(job_list)
    known: dict[str, list[str]] = {}
    for job in jobs:
        if not isinstance(job, DAQJob):
            raise JobTypeError(f"job_list holds {job!r}, which is no DAQJob")
        if job.group in known:
            raise ConfigError(f"two jobs have the group {job.group!r}; each needs one of its own")
        check_collision(known, job.group, list(job.schema.labels))
        known[job.group] = list(job.schema.labels)
    if not (jobs or data):
        raise ConfigError(
            "job_list is empty: there is nothing to record. Only with a data endpoint, such as "
            'data="tcp://*:5572", others can send rows.'
        )
    return jobs


def checked_period(period: float, jitter: float | None) -> tuple[float, float]:
    """Checkpoint period and jitter in seconds, if the period is the greater."""
    period = _number("write_period", period, above_zero=True)
    jitter = 0.0 if jitter is None else _number("write_period_jitter", jitter)
    if period <= jitter:
        raise ConfigError(f"write_period={period:g} must be above write_period_jitter={jitter:g}")
    return period, jitter


def checked_name(name: str) -> str:
    """The run's name, if it can be a directory of the vault."""
    if not isinstance(name, str):
        raise ConfigError(f"name must be a text, not {name!r}")
    try:
        return name and check_group(name)
    except JobValueError as error:
        raise ConfigError(f"name of the run: {error}") from None


def checked_attrs(attrs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Attributes of the file's root as plain numbers, texts and lists."""
    plain = columns.check_attrs(attrs)
    check_attrs(plain)
    return plain


def checked_compression(compression: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the datasets are compressed with, if HDF5 here can do that."""
    if not compression:
        return None
    if not isinstance(compression, Mapping):
        raise ConfigError(
            f"compression_dict must be a dict, not {compression!r}: "
            'e.g. {"compression": "gzip", "compression_opts": 4, "shuffle": True}'
        )
    # It brings h5py, which a daemon needs for nothing else.
    from h5daq.storage.filters import Filters

    Filters(compression)
    return dict(compression)


def checked_alarms(told: Mapping[str, Any] | None, jobs: Iterable[DAQJob]) -> dict[str, Any] | None:
    """What the writer is to watch: the options, the limits of the jobs; None for nothing."""
    jobs = list(jobs)
    limits = {job.group: job.limits for job in jobs if job.limits}
    if told is None and not limits:
        return None
    options = AlarmOptions.of({} if told is None else told, limits)
    names = dict.fromkeys([*options.rules.jobs, *(job.group for job in jobs)])
    return replace(options, rules=replace(options.rules, jobs=tuple(names))).to_map()


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what the writer could not begin with."""
    if options["durability"] not in _DURABILITIES:
        known = ", ".join(_DURABILITIES)
        raise ConfigError(f"durability={options['durability']!r} must be one of {known}")
    if options["log_level"] not in logging.getLevelNamesMapping():
        raise ConfigError(f"log_level={options['log_level']!r} must be a level such as INFO")
    for name in ("rollover_grace", "drain_timeout"):
        _number(name, options[name])
    _number("signal_rate", options["signal_rate"], above_zero=True)
    for name, value in options.items():
        least = 0 if name == "rollover_size" else 1
        if name == "rollover_size" or name.endswith("_bytes"):
            _bytes(name, value, least)


def _number(name: str, value: Any, *, above_zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ConfigError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value) or value < 0 or (above_zero and value == 0):
        raise ConfigError(
            f"{name}={value!r} must be {'above 0' if above_zero else 'at least 0'} and finite"
        )
    return float(value)


def _bytes(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name}={value!r} must be a whole number of bytes, at least {least}")


def check_security(
    endpoints: Iterable[str | None], insecure: bool, keys: str | os.PathLike[str] | None = None
) -> None:
    """Refuse sockets that others could reach without a key, unless that is wanted.

    On tcp these are all on the network, or with a loopback address all users of this machine; on
    Linux's abstract ipc sockets (``ipc://@name``), which have no permissions, the latter as well.
    """
    if keys:
        KeyDirectory(keys).load()
    for endpoint in endpoints:
        exposed = (endpoint or "").startswith(("tcp://", "ipc://@"))
        if exposed and not (keys or insecure):
            raise ConfigError(
                f"{endpoint}: without keys this socket lets in anyone who can reach it. Make keys "
                '(h5daq keys init keys) and name them (keys = "keys" in [security], keys="keys" '
                "in Python), leave the endpoint out (private ipc sockets), or say insecure = true."
            )
