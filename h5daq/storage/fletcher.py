"""HDF5's Fletcher-32 checksum, by HDF5 itself where it lets us.

The library that comes with h5py has the function among its symbols. Called through ctypes it
copies nothing and lets go of the interpreter, so that chunks are checked beside the thread that
writes them. Where the symbol is out of reach (Windows), numcodecs gives the same sum, with two
copies of the data and the interpreter held.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import h5py.defs
import numpy as np
from numcodecs.fletcher32 import Fletcher32
from numpy.typing import NDArray

__all__ = ["SUM_BYTES", "append_sum"]

SUM_BYTES = 4
"""Bytes of the checksum behind the data of a chunk."""

_Sum = Callable[[NDArray[np.uint8]], int]


def append_sum(data: bytes | memoryview, buffer: NDArray[np.uint8] | None = None) -> memoryview:
    """A chunk's data and its checksum, as HDF5's filter leaves them; thread-safe.

    Parameters
    ----------
    data : bytes or memoryview
        The chunk after all other filters, `n` bytes.
    buffer : ndarray, optional
        Where they go, shape ``(n + SUM_BYTES,)``.

    Returns
    -------
    memoryview
        ``n + SUM_BYTES`` bytes; the sum stands last, little-endian.
    """
    plain = np.frombuffer(data, np.uint8)
    whole = np.empty(len(plain) + SUM_BYTES, np.uint8) if buffer is None else buffer
    body = whole[:-SUM_BYTES]
    body[:] = plain
    whole[-SUM_BYTES:].data[:] = _function()(body).to_bytes(SUM_BYTES, "little")
    return whole.data


@functools.cache
def _function() -> _Sum:
    """HDF5's function if it is there and does what it should, else that of numcodecs."""
    probe = np.arange(1001, dtype=np.uint16).view(np.uint8)
    found = _of_hdf5()
    return found if found and found(probe) == _of_numcodecs(probe) else _of_numcodecs


def _of_hdf5() -> _Sum | None:
    try:
        # Symbols are looked up in all that h5py's module is linked with.
        function: Any = ctypes.CDLL(h5py.defs.__file__).H5_checksum_fletcher32
    except (OSError, AttributeError):
        return None
    function.restype, function.argtypes = ctypes.c_uint32, [ctypes.c_void_p, ctypes.c_size_t]
    return lambda body: int(function(body.ctypes.data, body.nbytes))


def _of_numcodecs(body: NDArray[np.uint8]) -> int:
    return int.from_bytes(bytes(Fletcher32().encode(body))[-SUM_BYTES:], "little")
