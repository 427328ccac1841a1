"""Flattened LabRAD data: the bytes of a value with its type tag, and back.

`flatten` and `unflatten` are the codec, `to_data_url` and `from_data_url` the form that parameters
have in a dataset's file: tag and big-endian data as two strings in a base64 data URL. The bytes
are those of pylabrad 0.98 (LabRAD project), checked against it by the tests where it is installed.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Literal, NamedTuple

from h5daq.errors import LabradError
from h5daq.vault.labrad_pack import pack
from h5daq.vault.labrad_tags import LabradType, parse_tag
from h5daq.vault.labrad_unpack import Cursor, unpack
from h5daq.vault.labrad_values import ErrorValue, Quantity, type_of

__all__ = [
    "DATA_URL",
    "ErrorValue",
    "Flat",
    "Quantity",
    "flatten",
    "from_data_url",
    "to_data_url",
    "unflatten",
]

DATA_URL = "data:application/labrad;base64,"
"""How a parameter's text begins."""

ByteOrder = Literal["big", "little"]


class Flat(NamedTuple):
    """A value's type tag and its bytes."""

    tag: str
    data: bytes


def flatten(value: Any, tag: str | None = None, byteorder: ByteOrder = "big") -> Flat:
    """A value as bytes.

    Parameters
    ----------
    value : object
        None, bool, int, float, complex, str, bytes, datetime, `Quantity`, `ErrorValue`; a tuple
        (cluster), a list, or an ndarray of them.
    tag : str, optional
        The type that it shall have; by default the type that it has.
    byteorder : {"big", "little"}
        Of numbers and lengths.

    Raises
    ------
    LabradError
        If it does not fit the tag, or has no LabRAD type.

    Examples
    --------
    >>> flatten((1, "two"))
    Flat(tag='(is)', data=b'\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x03two')
    >>> flatten([Quantity(3.0, "mV")]).tag
    '*v[mV]'
    >>> flatten(1, "v[]").data.hex()
    '3ff0000000000000'
    """
    wanted: LabradType = type_of(value) if tag is None else parse_tag(tag)
    out = bytearray()
    kind = pack(out, value, wanted, ">" if byteorder == "big" else "<")
    return Flat(str(kind), bytes(out))


def unflatten(data: bytes, tag: str, byteorder: ByteOrder = "big") -> Any:
    """The value of flattened data.

    Parameters
    ----------
    data : bytes
        All of it; nothing may be left over.
    tag : str
        Its type.
    byteorder : {"big", "little"}
        Of numbers and lengths.

    Returns
    -------
    object
        Lists of numbers and bools as ndarrays (int32, uint32, float64, complex128, bool), with a
        unit as `Quantity`; other lists as lists, clusters as tuples, times in UTC.

    Raises
    ------
    LabradError
        If the bytes are not of that type.

    Examples
    --------
    >>> unflatten(bytes.fromhex("3ff0000000000000"), "v[mV]")
    Quantity(value=1.0, unit='mV')
    """
    cursor = Cursor(memoryview(data), ">" if byteorder == "big" else "<")
    value = unpack(cursor, parse_tag(tag))
    if cursor.left:
        raise LabradError(f"{cursor.left} bytes are left over after a value of type {tag[:80]}")
    return value


def to_data_url(value: Any) -> str:
    """A value as the text that stands in a parameter's attribute.

    Raises
    ------
    LabradError
        If it has no LabRAD type.

    Examples
    --------
    >>> to_data_url("upper")
    'data:application/labrad;base64,AAAAAXMAAAAJAAAABXVwcGVy'
    """
    flat = flatten(value)
    both = flatten((flat.tag.encode(), flat.data), "yy").data
    return DATA_URL + base64.urlsafe_b64encode(both).decode("ascii")


def from_data_url(text: str) -> Any:
    """The value in a parameter's text.

    Raises
    ------
    LabradError
        If the text is no such data URL.

    Examples
    --------
    >>> from_data_url("data:application/labrad;base64,AAAAAXMAAAAJAAAABXVwcGVy")
    'upper'
    """
    if not text.startswith(DATA_URL):
        raise LabradError(f"{text[:60]!r} does not begin with {DATA_URL}")
    try:
        both = base64.b64decode(text[len(DATA_URL) :].encode("ascii"), altchars=b"-_")
    except (binascii.Error, ValueError) as error:
        raise LabradError(f"a parameter's text is no base64: {error}") from error
    tag, data = unflatten(both, "yy")
    return unflatten(data, tag.decode("utf-8", "replace"))
