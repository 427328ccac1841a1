"""The intake: what is taken, what is answered, and that nothing a peer sends brings it down."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from h5daq.flow import wire
from h5daq.flow.ledger import Ledger


def test_rows_are_noted_with_the_position_that_follows_them(front, worker):
    tank = worker()
    note = front.take(tank.hello(), tank.rows(11.0, 12.0))
    assert note.positions == {("tank", 1): 2}
    assert (note.changes["tank"].rows, note.changes["tank"].last_time) == (2, 12.0)
    assert not note.strangers


def test_rows_of_a_stranger_are_not_journaled_and_it_is_asked_for_a_hello(front, worker):
    last = front.journal.last
    note = front.take(worker().rows(11.0))
    assert note.strangers == {("tank", 1)}
    assert front.journal.last == last


def test_who_says_hello_in_the_same_breath_is_no_stranger(front, worker):
    tank = worker()
    early = tank.rows(11.0)
    note = front.take(early, tank.hello())
    assert not note.strangers
    assert note.positions == {("tank", 1): 0}


def test_rows_that_come_twice_are_taken_once(front, worker):
    tank = worker()
    front.take(tank.hello(), tank.rows(11.0, 12.0))
    last = front.journal.last
    note = front.take(tank.rows(11.0, 12.0, first=0))
    assert front.journal.last == last
    assert not note.changes


def test_rows_that_come_too_early_are_answered_with_the_position(front, worker):
    tank = worker()
    note = front.take(tank.hello(), tank.rows(15.0, first=7))
    assert note.positions == {("tank", 1): 0}
    assert not note.changes


def test_a_refused_hello_is_told_to_its_worker(front, worker):
    front.take(worker("tank").hello())
    note = front.take(worker("tank/T").hello())
    assert "tank/T" in note.refused
    assert "rename one of them" in note.refused["tank/T"]
    assert front.intake.refused == {"name": 1}


def test_rows_that_do_not_fit_the_columns_are_refused_and_told(front, worker):
    tank, other = worker(), worker(kind="<i2")
    note = front.take(tank.hello(), other.rows(11.0))
    assert "tank" in note.refused
    assert front.intake.refused == {"size": 1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_bring_it_down(front, message):
    last, refused = front.journal.last, sum(front.intake.refused.values())
    assert front.take(message).empty
    assert front.journal.last == last
    assert sum(front.intake.refused.values()) == refused + 1


def test_a_full_journal_drops_rows_without_a_position(make_front, worker):
    front, tank = make_front(limit_bytes=1200), worker()
    front.take(tank.hello())
    while not front.intake.stalled:
        note = front.take(tank.rows(11.0))
    assert not note.positions
    assert not note.changes
    front.journal.release(front.journal.last)
    taken = front.intake.ledger.jobs["tank"].next[1]
    assert front.take(tank.rows(40.0, first=taken)).positions == {("tank", 1): taken + 1}
    assert not front.intake.stalled


def test_a_status_and_a_bye_come_through_while_the_journal_is_full(make_front, worker):
    front, tank = make_front(limit_bytes=1200), worker()
    front.take(tank.hello(), *(tank.rows(11.0 + i) for i in range(20)))
    taken = front.intake.ledger.jobs["tank"].next[1]
    note = front.take(tank.say("status", counts={"shape": 3}, cmd=7), tank.say("bye", end=taken))
    assert front.intake.stalled
    assert front.intake.statuses["tank"]["cmd"] == 7
    assert note.byes == {("tank", 1)}


def test_a_bye_before_the_last_row_is_not_answered_yet(front, worker):
    tank = worker()
    note = front.take(tank.hello(), tank.say("bye", end=1))
    assert not note.byes
    note = front.take(tank.rows(11.0), tank.say("bye", end=1))
    assert note.byes == {("tank", 1)}
    assert ("tank", 1) in front.intake.ended


def test_a_bye_to_a_writer_that_was_not_greeted_is_no_end_since_its_answer_may_not_be_heard(
    front, worker
):
    tank = worker()
    front.take(tank.hello(), tank.rows(11.0))
    front.begin(Ledger.restore(front.intake.ledger.snapshot()))
    note = front.take(tank.say("bye", end=1))
    assert (note.byes, note.positions) == (set(), {("tank", 1): 1})
    assert front.take(tank.hello(), tank.say("bye", end=1)).byes == {("tank", 1)}


def test_counts_of_losses_are_journaled_when_they_change_and_only_then(front, worker):
    tank = worker()
    front.take(tank.hello(), tank.say("status", counts={"shape": 3}))
    last = front.journal.last
    front.take(tank.say("status", counts={"shape": 3}), tank.say("status", state="reading"))
    assert front.journal.last == last
    assert front.intake.ledger.jobs["tank"].lost == {"shape": 3}


def test_the_first_rows_announce_the_dataset_and_the_directories_above_it(front, worker):
    deep, beside = worker("a/b"), worker("a/c")
    note = front.take(deep.hello(), deep.rows(11.0), deep.rows(12.0))
    told = [(kind, path, payload["name"]) for kind, path, payload in note.signals]
    assert told == [("new-dir", "", "run"), ("new-dir", "run", "a"), ("new-dataset", "run/a", "b")]
    note = front.take(beside.hello(), beside.rows(11.0))
    assert [kind for kind, _, _ in note.signals] == ["new-dataset"]


def test_other_columns_begin_a_new_file_before_the_hello_counts(front, worker):
    tank, changed = worker(), worker(inc=2, kind="<i4")
    front.take(tank.hello(), tank.rows(11.0))
    front.take(changed.hello(), changed.rows(12.0))
    assert len(front.intake.ledger.files) == 2
    assert front.intake.ledger.jobs["tank"].file == front.intake.ledger.files[-1].id


def test_how_far_the_files_reach_is_marked_once(front, worker):
    tank = worker()
    front.take(tank.hello(), tank.rows(11.0))
    kept = front.journal.last
    front.intake.tick(kept)
    marked = front.journal.last
    front.intake.tick(kept)
    front.intake.tick(marked)
    assert (marked, front.journal.last) == (kept + 1, marked)


def test_the_end_is_tried_again_when_the_journal_is_full(make_front, worker):
    front, tank = make_front(limit_bytes=1200), worker()
    front.take(tank.hello(), *(tank.rows(11.0 + i) for i in range(20)))
    while front.intake.end():
        pytest.fail("the journal was not full")
    assert not front.intake.ledger.ended
    front.journal.release(front.journal.last)
    assert front.intake.end()
    assert front.intake.ledger.ended


def test_a_log_message_is_passed_on_even_from_a_stranger(front):
    front.take(wire.encode("log", job="tank", level="INFO", text="hello"))
    assert front.intake.remarks == [("log", "tank", {"level": "INFO", "text": "hello"})]
