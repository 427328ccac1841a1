"""Names in the vault, and the names that files have for them: one for one, both ways.

A name may hold any character; those that some file system can't have are escaped as the LabRAD
project's server does it: ``%`` and a letter. A name never leads out of its directory: ``/`` and
``\\`` are escaped, and where directories have no suffix, ``.`` and ``..`` are refused.
"""

from __future__ import annotations

import re

from h5daq.errors import BadArgument, EmptyName
from h5daq.flow.variables import check_text

__all__ = [
    "SUFFIX",
    "VaultPath",
    "decode",
    "directory_file",
    "encode",
    "number_of",
    "numbered",
    "path_of",
]

VaultPath = tuple[str, ...]
"""A directory of the vault: its names from the root down, which itself is ``""``."""


def path_of(joined: str) -> VaultPath:
    """The directory that a text with slashes names, as signals have it: without the root.

    Examples
    --------
    >>> path_of("tank/top"), path_of("")
    (('', 'tank', 'top'), ('',))
    """
    return ("", *joined.split("/")) if joined else ("",)


SUFFIX = ".dir"
"""What directories' names end with on disk."""

ESCAPES = {
    "%": "%p", "/": "%f", "\\": "%b", ":": "%c", "*": "%a",
    "?": "%q", '"': "%r", "<": "%l", ">": "%g", "|": "%v",
}  # fmt: skip
"""Characters and what stands for them, as in the original."""

_TABLE = str.maketrans(ESCAPES)
_BACK = {code: character for character, code in ESCAPES.items()}
_CODE = re.compile("|".join(_BACK))
_NUMBER = re.compile(r"([0-9]{5,}) - ", re.ASCII)


def encode(name: str) -> str:
    """The name as it is on disk.

    Examples
    --------
    >>> encode("50% / day")
    '50%p %f day'
    """
    return name.translate(_TABLE)


def decode(name: str) -> str:
    """What a name on disk stands for.

    Examples
    --------
    >>> decode("50%p %f day")
    '50% / day'
    """
    return _CODE.sub(lambda code: _BACK[code.group()], name)


def directory_file(name: str, suffix: str = SUFFIX) -> str:
    """The name on disk of a directory.

    Raises
    ------
    EmptyName
        If it has no name.
    BadArgument
        If no file can have it.
    """
    if name == "":
        raise EmptyName("a directory needs a name")
    check_text(name, "the name of a directory")
    if not suffix and name.startswith("."):
        raise BadArgument(f"{name!r} can't be a directory where directories have no suffix")
    return encode(name) + suffix


def numbered(number: int, title: str) -> str:
    """The name of a dataset.

    Examples
    --------
    >>> numbered(7, "scan")
    '00007 - scan'
    """
    check_text(title, "the title of a dataset")
    return f"{number:05d} - {title}"


def number_of(name: str) -> int | None:
    """The number of a dataset; None if its name does not begin with one.

    Examples
    --------
    >>> number_of("00007 - scan"), number_of("scan 7")
    (7, None)
    """
    found = _NUMBER.match(name)
    return int(found.group(1)) if found else None
