"""The filters of a run's datasets, applied outside HDF5 where we know how.

Shuffle, deflate and Fletcher-32 are done here, without HDF5's lock, and the finished chunk goes
to the file by ``write_direct_chunk``: several times the speed of HDF5's own pipeline, and any
HDF5 reads it, since the datasets declare the ordinary filters. Levels up to 3 use ISA-L where it
is installed, whose output is a little larger; the others zlib.

Any other filter (lzf, szip, a plugin by its number) is HDF5's own business: then `Filters.direct`
is False and the rows are written as a hyperslab. Lossy ones aren't offered.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from h5daq.errors import ConfigError, ConfigKeyError
from h5daq.storage.fletcher import SUM_BYTES, append_sum

__all__ = ["Encoded", "Filters"]

Encoded = bytes | memoryview
"""A chunk as it stands in the file: anything that has its bytes in one piece."""

_KEYS = ("compression", "compression_opts", "shuffle", "fletcher32")
_GZIP_DEFAULT = 4
_ISAL_HIGHEST = 3

try:
    from isal.isal_zlib import compress as _isal_compress
except ImportError:  # no wheel for this machine: zlib gives the same, more slowly
    _isal_compress = None  # type: ignore[assignment]


class Filters:
    """What ``compression_dict`` says, as h5py's arguments and as a function on blocks.

    Parameters
    ----------
    compression : mapping or None
        ``compression`` (``"gzip"``, a gzip level 0-9, another filter's name or number),
        ``compression_opts``, ``shuffle``, ``fletcher32``, as for ``h5py.Group.create_dataset``.
    fletcher32 : bool
        Checksums, unless `compression` has its own word on it.

    Raises
    ------
    ConfigKeyError
        If `compression` has a key that is none of these.
    ConfigError
        If the values make no sense together.

    Attributes
    ----------
    direct : bool
        Whether `encode` does all that the datasets declare.
    deflates : bool
        Whether `encode` takes longer than all else that a block goes through.
    """

    def __init__(self, compression: Mapping[str, Any] | None, fletcher32: bool = True) -> None:
        options = _known_keys(compression or {})
        self.fletcher32 = bool(options.get("fletcher32", fletcher32))
        self.shuffle = bool(options.get("shuffle", False))
        self._compression = options.get("compression")
        self._options = options.get("compression_opts")
        self.level = self._gzip_level()
        self.direct = self.level is not None or self._compression is None
        self.deflates = self.level is not None
        self._deflate = _deflate(self.level)
        self._check()

    def stored_bytes(self, nbytes: int) -> int:
        """Length in the file of a block of so many bytes; 0 where only `encode` can tell."""
        if self.deflates or not self.direct:
            return 0
        return nbytes + SUM_BYTES if self.fletcher32 else nbytes

    def _gzip_level(self) -> int | None:
        wanted, options = self._compression, self._options
        if isinstance(wanted, bool):
            wanted = self._compression = _GZIP_DEFAULT if wanted else None
        if isinstance(wanted, int) and 0 <= wanted <= 9:
            return wanted
        if wanted != "gzip":
            return None
        level = _GZIP_DEFAULT if options is None else options
        if isinstance(level, bool) or not isinstance(level, int) or not 0 <= level <= 9:
            raise ConfigError(f"compression_opts = {options!r}: gzip takes a level from 0 to 9")
        return level

    def _check(self) -> None:
        """Let HDF5 judge the filters now rather than at the first row."""
        try:
            _trial(self.dataset_options(), np.dtype("f8"))
        except (ValueError, TypeError, OSError, RuntimeError) as error:
            raise ConfigError(f"compression {self._compression!r}: {error}") from error

    def fit(self, dtype: np.dtype[Any]) -> Filters:
        """These filters, or checksums alone for a type that HDF5's filter can't take.

        Szip, for one, knows no complex numbers.
        """
        if self.direct:
            return self
        try:
            _trial(self.dataset_options(), dtype)
        except (ValueError, TypeError, OSError, RuntimeError):
            return Filters(None, self.fletcher32)
        return self

    def dataset_options(self) -> dict[str, Any]:
        """Keyword arguments for ``h5py.Group.create_dataset``."""
        options: dict[str, Any] = {"fletcher32": self.fletcher32, "shuffle": self.shuffle}
        if self.level is not None:
            return {**options, "compression": "gzip", "compression_opts": self.level}
        if self._compression is not None:
            options.update(compression=self._compression, compression_opts=self._options)
        return options

    def encode(self, block: NDArray[Any]) -> Encoded:
        """A chunk as it stands in the file; thread-safe.

        Parameters
        ----------
        block : ndarray
            The whole chunk, C-contiguous.

        Returns
        -------
        bytes or memoryview
            The block's own memory where no filter is set.
        """
        data = self._shuffled(block)
        if self._deflate is not None:
            data = self._deflate(data)
        return append_sum(data) if self.fletcher32 else data

    def fill(self, block: NDArray[Any], buffer: NDArray[np.uint8]) -> None:
        """Put a chunk, as it stands in the file, into a buffer of its `stored_bytes`."""
        data = self._shuffled(block)
        if self.fletcher32:
            append_sum(data, buffer)
        else:
            buffer[:] = np.frombuffer(data, np.uint8)

    def _shuffled(self, block: NDArray[Any]) -> Encoded:
        if self.shuffle and block.dtype.itemsize > 1:
            return _shuffled(block).data
        return block.reshape(-1).view(np.uint8).data


def _known_keys(compression: Mapping[str, Any]) -> dict[str, Any]:
    for key in compression:
        if key not in _KEYS:
            raise ConfigKeyError(f"compression key {key!r} is none of {', '.join(_KEYS)}")
    return dict(compression)


def _shuffled(block: NDArray[Any]) -> NDArray[np.uint8]:
    """First bytes of all elements, then all second bytes, and so on, as HDF5's shuffle does."""
    planes = block.reshape(-1).view(np.uint8).reshape(-1, block.dtype.itemsize)
    return np.ascontiguousarray(planes.T)


def _deflate(level: int | None) -> Callable[[Encoded], bytes] | None:
    if level is None:
        return None
    if _isal_compress is not None and 0 < level <= _ISAL_HIGHEST:
        return lambda data: _isal_compress(data, level)
    return lambda data: zlib.compress(data, level)


def _trial(options: dict[str, Any], dtype: np.dtype[Any]) -> None:
    with h5py.File("trial", "w", driver="core", backing_store=False) as file:
        file.create_dataset("x", (0,), dtype, maxshape=(None,), chunks=(64,), **options)
