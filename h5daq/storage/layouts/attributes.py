"""Attributes of any value: what a user says about a run or a job must never cost a row.

Whatever can come in a message has a form here: numbers, bools and text as they are, lists as
arrays, anything nested as JSON text. Only the names of the file's own attributes are taken: a
user's attribute of such a name is kept as ``user_<name>``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import h5py
import numpy as np

from h5daq.flow.names import TAKEN

__all__ = ["attribute_value", "clean_text", "set_attribute", "write_user_attributes"]

_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)


def write_user_attributes(
    node: h5py.Group, attrs: Mapping[str, Any], reserved: Collection[str]
) -> None:
    """Write a user's attributes; those with a reserved name get ``user_`` in front."""
    for name, value in attrs.items():
        taken = name in reserved or name.startswith(TAKEN)
        set_attribute(node, f"user_{name}" if taken else name, value)


def set_attribute(node: h5py.Group | h5py.Dataset, name: str, value: Any) -> None:
    """Set an attribute to any value."""
    node.attrs[clean_text(name) or "_"] = attribute_value(value)


def attribute_value(value: Any) -> Any:
    """`value` as h5py can store it in an attribute.

    Returns
    -------
    number, bool, str, ndarray, numpy.void or h5py.Empty
        JSON text for what has no form of its own in HDF5.
    """
    if value is None:
        return h5py.Empty("f8")
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bytes):
        return np.void(value) if value else h5py.Empty("S1")
    if isinstance(value, bool | int | float | complex | np.generic | np.ndarray):
        return _numbers(value)
    if isinstance(value, list | tuple):
        return _sequence(list(value))
    return _as_json(value)


def clean_text(text: str) -> str:
    """`text` as UTF-8 without NUL, which HDF5's strings can't hold: both are escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _numbers(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer(value)
    array = np.asarray(value)
    if array.dtype.kind in "biufcS":
        return value
    return attribute_value(array.tolist()) if array.dtype.kind in "UO" else _as_json(array.tolist())


def _integer(value: int) -> Any:
    if value in _INT64:
        return np.int64(value)
    return np.uint64(value) if value in _UINT64 else str(value)


def _sequence(values: list[Any]) -> Any:
    if not values:
        return h5py.Empty("f8")
    if all(isinstance(value, str) for value in values):
        return np.array([clean_text(value) for value in values], dtype=h5py.string_dtype())
    if any(isinstance(value, str | bytes) or value is None for value in values):
        return _as_json(values)
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        return _as_json(values)
    return array if array.dtype.kind in "biufc" else _as_json(values)


def _as_json(value: Any) -> str:
    return clean_text(json.dumps(value, default=str, ensure_ascii=False))
