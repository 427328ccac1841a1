"""What the alarms of a run are set up with: limits of columns, what else is watched, who is told.

The same mapping comes from the table [alarms] of a configuration and from ``DAQDaemon(alarms=…)``,
and goes to the writer; it is checked here, once for all of them.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from h5daq.errors import ConfigError, JobError
from h5daq.flow.limits import Limits
from h5daq.flow.watched import Rules

__all__ = ["AlarmOptions", "JobLimits"]

JobLimits = Mapping[str, Mapping[str, Limits]]
"""Limits by job and column."""

_KEYS = (
    "limits", "jobs", "down", "loss", "disk", "command", "webhook", "timeout", "per_minute",
)  # fmt: skip
_GIB = float(1 << 30)


@dataclass(frozen=True, slots=True)
class AlarmOptions:
    """How a run is watched.

    Parameters
    ----------
    limits : mapping
        By job and column.
    rules : Rules
        What else is watched.
    command : tuple of str
        A program and its arguments, which is given each alarm on its standard input; empty: none.
    webhook : str
        Where each alarm is posted to; empty: nowhere.
    timeout : float
        Seconds that either may take.
    per_minute : float
        Most alarms that either is given per minute; what is more is told later, as its newest.
    """

    limits: JobLimits = field(default_factory=dict)
    rules: Rules = field(default_factory=lambda: Rules(disk=(4 * _GIB, _GIB)))
    command: tuple[str, ...] = ()
    webhook: str = ""
    timeout: float = 10.0
    per_minute: float = 30.0

    @classmethod
    def of(cls, told: Any, limits: JobLimits | None = None) -> AlarmOptions:
        """Options from a mapping; those that are left out have their defaults.

        Parameters
        ----------
        told : mapping
            ``limits`` (by group and label), ``jobs`` (that are to say hello), ``down``, ``loss``,
            ``disk`` (bytes for ``warn`` and ``alarm``), ``command``, ``webhook``, ``timeout``,
            ``per_minute``.
        limits : mapping, optional
            More limits, by job and column.

        Raises
        ------
        ConfigError
            Naming the key that is unknown or wrong.
        """
        if not isinstance(told, Mapping):
            raise ConfigError(f"alarms must be a mapping of {', '.join(_KEYS)}, not {told!r}")
        for key in told:
            if key not in _KEYS:
                raise ConfigError(f"alarms: unknown key {key!r}; known are {', '.join(_KEYS)}")
        return cls(
            limits={**_limits(told.get("limits")), **(limits or {})},
            rules=_rules(told),
            command=_command(told.get("command")),
            webhook=_webhook(told.get("webhook")),
            timeout=_above_zero(told, "timeout", 10.0),
            per_minute=_above_zero(told, "per_minute", 30.0),
        )

    def to_map(self) -> dict[str, Any]:
        """The same as plain values, from which `of` makes it again."""
        warn, alarm = self.rules.disk
        return {
            "limits": {
                job: {label: limits.to_map() for label, limits in columns.items()}
                for job, columns in self.limits.items()
            },
            "jobs": list(self.rules.jobs),
            "down": self.rules.down,
            "loss": self.rules.loss,
            "disk": {"warn": warn, "alarm": alarm},
            "command": list(self.command),
            "webhook": self.webhook,
            "timeout": self.timeout,
            "per_minute": self.per_minute,
        }


def _limits(told: Any) -> dict[str, dict[str, Limits]]:
    found: dict[str, dict[str, Limits]] = {}
    for job, columns in _map(told, "limits").items():
        for label, limits in _map(columns, f"limits of {job!r}").items():
            try:
                found.setdefault(str(job), {})[str(label)] = Limits.of(limits)
            except JobError as error:
                raise ConfigError(f"alarms: job {job!r}, label {label!r}: {error}") from None
    return found


def _map(told: Any, what: str) -> Mapping[Any, Any]:
    if told is None:
        return {}
    if not isinstance(told, Mapping):
        raise ConfigError(f"alarms: {what} must be a mapping, not {told!r}")
    return told


def _rules(told: Mapping[str, Any]) -> Rules:
    for key in ("down", "loss"):
        if not isinstance(told.get(key, True), bool):
            raise ConfigError(f"alarms: {key} must be True or False, not {told[key]!r}")
    return Rules(
        down=told.get("down", True),
        loss=told.get("loss", True),
        disk=_disk(_map(told.get("disk"), "disk")),
        jobs=tuple(_texts(told.get("jobs"), "jobs")),
    )


def _disk(told: Mapping[Any, Any]) -> tuple[float, float]:
    for key in told:
        if key not in ("warn", "alarm"):
            raise ConfigError(f"alarms: disk: unknown key {key!r}; known are warn, alarm")
    warn, alarm = _bytes(told.get("warn", 4 * _GIB)), _bytes(told.get("alarm", _GIB))
    if "warn" not in told:
        warn = max(warn, alarm) if alarm else 0.0
    elif "alarm" not in told:
        alarm = min(warn, alarm)
    if 0 < warn < alarm:
        raise ConfigError(f"alarms: disk: an alarm at {alarm:g} bytes comes before the warning")
    return warn, alarm


def _bytes(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not float(value) >= 0:
        raise ConfigError(f"alarms: disk: a number of bytes from 0, not {value!r}")
    return float(value)


def _texts(told: Any, what: str) -> Sequence[str]:
    texts = [] if told is None else told
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise ConfigError(f"alarms: {what} must be a list of texts, not {told!r}")
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise ConfigError(f"alarms: {what} must be a list of texts, not {told!r}")
    return texts


def _command(told: Any) -> tuple[str, ...]:
    words = _texts(told, "command")
    if words and not words[0]:
        raise ConfigError("alarms: command must begin with the name of a program")
    return tuple(words)


def _webhook(told: Any) -> str:
    if not told and (told is None or isinstance(told, str)):
        return ""
    scheme, _, rest = told.partition("://") if isinstance(told, str) else ("", "", "")
    host = rest.partition("/")[0]
    if scheme not in ("http", "https") or not host or not told.isprintable() or " " in told:
        raise ConfigError(f"alarms: webhook must be an http:// or https:// address, not {told!r}")
    return str(told)


def _above_zero(told: Mapping[str, Any], key: str, default: float) -> float:
    value = told.get(key, default)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not 0 < float(value) < math.inf:
        raise ConfigError(f"alarms: {key} must be a number above 0, not {value!r}")
    return float(value)
