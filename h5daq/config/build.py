"""From the tables [[jobs]] to `DAQJob`s: getters are imported by name, and all that fail are told.

Modules are looked for where Python looks, and then beside the configuration file.
"""

from __future__ import annotations

import inspect
import shutil
import sys
import tomllib
from collections.abc import Callable
from typing import Any

from h5daq.config.job_model import Job
from h5daq.config.load import locate
from h5daq.config.mistakes import KeyPath, Mistake, render, shown
from h5daq.config.model import Config
from h5daq.errors import ConfigError, JobError
from h5daq.flow.alarm_options import AlarmOptions
from h5daq.jobs.extern import DAQJobExtern
from h5daq.jobs.getter import import_getter
from h5daq.jobs.job import DAQJob

__all__ = ["alarm_options", "make_jobs", "try_command", "try_jobs"]

_OTHERWISE = {
    "getter",
    "args",
    "command",
    "delimiter",
    "comment",
    "host",
    "columns",
    "handle_error",
}
_SAME_NAME = [name for name in Job.model_fields if name not in _OTHERWISE]
"""Keys that are arguments of `DAQJob` as they are."""


def make_jobs(config: Config, host: str | None = None, group: str | None = None) -> list[DAQJob]:
    """The jobs of `host`; see `Config.make_jobs`."""
    jobs, mistakes = try_jobs(config, host, group)
    if mistakes:
        raise ConfigError(render(str(config.path), mistakes))
    return jobs


def try_jobs(
    config: Config, host: str | None = None, group: str | None = None
) -> tuple[list[DAQJob], list[Mistake]]:
    """The jobs of `host` that can be made, and what is wrong with the others."""
    _look_beside(config)
    jobs: list[DAQJob] = []
    mistakes: list[Mistake] = []
    for number, table in enumerate(config.jobs):
        if table.host == host and group in (None, table.group.strip("/")):
            try:
                jobs.append(_make(("jobs", number), table))
            except _NotMadeError as failed:
                mistakes.append(failed.mistake)
    return jobs, _located(config, mistakes)


class _NotMadeError(Exception):
    """One job can't be made."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.problem)
        self.mistake = mistake


def _look_beside(config: Config) -> None:
    beside = str(config.path.parent)
    if beside not in sys.path:
        sys.path.append(beside)


def _make(key: KeyPath, table: Job) -> DAQJob:
    arguments = {name: getattr(table, name) for name in _SAME_NAME} | _columns(table)
    if table.handle_error:
        arguments["handle_error_function"] = _import((*key, "handle_error"), table.handle_error)
    try:
        if table.command is not None:
            source = {"delimiter": table.delimiter, "comment": table.comment}
            return DAQJobExtern(getter=table.command, **source, **arguments)
        getter = _import((*key, "getter"), str(table.getter))
        _check_args(key, table, getter)
        return DAQJob(getter=getter, getter_args=table.args, **arguments)
    except JobError as error:
        raise _NotMadeError(Mistake((*key, "group"), str(error))) from error


def _check_args(key: KeyPath, table: Job, getter: Callable[..., Any]) -> None:
    # Told here, it is not first seen in a worker that nobody watches.
    try:
        signature = inspect.signature(getter)
    except (ValueError, TypeError):  # built into Python, and silent about itself
        return
    try:
        signature.bind(**(table.args or {}))
    except TypeError as error:
        name = "getter" if table.args is None else "args"
        right = f"args for {table.getter}{signature.replace(return_annotation=signature.empty)}"
        mistake = Mistake((*key, name), str(error), shown(getattr(table, name)), right)
        raise _NotMadeError(mistake) from error


def _import(key: KeyPath, name: str) -> Callable[..., Any]:
    try:
        return import_getter(name)
    except JobError as error:
        raise _NotMadeError(Mistake(key, str(error), shown(name), _IMPORTABLE)) from error
    except Exception as error:
        problem = f"importing it failed: {type(error).__name__}: {error}"
        raise _NotMadeError(Mistake(key, problem, shown(name), _IMPORTABLE)) from error


_IMPORTABLE = (
    "a function or class in a module that Python finds on its path or beside the configuration"
)


def _columns(table: Job) -> dict[str, Any]:
    columns = table.columns
    return {
        "label": [column.label for column in columns],
        "dtype": [str if column.dtype == "text" else column.dtype for column in columns],
        "shape": [(0, *column.shape) for column in columns],
        "units": [column.unit for column in columns],
        "descriptions": [column.description for column in columns],
        "limits": _limits(table) or None,
    }


def _limits(table: Job) -> dict[str, dict[str, Any]]:
    limited = [(column.label, column.limits) for column in table.columns if column.limits]
    return {label: limits.model_dump(exclude_none=True) for label, limits in limited}


def alarm_options(config: Config) -> dict[str, Any] | None:
    """What is watched of all jobs, wherever they run; see `Config.alarm_options`."""
    limits = {table.group.strip("/"): _limits(table) for table in config.jobs}
    limited = {group: columns for group, columns in limits.items() if columns}
    if config.alarms is None and not limited:
        return None
    told = config.alarms.model_dump(exclude_none=True) if config.alarms else {}
    if "command" in told:
        told["command"] = [_program(config, told["command"][0]), *told["command"][1:]]
    return AlarmOptions.of({**told, "limits": limited, "jobs": list(limits)}).to_map()


def try_command(config: Config) -> list[Mistake]:
    """What is wrong with the command that alarms are given to, if it is to run here."""
    words = (config.alarms.command if config.alarms else None) or [""]
    if not words[0] or config.writer.host or shutil.which(_program(config, words[0])):
        return []
    right = 'a program that is there and may be run; one beside this file is written "./alarm.sh"'
    key = ("alarms", "command", 0)
    return _located(config, [Mistake(key, "no such program", shown(words[0]), right)])


def _program(config: Config, name: str) -> str:
    """As other paths in the file: one with a slash is relative to it; a bare name is looked for."""
    return str(config.resolve(name)) if "/" in name else name


def _located(config: Config, mistakes: list[Mistake]) -> list[Mistake]:
    if not mistakes:
        return []
    text = config.path.read_text(encoding="utf-8")
    return locate(text, mistakes, tomllib.loads(text))
