"""A job as bytes for its worker: by cloudpickle over a private pipe, and only so.

Functions of a script or a notebook, closures and lambdas travel whole; functions of modules by
name. What can't travel (an open port, a lock, an open file) is looked for when packing fails, so
that the error can name it and the way out. An open file would travel as a copy of its text, and
the getter would read the same for ever: it is refused as well.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
import io
import logging
import pickle
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cloudpickle

from h5daq.errors import JobError

__all__ = ["changed_variables", "pack", "unpack"]

log = logging.getLogger("h5daq.jobs")

_WAY_OUT = (
    "open it in the worker instead: give a class or a factory as getter and what it needs as "
    "getter_args (getter=Thermometer, getter_args={'port': '/dev/ttyUSB0'})"
)
_DEPTH = 4

_STORES = {"STORE_GLOBAL", "DELETE_GLOBAL"}
_FILES = (io.TextIOWrapper, io.BufferedIOBase, io.FileIO)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, _FILES) and not isinstance(obj, io.BytesIO):
            raise pickle.PicklingError(f"an open file ({getattr(obj, 'name', obj)})")
        return super().reducer_override(obj)


def pack(group: str, job: Any) -> bytes:
    """A job as bytes.

    Raises
    ------
    JobError
        If something in it can't be moved to another process; names the job, the culprit and the
        way out.
    """
    try:
        packed = _dumps(job)
    except _REFUSALS as error:
        culprit = _culprit(_contents(job))
        raise JobError(
            f"job {group}: {culprit} can't be moved to the worker process "
            f"({type(error).__name__}: {error}); {_WAY_OUT}"
        ) from error
    _warn_of_changes(group, job)
    return packed


def unpack(data: bytes) -> Any:
    """The job that `pack` packed; only ever called on bytes from the parent's pipe.

    Raises
    ------
    JobError
        If something that it needs can't be imported or rebuilt here.
    """
    try:
        return pickle.loads(data)
    except Exception as error:
        # Modules of the user are imported by this, and they may raise anything.
        raise JobError(
            f"the worker process can't load the job: {type(error).__name__}: {error}"
        ) from error


_REFUSALS = (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError,
             RuntimeError, OSError, NotImplementedError)  # fmt: skip
"""What the ``__reduce__`` of objects that can't be pickled is known to raise."""


def _contents(job: Any) -> dict[str, Any]:
    """What of a job is moved; the getter first, for it is most often to blame."""
    state = job.__getstate__() if hasattr(job, "getter") else {"getter": job}
    return {"getter": state.pop("getter"), **state}


def _dumps(thing: Any) -> bytes:
    file = io.BytesIO()
    _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(thing)
    return file.getvalue()


# -- who is to blame ------------------------------------------------------------------------------


def _culprit(thing: Any) -> str:
    """What in a thing can't be moved, and where it is, in the names of its author."""
    path = _path(thing, _DEPTH)
    if not path:
        return _kind(thing)
    (*above, _), culprit = zip(*path, strict=True)
    name = path[-1][0]
    where = f" in {'.'.join(above)}" if above else ""
    return f"{name!r} ({_kind(culprit[-1])}){where}"


def _path(thing: Any, depth: int) -> list[tuple[str, Any]]:
    for name, part in _parts(thing):
        if not _moves(part):
            return [(name, part), *(_path(part, depth - 1) if depth else [])]
    return []


def _moves(thing: Any) -> bool:
    try:
        _dumps(thing)
    except _REFUSALS:
        return False
    return True


def _kind(thing: Any) -> str:
    kind = type(thing)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _parts(thing: Any) -> Iterator[tuple[str, Any]]:
    """What an object refers to, by the names that its author knows."""
    if isinstance(thing, functools.partial):
        yield "func", thing.func
        yield from _numbered(thing.args)
        yield from thing.keywords.items()
    elif isinstance(thing, types.MethodType):
        yield "self", thing.__self__
    elif isinstance(thing, types.FunctionType):
        yield from _variables(thing)
        yield from _numbered(thing.__defaults__ or ())
    elif isinstance(thing, dict):
        yield from ((str(name), value) for name, value in thing.items())
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from _numbered(thing)
    else:
        yield from dict(getattr(thing, "__dict__", {})).items()


def _variables(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not assigned yet
            yield name, cell.cell_contents
    for name in code.co_names:
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _numbered(things: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((str(number), thing) for number, thing in enumerate(things))


# -- copies ---------------------------------------------------------------------------------------


def changed_variables(function: Callable[..., Any]) -> list[str]:
    """Variables outside a function that it assigns to: in a worker it changes a copy of them.

    Examples
    --------
    >>> def count():
    ...     global n
    ...     n += 1
    >>> changed_variables(count)
    ['n']
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, types.CodeType):
        return []
    outer = set(code.co_freevars)
    names = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in _STORES or (step.opname == "STORE_DEREF" and step.argval in outer)
    }
    return sorted(names)


def _warn_of_changes(group: str, job: Any) -> None:
    names = changed_variables(getattr(job, "getter", job))
    if names:
        log.warning(
            "job %s: the getter assigns to %s; it runs in a process of its own and changes its "
            "own copy, not the script's",
            group,
            ", ".join(names),
        )
