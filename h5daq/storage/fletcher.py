"""HDF5's Fletcher-32 checksum: of what is large by products of matrices, else by HDF5 itself.

The library that comes with h5py has the function among its symbols. Called through ctypes it
copies nothing and lets go of the interpreter, so that chunks are checked beside the thread that
writes them. Where the symbol is out of reach (Windows), numcodecs gives the same sum, with two
copies of the data and the interpreter held.

Either takes the words one after the other. But what they add up to, the sum of all words and the
sum of each times how many follow it, are sums over rows and columns of squares of 256 by 256
words; in single precision these are exact, and a processor makes sixteen of their terms at once.
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

__all__ = ["SUM_BYTES", "append_sum", "checksum"]

SUM_BYTES = 4
"""Bytes of the checksum behind the data of a chunk."""

_SIDE = 256
_SQUARE_BYTES = 2 * _SIDE**2
_UNITS = np.ones(_SIDE, np.float32)
_ONES = 0xFFFF

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
    whole[-SUM_BYTES:].data[:] = checksum(body).to_bytes(SUM_BYTES, "little")
    return whole.data


def checksum(data: NDArray[np.uint8]) -> int:
    """The checksum of bytes, shape ``(n,)``, as ``H5_checksum_fletcher32`` gives it.

    The sums are those of big-endian words modulo 65,535, where 0 stands only for no word but 0.
    Modulo 65,535 a word of the other byte order is 256 times as large.
    """
    squares = len(data) // _SQUARE_BYTES
    if not squares:
        return _function()(data)
    rest = data[squares * _SQUARE_BYTES :]
    plain, weighted = _sums(data[: squares * _SQUARE_BYTES].view("<u2"))
    after = _function()(rest) if len(rest) else 0
    words = (len(rest) + 1) // 2
    return _folded(256 * (weighted + words * plain) + (after >> 16)) << 16 | _folded(
        256 * plain + (after & _ONES)
    )


def _sums(words: NDArray[np.uint16]) -> tuple[int, int]:
    """Of whole squares of words: their sum, and that of each times those from it to the end."""
    squares = np.empty((len(words) // _SIDE**2, _SIDE, _SIDE), np.float32)
    np.copyto(squares.reshape(-1), words)
    # No sum exceeds 256 * 65,535, and single precision has all whole numbers up to 2**24.
    rows, columns = (squares @ _UNITS).astype(np.int64), (_UNITS @ squares).astype(np.int64)
    totals, count = rows.sum(axis=1), np.arange(_SIDE)
    plain = int(totals.sum())
    before = _SIDE**2 * int(totals @ np.arange(len(totals)))
    before += _SIDE * int(rows.sum(axis=0) @ count) + int(columns.sum(axis=0) @ count)
    return plain, len(words) * plain - before


def _folded(total: int) -> int:
    return (total - 1) % _ONES + 1 if total else 0


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
