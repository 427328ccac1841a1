"""What people note about a job of a run: parameters, comments and tags, at the job's group.

``Param.<name>`` is a data URL, as the Data Vault guide has it in a dataset, the comments stand in
`run_comments`, ``Tags`` is a list of texts; groups above those of jobs may have tags, too.

A note is in the file that the job's rows went to when it was made. Of all files of a run together,
the newest one that has a parameter, or tags, counts, and comments follow each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from h5daq.flow.names import PARAMETER, TAGS
from h5daq.flow.records import Noted
from h5daq.storage.layouts.datavault_comments import Comment
from h5daq.storage.layouts.datavault_head import text_of
from h5daq.storage.layouts.groups import require_group
from h5daq.storage.layouts.run_comments import add_comments, gather_comments, read_comments

__all__ = ["FoundNotes", "NoteBook", "read_notes", "read_tags"]


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
    return FoundNotes(parameters, read_comments(file, group), read_tags(node))


def read_tags(node: h5py.Group) -> list[str] | None:
    """The tags of a group; None where nobody has said which it has."""
    if TAGS not in node.attrs:
        return None
    return [text_of(tag) for tag in np.atleast_1d(node.attrs[TAGS])]


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
            add_comments(file, group, notes.comments)
            self._commented.add(group)
        if notes.tags is not None:
            node.attrs[TAGS] = _texts(notes.tags)

    def gather(self, file: h5py.File) -> None:
        """At the end of a file: bring into the attributes what they can hold of the comments."""
        for group in self._commented:
            gather_comments(file, group)
        self._commented.clear()


def _texts(values: list[str]) -> Any:
    return np.array(values, dtype=h5py.string_dtype())
