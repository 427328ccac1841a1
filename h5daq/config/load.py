"""From a file to a `Config`, or to all the mistakes in it at once.

The text is read as TOML, its tables are held against the model and against the rules that join
several keys, and each mistake is given the line on which its key stands.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from h5daq.config.explain import explain
from h5daq.config.lines import key_lines
from h5daq.config.mistakes import KeyPath, Mistake, nearest, render
from h5daq.config.model import Config
from h5daq.config.rules import broken_rules
from h5daq.errors import ConfigError

__all__ = ["examine", "load", "locate"]

_AT_LINE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")
_HINTS = {
    "Invalid value": 'texts stand in quotes: name = "tank-a"; lists in [ ], tables in { }',
    "Expected '='": "key = value, one per line; a table begins with [name]",
    "Cannot overwrite": "each key once",
    "Cannot declare": "each table once; jobs, of which there may be many, begin with [[jobs]]",
    "Illegal character": "a text that ends with its quote on the same line",
    "Unclosed array": "a list that ends with ]",
    "Unclosed inline table": "a table within a line, that ends with }",
}


def load(path: str | Path) -> Config:
    """Read a configuration.

    Parameters
    ----------
    path : str or Path
        A TOML file.

    Raises
    ------
    ConfigError
        If it can't be read, or with all its mistakes, each with line, key, what was found and
        what would be right.
    """
    config, mistakes = examine(path)
    if config is None:
        raise ConfigError(render(str(path), mistakes))
    return config


def examine(path: str | Path) -> tuple[Config | None, list[Mistake]]:
    """The configuration, or None and its mistakes in the order of their lines.

    Raises
    ------
    ConfigError
        If there is no such file or it can't be read.
    """
    text = _read(Path(path))
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [_syntax(text, str(error))]
    config, mistakes = _judge(raw)
    if mistakes or config is None:
        return None, locate(text, mistakes, raw)
    config._path = Path(path).expanduser().resolve()
    return config, []


def locate(text: str, mistakes: Iterable[Mistake], raw: dict[str, Any]) -> list[Mistake]:
    """The mistakes with the lines of their keys and the groups of their jobs, sorted by line."""
    lines = key_lines(text)
    told = [
        replace(mistake, line=_line(lines, mistake.key), job=_job(raw, mistake.key))
        for mistake in mistakes
    ]
    return sorted(told, key=lambda mistake: mistake.line)


def _judge(raw: dict[str, Any]) -> tuple[Config | None, list[Mistake]]:
    config: Config | None = None
    mistakes: list[Mistake] = []
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        mistakes += explain(error, raw)
    told = {mistake.key for mistake in mistakes}
    mistakes += [mistake for mistake in broken_rules(raw) if mistake.key not in told]
    return config, mistakes


def _line(lines: dict[KeyPath, int], key: KeyPath) -> int:
    # What is missing is told on the line of the table in which it is missed.
    for end in range(len(key), 0, -1):
        if key[:end] in lines:
            return lines[key[:end]]
    return 0


def _job(raw: dict[str, Any], key: KeyPath) -> str:
    if len(key) < 2 or key[0] != "jobs" or not isinstance(key[1], int):
        return ""
    job = raw["jobs"][key[1]]
    group = job.get("group", "") if isinstance(job, dict) else ""
    return group if isinstance(group, str) else ""


def _syntax(text: str, message: str) -> Mistake:
    at = _AT_LINE.search(message)
    problem = _AT_LINE.sub("", message)
    right = next((hint for start, hint in _HINTS.items() if problem.startswith(start)), "")
    lines = text.split("\n")
    line = int(at[1]) if at and at[1] else len(lines)
    found = lines[line - 1].rstrip()
    if at and at[2]:
        found += "\n" + " " * (int(at[2]) - 1) + "^"
    return Mistake((), f"not TOML: {problem}", found, right, line)


def _read(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="utf-8").replace("\r\n", "\n")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file{_hint(path)}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a text in UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error


def _hint(path: Path) -> str:
    near = nearest(path.name, _neighbours(path))
    first = f"; perhaps {path.with_name(near)}" if near else ""
    return f"{first}. An example is shown by: h5daq check --example"


def _neighbours(path: Path) -> Iterator[str]:
    if path.parent.is_dir():
        yield from (found.name for found in path.parent.glob("*.toml"))
