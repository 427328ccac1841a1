"""The getter as the worker calls it: built where it is read, closed where it was built.

A function is called as it is. A class, or a factory with ``getter_args``, is built first, in the
worker, so that a serial port or a socket never has to travel between processes; what it gives is
called for each row, and its ``close()``, if it has one, when the job ends. If it has an
``interrupt()``, that is called from another thread when the job is told to stop in the midst of a
reading.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from h5daq.errors import JobError, JobTypeError, JobValueError

__all__ = ["Getter", "import_getter"]


class Getter:
    """A built getter.

    Parameters
    ----------
    group : str
        The job, for error texts.
    getter : callable
        A function, a class or a factory.
    args : mapping, optional
        What to build it with; None for a plain function.

    Raises
    ------
    JobError
        If it can't be built.
    """

    def __init__(
        self, group: str, getter: Callable[..., Any], args: Mapping[str, Any] | None = None
    ) -> None:
        self.call: Callable[[], Any] = getter
        self._built = args is not None or isinstance(getter, type)
        if self._built:
            self.call = _build(group, getter, args or {})

    def interrupt(self) -> None:
        """Make a reading that is under way return soon, if the getter knows how."""
        self._ask("interrupt")

    def close(self) -> None:
        """Close what was built here."""
        self._ask("close")

    def _ask(self, name: str) -> None:
        method = getattr(self.call, name, None) if self._built else None
        if callable(method):
            method()


def _build(group: str, factory: Callable[..., Any], args: Mapping[str, Any]) -> Callable[[], Any]:
    name = getattr(factory, "__name__", repr(factory))
    try:
        built: Callable[[], Any] = factory(**args)
    except JobError:
        raise
    except Exception as error:
        # The user's code may raise anything.
        raise JobError(
            f"job {group}: getter {name}({_arguments(args)}) could not be built: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(built):
        raise JobTypeError(
            f"job {group}: getter {name} gave {type(built).__name__}, which can't be called: "
            "give it a __call__ that returns a row"
        )
    return built


def _arguments(args: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in args.items())


def import_getter(name: str) -> Callable[..., Any]:
    """The callable that ``"package.module:name"`` stands for.

    Raises
    ------
    JobError
        If there is no such module or name in it.

    Examples
    --------
    >>> import_getter("math:hypot")(3, 4)
    5.0
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise JobValueError(f"getter {name!r} must look like 'package.module:name'")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise JobError(f"getter {name!r}: {error}. Is it on PYTHONPATH?") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise JobValueError(f"getter {name!r}: {found.__name__} has no {part!r}")
        found = getattr(found, part)
    if not callable(found):
        raise JobTypeError(f"getter {name!r} is {type(found).__name__}, which can't be called")
    return found  # type: ignore[no-any-return]
