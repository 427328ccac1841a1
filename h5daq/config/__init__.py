"""The configuration file: read, checked against a model, turned into jobs and settings.

``load(path)`` gives a `Config` or raises one ``ConfigError`` with all mistakes of the file.
``example()`` is the commented file that explains every key.

The only package that imports pydantic; import it where a configuration is read, not before.
"""

from __future__ import annotations

from importlib.resources import files

from h5daq.config.load import examine, load
from h5daq.config.mistakes import Mistake, render
from h5daq.config.model import Config

__all__ = ["Config", "Mistake", "examine", "example", "load", "render"]


def example() -> str:
    """A commented configuration, valid as it stands, whose jobs run on any computer."""
    return files(__name__).joinpath("example.toml").read_text(encoding="utf-8")
