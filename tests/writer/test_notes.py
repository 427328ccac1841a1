"""Notes: merged while they wait, handed over whole, and nothing is lost on the way."""

import threading

import numpy as np

from h5daq.flow.batch import Batch
from h5daq.flow.schema import Column, Schema
from h5daq.writer.notes import Note, Notes

SCHEMA = Schema((Column("time", np.dtype("<f8")),))


def noted(n, total, position=0):
    note = Note(bytes=n)
    batch = Batch("a", 1, total - n, n, (np.arange(float(total - n), total),))
    note.rows("a", batch, SCHEMA, total, float(total - 1))
    note.positions["a", 1] = position
    return note


def test_what_waits_is_merged_and_rows_add_up():
    notes = Notes()
    for total in (2, 5, 9):
        notes.deliver(noted(total - {2: 0, 5: 2, 9: 5}[total], total, position=total))
    note = notes.take(0.0)
    assert (note.changes["a"].rows, note.changes["a"].total, note.bytes) == (9, 9, 9)
    assert note.changes["a"].batch.n == 4
    assert note.positions == {("a", 1): 9}
    assert notes.take(0.0).empty


def test_rows_of_one_note_add_up_too():
    note = noted(2, 2)
    batch = Batch("a", 1, 2, 3, (np.arange(2.0, 5.0),))
    note.rows("a", batch, SCHEMA, 5, 4.0)
    assert (note.changes["a"].rows, note.changes["a"].total) == (5, 5)


def test_a_stranger_that_has_said_hello_since_is_none():
    notes = Notes()
    notes.deliver(Note(strangers={("a", 1), ("b", 1)}))
    notes.deliver(Note(positions={("a", 1): 0}))
    assert notes.take(0.0).strangers == {("b", 1)}


def test_taking_waits_for_a_delivery():
    notes, taken = Notes(), []
    thread = threading.Thread(target=lambda: taken.append(notes.take(60.0)))
    thread.start()
    notes.deliver(noted(1, 1))
    thread.join(60.0)
    assert taken[0].bytes == 1


def test_closing_wakes_the_taker_and_what_waits_is_still_given():
    notes = Notes()
    notes.deliver(noted(1, 1))
    notes.close()
    assert not notes.closed
    assert notes.take(None).bytes == 1
    assert notes.closed
    assert notes.take(None).empty


def test_every_row_arrives_once_between_two_threads():
    notes, rows = Notes(), []

    def take_all():
        while not notes.closed:
            change = notes.take(None).changes.get("a")
            rows.append(change.rows if change else 0)

    thread = threading.Thread(target=take_all)
    thread.start()
    for total in range(1, 2001):
        notes.deliver(noted(1, total))
    notes.close()
    thread.join(60.0)
    assert sum(rows) == 2000


def test_who_waits_for_notes_to_settle_goes_on_when_the_last_one_is_done():
    notes, taken, may_go = Notes(), threading.Event(), threading.Event()
    notes.deliver(noted(2, 2))
    assert not notes.settle(0.01)

    def commit():
        while not notes.closed:
            if not notes.take(None).empty:
                taken.set()
                may_go.wait(60)

    committer = threading.Thread(target=commit)
    committer.start()
    assert taken.wait(60)
    assert not notes.settle(0.01)
    may_go.set()
    assert notes.settle(60)
    notes.close()
    committer.join(60)
