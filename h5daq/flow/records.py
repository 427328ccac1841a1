"""The journal entries that the writer makes itself: runs, files, deaths, changes in the vault.

Whatever comes from a worker is journaled as it came. What the writer decides by its clock or by
chance (when a file ends, which id it has) is written down as a record *before* it takes effect,
so that a replay decides nothing anew and splits the rows exactly as the run did.

A record is a msgpack map whose first key is ``j``; messages of workers begin with ``v``. So no
message from a socket can pass for a record, whatever it holds.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import msgpack

from h5daq.errors import FileDamaged
from h5daq.flow.packing import Buffer

__all__ = [
    "DeathRecord",
    "EndRecord",
    "FileRecord",
    "MarkRecord",
    "NoteRecord",
    "Noted",
    "PackedAdd",
    "Record",
    "RowsForm",
    "RunRecord",
    "SealRecord",
    "VaultRecord",
    "decode_record",
    "encode_record",
    "is_record",
    "is_vault",
]

_MARK = b"\xa1j"
_VAULT = b"\x8a\xa1j\xa5vault"
"""How a `VaultRecord` begins: a map of ten, whose first says what it is."""

_TIME = struct.Struct(">6sd")
"""The time of a `VaultRecord`: its key, the mark of a float, and that."""

_SHORT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file begins. Times are seconds since 1970-01-01 UTC.

    ``cross_all`` moves every job to it at once (a schema changed); otherwise each job crosses
    with its first row at or past ``start``.
    """

    id: int
    previous: int
    following: int
    start: float
    end: float
    name: str
    reason: str = "calendar"
    cross_all: bool = False


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run begins, with its first file. ``options`` is what the files' heads say of it."""

    id: str
    name: str
    start: float
    attrs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SealRecord:
    """A file ends: jobs still in it cross to the next one. ``following`` is 0 at the end."""

    id: int
    end: float
    following: int


@dataclass(frozen=True, slots=True)
class EndRecord:
    """The run ends; ``interrupted`` when nobody stopped it."""

    time: float
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class DeathRecord:
    """A worker is gone that had read so many rows: those that nobody has are lost by `cause`."""

    job: str
    inc: int
    produced: int
    cause: str = "killed"


@dataclass(frozen=True, slots=True)
class MarkRecord:
    """The files have taken in everything up to `lsn`: no recovery need look for them again.

    People move and delete finished files, while the journal keeps their entries until it has
    use for the room. ``vault`` says the same of the vault's datasets.
    """

    lsn: int
    vault: int = 0


@dataclass(frozen=True, slots=True)
class VaultRecord:
    """A change in the Data Vault, which the request `id` of `session` asked for.

    ``path`` is the directory, ``name`` the dataset, if it is about one. ``args`` and ``data`` are
    what the verb needs; ``result`` is the answer. The verb ``void`` takes the change of entry
    ``args["lsn"]`` back: the disk refused it.
    """

    verb: str
    session: str
    id: int
    time: float
    path: list[str]
    name: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    data: bytes = b""
    result: Any = None


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """What the request `id` of `session` notes about jobs of the run.

    Each of ``notes`` is a list of group, kind and value: ``"parameters"`` with pairs of name and
    text, ``"comment"`` with time, user and text, ``"tags"`` with all tags that the group has then.
    """

    session: str
    id: int
    time: float
    notes: list[Any]


@dataclass(frozen=True, slots=True)
class Noted:
    """One note of a `NoteRecord`, and the file of the run that it belongs to."""

    file: int
    group: str
    kind: str
    value: Any


Record = (
    FileRecord
    | RunRecord
    | SealRecord
    | EndRecord
    | DeathRecord
    | MarkRecord
    | VaultRecord
    | NoteRecord
)

_KINDS: dict[str, type[Any]] = {
    "file": FileRecord,
    "run": RunRecord,
    "seal": SealRecord,
    "end": EndRecord,
    "death": DeathRecord,
    "mark": MarkRecord,
    "vault": VaultRecord,
    "note": NoteRecord,
}
_TYPES: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "bool": bool,
    "bytes": bytes,
    "list[str]": list,
    "list[Any]": list,
    "dict[str, Any]": dict,
    "Any": object,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class PackedAdd(NamedTuple):
    """A `VaultRecord` that adds rows, as the parts of its journal entry; its answer is nil."""

    session: str
    id: int
    parts: tuple[Buffer, ...]
    size: int
    verb: str = "add"
    result: None = None


class RowsForm:
    """Adds of rows that differ in nothing but number, time and data.

    Parameters
    ----------
    session, path, name, args
        Those of the `VaultRecord`, whose bytes come out.
    size : int
        Bytes of the data.
    """

    def __init__(
        self, session: str, path: list[str], name: str, args: dict[str, Any], size: int
    ) -> None:
        self._session = session
        self._head = _VAULT + _pairs({"verb": "add", "session": session, "id": None})[:-1]
        self._middle = _pairs({"path": path, "name": name, "args": args, "data": bytes(size)})
        self._middle = self._middle[: len(self._middle) - size]
        self._end = _pairs({"result": None})

    def pack(self, number: int, time: float, data: Buffer) -> PackedAdd:
        """One add."""
        begin = b"".join(
            (self._head, msgpack.packb(number), _TIME.pack(b"\xa4time\xcb", time), self._middle)
        )
        parts: tuple[Buffer, ...] = (begin, data, self._end)
        if len(data) < _SHORT_BYTES:
            parts = (b"".join(parts),)
        return PackedAdd(self._session, number, parts, len(begin) + len(data) + len(self._end))


def _pairs(fields: dict[str, Any]) -> bytes:
    """The pairs of a map without its head."""
    return b"".join(msgpack.packb(part) for pair in fields.items() for part in pair)


def is_vault(message: bytes | memoryview) -> bool:
    """Whether a journal entry is a change in the Data Vault."""
    return bytes(message[: len(_VAULT)]) == _VAULT


def is_record(message: bytes | memoryview) -> bool:
    """Whether a journal entry's message is the writer's own."""
    return bytes(message[1:3]) == _MARK


def encode_record(record: Record) -> bytes:
    """One record as the bytes of a journal entry."""
    values = {name: getattr(record, name) for name in record.__slots__}
    packed: bytes = msgpack.packb({"j": _NAMES[type(record)], **values})
    return packed


def decode_record(message: bytes | memoryview) -> Record:
    """The record in a journal entry.

    Raises
    ------
    FileDamaged
        If the entry is no record that this version knows.
    """
    try:
        given: Mapping[str, Any] = msgpack.unpackb(message, strict_map_key=False)
        values = {key: value for key, value in given.items() if key != "j"}
        record: Record = _KINDS[given["j"]](**values)
        _check_types(record)
    except (KeyError, TypeError, ValueError, AttributeError, msgpack.UnpackException) as error:
        raise FileDamaged(f"the journal holds a record that can't be read: {error}") from error
    return record


def _check_types(record: Record) -> None:
    for each in fields(record):
        value = getattr(record, each.name)
        if not isinstance(value, _TYPES[str(each.type)]):
            raise TypeError(f"{each.name} is {value!r:.60}")
