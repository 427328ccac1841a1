"""The latch, case by case as the specification numbers them, and against its own history.

A7, A8 and N9 give way to the guide: a client that connects is told of the next chunk.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from h5daq.flow.latch import Kind, Latch, State, Telling

DATA, PARAMETERS, COMMENTS = Kind


@pytest.fixture
def latch():
    """A latch with two listening contexts."""
    latch = Latch()
    for context in ("anna", "bert"):
        for kind in Kind:
            latch.connect(context, kind, 7)
    return latch


def said(tellings):
    """Who was told of what."""
    return [(telling.context, telling.kind) for telling in tellings]


@pytest.mark.parametrize("kind", [DATA, COMMENTS])
def test_a1_open_tells_at_once_of_what_is_there_and_arms_where_nothing_is(latch, kind):
    assert said(latch.open("anna", "full", [kind])) == [("anna", kind)]
    assert latch.news("full", kind) == []
    assert latch.open("bert", "empty", []) == []
    assert said(latch.news("empty", kind)) == [("bert", kind)]


def test_a2_an_add_tells_all_that_are_armed_the_writer_too(latch):
    latch.create("anna", "scan")
    latch.open("bert", "scan", [])
    assert said(latch.news("scan", DATA)) == [("anna", DATA), ("bert", DATA)]
    assert latch.news("scan", DATA) == []


def test_a3_open_on_an_empty_dataset_is_told_of_the_first_add_without_a_get(latch):
    latch.open("anna", "scan", [])
    assert said(latch.news("scan", DATA)) == [("anna", DATA)]


def test_a4_a5_a_partial_get_tells_at_once_and_adds_before_the_next_get_nothing(latch):
    latch.open("anna", "scan", [])
    assert said(latch.read("anna", DATA, unread=True)) == [("anna", DATA)]
    assert [latch.news("scan", DATA) for _ in range(3)] == [[], [], []]


def test_a6_a_get_that_reaches_the_end_tells_nothing_and_arms(latch):
    latch.open("anna", "scan", [DATA])
    assert latch.read("anna", DATA, unread=False) == []
    assert said(latch.news("scan", DATA)) == [("anna", DATA)]


@pytest.mark.parametrize("kind", Kind)
def test_a7_connecting_arms_and_tells_nothing_by_itself(kind):
    latch = Latch()
    latch.open("anna", "scan", [DATA, COMMENTS])
    latch.connect("anna", kind, 7)
    assert said(latch.news("scan", kind)) == [("anna", kind)]


def test_a8_a_latch_is_not_spent_on_a_context_that_does_not_listen():
    latch = Latch()
    latch.open("anna", "scan", [])
    assert latch.news("scan", DATA) == []
    assert latch.state("anna", DATA) is State.ARMED
    latch.connect("anna", DATA, 7)
    assert latch.news("scan", DATA) == [Telling("anna", DATA, 7, "scan")]


@pytest.mark.parametrize("kind", Kind)
def test_n9_who_makes_a_dataset_is_told_of_the_first_news_in_it(latch, kind):
    latch.create("anna", "scan")
    assert said(latch.news("scan", kind)) == [("anna", kind)]


def test_a9_open_again_tells_again(latch):
    for _ in range(2):
        assert said(latch.open("anna", "scan", [DATA])) == [("anna", DATA)]


def test_a10_who_has_gone_to_another_dataset_is_not_told_of_the_first(latch):
    latch.open("anna", "first", [])
    latch.open("anna", "second", [])
    assert latch.news("first", DATA) == []
    assert said(latch.news("second", DATA)) == [("anna", DATA)]
    latch.leave("anna")
    assert latch.news("second", DATA) == []


def test_q1_parameters_are_told_once_read_and_never_at_once(latch):
    assert latch.open("anna", "scan", [PARAMETERS]) == []
    assert latch.news("scan", PARAMETERS) == []
    assert latch.read("anna", PARAMETERS, unread=True) == []
    assert said(latch.news("scan", PARAMETERS)) == [("anna", PARAMETERS)]
    assert latch.open("anna", "scan", []) == []
    assert latch.news("scan", PARAMETERS) == []


def test_c5_an_expired_context_has_no_listeners_and_no_dataset(latch):
    latch.open("anna", "scan", [])
    latch.expire("anna")
    assert latch.news("scan", DATA) == []
    latch.open("anna", "scan", [])
    assert latch.news("scan", DATA) == []


def test_s1_a_second_listener_is_refused_until_the_first_has_gone(latch):
    assert not latch.connect("anna", DATA, 8)
    latch.open("anna", "scan", [])
    assert [telling.mid for telling in latch.news("scan", DATA)] == [7]
    latch.disconnect("anna", DATA)
    assert latch.connect("anna", DATA, 8)
    assert [telling.mid for telling in latch.news("scan", DATA)] == [8]


def test_what_could_not_be_sent_stays_armed_and_is_told_on_resume(latch):
    latch.open("anna", "scan", [])
    latch.failed(*latch.news("scan", DATA))
    latch.failed(*latch.news("scan", DATA))
    assert said(latch.resume("anna")) == [("anna", DATA)]
    assert latch.news("scan", DATA) == []


def test_resume_says_again_what_may_have_been_lost_on_the_way_and_nothing_that_was_read(latch):
    latch.open("anna", "scan", [DATA, COMMENTS])
    latch.read("anna", COMMENTS, unread=False)
    assert said(latch.resume("anna")) == [("anna", DATA)]
    assert latch.resume("bert") == latch.resume("nobody") == []


contexts = st.sampled_from(["anna", "bert", "carl"])
datasets = st.sampled_from(["one", "two"])
kinds = st.sampled_from(list(Kind))


class AgainstHistory(RuleBasedStateMachine):
    """The model keeps no states: it looks back at what happened since the dataset was entered."""

    def __init__(self):
        super().__init__()
        self.latch = Latch()
        self.where, self.mids, self.past = {}, {}, {}
        self.unsent = []

    def history(self, context, kind):
        return self.past.setdefault((context, kind), [])

    def tell(self, context, kind):
        """What is expected when there is something to tell."""
        if (context, kind) not in self.mids:
            self.history(context, kind).append("armed")
            return []
        self.history(context, kind).append("told")
        mid = self.mids[context, kind]
        return [Telling(context, kind, mid, self.where[context])]

    def enter(self, context, dataset):
        if self.where.get(context) != dataset:
            for kind in Kind:
                self.past[context, kind] = []
        self.where[context] = dataset

    def check(self, tellings, expected):
        assert tellings == expected
        self.unsent = tellings

    @rule(context=contexts, kind=kinds, mid=st.integers(0, 3))
    def connect(self, context, kind, mid):
        new = self.latch.connect(context, kind, mid)
        assert new == ((context, kind) not in self.mids)
        self.mids.setdefault((context, kind), mid)
        if new and context in self.where:
            self.history(context, kind).append("armed")

    @rule(context=contexts, kind=kinds)
    def disconnect(self, context, kind):
        self.latch.disconnect(context, kind)
        self.mids.pop((context, kind), None)

    @rule(context=contexts, dataset=datasets)
    def create(self, context, dataset):
        self.latch.create(context, dataset)
        self.enter(context, dataset)
        for kind in Kind:
            self.history(context, kind).append("armed")

    @rule(context=contexts, dataset=datasets, unread=st.sets(kinds))
    def open(self, context, dataset, unread):
        self.enter(context, dataset)
        expected = []
        for kind in (DATA, COMMENTS):
            expected += self.look(context, kind, kind in unread)
        self.check(self.latch.open(context, dataset, unread), expected)

    @rule(context=contexts, kind=kinds, unread=st.booleans())
    def read(self, context, kind, unread):
        expected = []
        if context in self.where:
            expected = self.look(context, kind, unread and kind is not PARAMETERS)
        self.check(self.latch.read(context, kind, unread), expected)

    def look(self, context, kind, unread):
        if unread:
            return self.tell(context, kind)
        self.history(context, kind).append("armed")
        return []

    @rule(dataset=datasets, kind=kinds)
    def news(self, dataset, kind):
        told = {telling.context: telling for telling in self.latch.news(dataset, kind)}
        for context in [name for name, place in self.where.items() if place == dataset]:
            last = (self.history(context, kind) or ["nothing"])[-1]
            expected = self.tell(context, kind) if last in ("armed", "failed") else []
            assert [told.pop(context)] == expected if expected else context not in told
            self.unsent = expected or self.unsent
        assert not told

    @rule()
    def fail(self):
        for telling in self.unsent:
            self.latch.failed(telling)
            past = self.history(telling.context, telling.kind)
            if self.where.get(telling.context) == telling.dataset and past[-1:] == ["told"]:
                past.append("failed")

    @rule(context=contexts)
    def resume(self, context):
        expected = []
        for kind in Kind:
            if (self.history(context, kind) or [""])[-1] in ("told", "failed"):
                expected += self.tell(context, kind)
        self.check(self.latch.resume(context), expected)

    @rule(context=contexts, for_good=st.booleans())
    def go(self, context, for_good):
        (self.latch.expire if for_good else self.latch.leave)(context)
        self.where.pop(context, None)
        for kind in Kind:
            self.past[context, kind] = []
            if for_good:
                self.mids.pop((context, kind), None)

    @invariant()
    def both_know_where_each_context_is(self):
        for context in ("anna", "bert", "carl"):
            assert self.latch.dataset(context) == self.where.get(context)
            for kind in Kind:
                idle = not self.history(context, kind)
                assert (self.latch.state(context, kind) is State.IDLE) == idle


AgainstHistory.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_the_latch_does_what_its_history_says = AgainstHistory.TestCase
