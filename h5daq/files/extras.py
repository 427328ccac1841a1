"""Optional packages, imported when they are first needed.

A reader who only wants arrays needs neither xarray nor pandas; who asks for them without having
them is told the one command that mends it.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from h5daq.errors import MissingExtra

__all__ = ["optional"]


def optional(module: str, extra: str) -> ModuleType:
    """The imported `module`.

    Parameters
    ----------
    module : str
        Name of the package.
    extra : str
        The extra of h5daq that installs it.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtra(
            f"this needs {module}, which is not installed: pip install 'h5daq[{extra}]' ({error})"
        ) from error
