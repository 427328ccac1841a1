"""What people note about a job of a run: parameters, comments and tags, at the job's group.

They have the form that the Data Vault guide gives them in a dataset: ``Param.<name>`` is a data
URL, ``Comments`` an array of (Timestamp, User, Comment), of which those that it has no room for
stand in ``/.h5daq/Comments/<group>``, since in the group all datasets have the length of the rows.
``Tags`` is a list of texts; groups above those of jobs may have it, too.

A note is in the file that the job's rows went to when it was made. Of all files of a run together,
the newest one that has a parameter, or tags, counts, and comments follow each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from h5daq.flow.names import COMMENTS, PARAMETER, TAGS
from h5daq.flow.records import Noted
from h5daq.storage.layouts.datavault_comments import (
    Comment,
    CommentPlace,
    add_comments,
    gather_comments,
    read_comments,
)
from h5daq.storage.layouts.datavault_head import text_of
from h5daq.storage.layouts.groups import require_group

__all__ = ["FoundNotes", "NoteBook", "read_notes", "read_tags"]

_BESIDE = "/.h5daq/Comments/"


@dataclass(slots=True)
class FoundNotes:
    """What was noted about a group.

    Attributes
    ----------
    parameters : dict of str to str
        Texts by name.
    comments : list of Comment
        In order.
    tags : list of str, optional
        None where nobody has said which it has.
    """

    parameters: dict[str, str] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    tags: list[str] | None = None

    def take(self, notes: Iterable[Noted]) -> None:
        """Add notes that came later."""
        for note in notes:
            if note.kind == "parameters":
                self.parameters.update(note.value)
            elif note.kind == "comment":
                self.comments.append(Comment(*note.value))
            else:
                self.tags = list(note.value)

    def join(self, later: FoundNotes) -> None:
        """Add what a later file of the run has."""
        self.parameters.update(later.parameters)
        self.comments += later.comments
        self.tags = self.tags if later.tags is None else later.tags


def read_notes(file: h5py.File, group: str) -> FoundNotes:
    """What a file has noted about a group; nothing where the group is missing."""
    node = file.get(group)
    if not isinstance(node, h5py.Group):
        return FoundNotes()
    names = [name for name in node.attrs if name.startswith(PARAMETER)]
    parameters = {name[len(PARAMETER) :]: text_of(node.attrs[name]) for name in names}
    comments = read_comments(file, _place(group)) if _has_comments(node) else []
    return FoundNotes(parameters, comments, read_tags(node))


def _has_comments(node: h5py.Group) -> bool:
    # A user's own attribute of that name, in a file of another program, is none of ours.
    return COMMENTS in node.attrs and len(node.attrs.get_id(COMMENTS).dtype.names or ()) == 3


def read_tags(node: h5py.Group) -> list[str] | None:
    """The tags of a group; None where nobody has said which it has."""
    if TAGS not in node.attrs:
        return None
    return [text_of(tag) for tag in np.atleast_1d(node.attrs[TAGS])]


def _place(group: str) -> CommentPlace:
    # One link: a path of groups could meet a dataset of the same name.
    return CommentPlace(group, _BESIDE + group.replace("%", "%p").replace("/", "%f"))


class NoteBook:
    """Notes that wait for the next checkpoint of a file."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Noted]] = {}
        self._commented: set[str] = set()

    @property
    def changed(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting)

    def add(self, note: Noted) -> None:
        """Take a note."""
        self._waiting.setdefault(note.group, []).append(note)

    def write(self, file: h5py.File) -> None:
        """Write what waits; a missing group is made."""
        for group, notes in self._waiting.items():
            found = FoundNotes()
            found.take(notes)
            self._write(file, group, found)
        self._waiting.clear()

    def _write(self, file: h5py.File, group: str, notes: FoundNotes) -> None:
        node = require_group(file, group)
        for name, text in notes.parameters.items():
            node.attrs[PARAMETER + name] = text
        if notes.comments:
            add_comments(file, notes.comments, _place(group))
            self._commented.add(group)
        if notes.tags is not None:
            node.attrs[TAGS] = _texts(notes.tags)

    def gather(self, file: h5py.File) -> None:
        """At the end of a file: bring into the attributes what they can hold of the comments."""
        for group in self._commented:
            gather_comments(file, _place(group))
        self._commented.clear()


def _texts(values: list[str]) -> Any:
    return np.array(values, dtype=h5py.string_dtype())
