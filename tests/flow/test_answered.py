"""A request that was done is known again, also by a ledger that was restored or replayed."""

from h5daq.flow.answered import Answered
from h5daq.flow.ledger import Ledger
from h5daq.flow.records import VaultRecord, encode_record


def change(number, result=None, verb="new", **more):
    return encode_record(VaultRecord(verb, "s", number, 1.0, [""], result=result, **more))


def test_a_ledger_knows_what_was_answered_also_after_a_snapshot():
    ledger = Ledger()
    ledger.apply(change(1, [[""], "00001 - a"]))
    ledger.apply(change(2))
    again = Ledger.restore(ledger.snapshot())
    assert again.answered.find("s", 1) == ([[""], "00001 - a"],)
    assert again.answered.find("s", 2) == (None,)
    assert again.answered.find("s", 3) is None
    assert again.answered.find("t", 1) is None


def test_what_was_taken_back_may_be_asked_for_again():
    ledger = Ledger()
    ledger.apply(change(1))
    ledger.apply(change(1, verb="void"))
    assert ledger.answered.find("s", 1) is None


def test_the_oldest_requests_and_sessions_are_forgotten_first():
    answered = Answered()
    for number in range(5000):
        answered.remember("busy", number, number)
    assert answered.find("busy", 4999) == (4999,)
    assert answered.find("busy", 0) is None
    for session in range(300):
        answered.remember(str(session), 1, None)
    assert answered.find("busy", 4999) is None
    assert Answered.restore(answered.state()).state() == answered.state()
