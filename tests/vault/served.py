"""A vault's server without a network, and its clients: what the tests of the service share."""

import copy

import numpy as np

from h5daq.flow.answered import Answered
from h5daq.flow.requests import Request
from h5daq.flow.vaultwire import decode_columns, encode_columns
from h5daq.storage.journal import MemoryJournal
from h5daq.vault.live import Live
from h5daq.vault.service import Service
from h5daq.vault.tree import Tree

SIMPLE = {"independents": [["f", "GHz"]], "dependents": [["S21", "", "dB"]]}
EXTENDED = {
    "independents": [["n", [1], "i", ""]],
    "dependents": [["s", "", [1], "s", ""], ["c", "", [1], "c", "mV"], ["w", "", [3], "v", "ns"]],
}
ALL_SIGNALS = (
    "new-dir", "new-dataset", "data-available", "new-parameter", "comments-available",
    "tags-updated",
)  # fmt: skip


class Served:
    """A service on a directory, with a journal in memory, at a time that stands still."""

    def __init__(self, root):
        self.now, self.tick, self.ids = 1000.0, 0.0, 0
        self.journal, self.records, self.answered = MemoryJournal(), [], Answered()
        self.live = Live(Tree(root, durable=False), lambda: self.journal.last)
        self.service = Service(
            Tree(root, durable=False), self.live, self._append, self.answered, "boot"
        )
        self.notes, self.signals = [], []

    def _append(self, record):
        self.records.append(record)
        if record.session and record.verb != "void":
            self.answered.remember(record.session, record.id, record.result)
        return self.journal.append(b"x")

    def ask(self, session, ctx, verb, args, frames=(), number=None):
        self.ids += 1
        request = Request(number or self.ids, verb, args, ctx, session, tuple(frames))
        given = copy.deepcopy(args)
        outcome = self.service.answer(request, self.now, self.tick)
        # They may be another request's as well: see `flow.familiar`.
        assert args == given
        self.notes += [(told.context[0], told.note) for told in outcome.told]
        self.signals += outcome.signals
        return outcome

    def client(self, session="anna", ctx=1, listen=()):
        return ServedClient(self, session, ctx, listen)

    def checkpoint(self):
        self.live.checkpoint(self.now, self.journal.last)


class ServedClient:
    """One context."""

    def __init__(self, served, session, ctx, listen):
        self.served, self.session, self.ctx = served, session, ctx
        self("context")
        for mid, kind in enumerate(listen, 1):
            self("signal", kind=kind, mid=mid)

    def __call__(self, verb, *, frames=(), number=None, **args):
        return self.served.ask(self.session, self.ctx, verb, args, frames, number).result

    def add(self, *columns, verb="add", number=None):
        fields, frames = encode_columns([_column(values) for values in columns])
        return self(verb, frames=frames, number=number, **fields)

    def get(self, limit=None, start_over=False, verb="get"):
        """Columns, as they came."""
        args = {"limit": limit, "start_over": start_over}
        outcome = self.served.ask(self.session, self.ctx, verb, args)
        return decode_columns(outcome.result, outcome.frames)

    def heard(self):
        """Kinds of the notes that came to this context since this was asked last."""
        mine = [n for s, n in self.served.notes if (s, n.ctx) == (self.session, self.ctx)]
        self.served.notes = [
            (s, n) for s, n in self.served.notes if (s, n.ctx) != (self.session, self.ctx)
        ]
        return [note.signal for note in mine]


def _column(values):
    texts = isinstance(values, list) and values and isinstance(values[0], str)
    return values if texts else np.asarray(values)
