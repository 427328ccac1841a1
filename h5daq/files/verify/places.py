"""Where the values of each dataset lie, and what is wrong with that at first sight."""

from __future__ import annotations

import h5py

from h5daq.files.verify.raw import STRETCH
from h5daq.files.verify.report import ERROR, NOTE
from h5daq.files.verify.stored import FLETCHER32, Places, Store, describe_store, stored_chunks
from h5daq.files.verify.telling import Limited
from h5daq.files.verify.walk import Walked

__all__ = ["collect"]

_RESTORE = "restore the file from a copy"


def collect(
    found: Walked, file_bytes: int, limited: Limited, *, complete: bool
) -> tuple[Store, Places]:
    """How a dataset is stored, and where its chunks are.

    Parameters
    ----------
    found : Walked
        The dataset.
    file_bytes : int
        Bytes of the file.
    limited : Limited
        Told what can't be.
    complete : bool
        Whether each row must have its chunk, as in files of h5daq.
    """
    dataset: h5py.Dataset = found.node
    store = describe_store(found.path, dataset)
    if store.layout == "contiguous":
        return store, _contiguous(dataset, file_bytes)
    if store.layout != "chunked":
        if store.layout in ("virtual", "external"):
            text = "its values lie in other files, which are not checked"
            limited.add(NOTE, store.layout, text, found.path)
        return store, Places()
    places = stored_chunks(store, dataset, file_bytes)
    if places.too_many:
        text = "it claims more chunks than the file can hold"
        limited.add(ERROR, "chunks", text, found.path, _RESTORE)
        return store, Places()
    if complete:
        _tell_missing(store, places, file_bytes, limited)
        _tell_unchecked(store, places, limited)
    return store, places


def _contiguous(dataset: h5py.Dataset, file_bytes: int) -> Places:
    places, address = Places(), dataset.id.get_offset()
    if address is None:
        return places
    size = int(dataset.id.get_storage_size())
    # What claims to be larger than the file is told as one piece.
    step = STRETCH if size <= file_bytes else size
    for number, start in enumerate(range(0, size, step)):
        places.add(number, int(address) + start, min(step, size - start))
    return places


def _tell_missing(store: Store, places: Places, file_bytes: int, limited: Limited) -> None:
    expected = 1
    for count in store.grid:
        expected *= count
    if expected > file_bytes:
        text = f"it claims {store.shape[0]:,} rows, more than the file can hold"
        limited.add(ERROR, "chunks", text, store.path, _RESTORE)
        return
    missing = places.first_missing(expected)
    if missing is not None:
        absent = expected - len(set(places.number))
        text = f"{absent:,} of {expected:,} chunks are not in the file; the first begins at row "
        text += f"{store.first(missing)[0]:,}: it reads as fill values"
        limited.add(ERROR, "missing", text, store.path, _RESTORE)


def _tell_unchecked(store: Store, places: Places, limited: Limited) -> None:
    if places.number and not store.references and FLETCHER32 not in store.filters:
        text = "the run was recorded without checksums: damage to its values can't be seen"
        limited.add(NOTE, "unchecked", text, store.path)
