"""Both ends of the delivery, joined by a link that drops, repeats, delays and reorders."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from h5daq.errors import JobValueError, WireError
from h5daq.flow.delivery import Drop, Receiver, Sender, Take
from h5daq.flow.link import RULES, Event, State

JOB = "tank"
FATES = st.sampled_from(["arrives", "arrives", "lost", "late", "twice"])
Message = tuple[str, int, int, int]


def encode(kind: str, inc: int, first: int = 0, n: int = 0) -> bytes:
    return f"{kind} {inc} {first} {n}".encode()


def decode(message: bytes) -> Message:
    kind, *numbers = message.decode().split()
    inc, first, n = map(int, numbers)
    return kind, inc, first, n


def make_sender(inc: int = 7, window: int = 1 << 20, first: int = 0, rest: float = 0.0) -> Sender:
    def skip(first: int, n: int, cause: str) -> bytes:
        return encode(cause, inc, first, n)

    hello = encode("hello", inc)
    return Sender(inc, hello=hello, window=window, first=first, skip=skip, rest=rest)


def put(sender: Sender, n: int) -> bytes:
    message = encode("rows", sender.inc, sender.end, n)
    sender.put(sender.end, n, message)
    return message


def position(next_row: int, inc: int = 7, boot: int = 1, **more: Any) -> dict[str, Any]:
    return {"boot": boot, "run": "r", "inc": inc, "next": next_row, "window": 1 << 20, **more}


def heartbeat(next_row: int | None, inc: int = 7, boot: int = 1) -> dict[str, Any]:
    positions = {} if next_row is None else {JOB: [inc, next_row]}
    return {"boot": boot, "run": "r", "time": 0.0, "positions": positions}


def streaming(batches: int = 3, window: int = 1 << 20) -> Sender:
    """A sender that was welcomed and has put `batches` of 10 rows, none of them sent."""
    sender = make_sender(window=window)
    assert [decode(m)[0] for m in sender.poll(0.0)] == ["hello"]
    sender.on_position(position(0), 0.0)
    for _ in range(batches):
        put(sender, 10)
    return sender


def kinds(messages: list[bytes]) -> list[tuple[str, int]]:
    return [(decode(m)[0], decode(m)[2]) for m in messages]


def test_a_sender_whose_answers_may_wait_is_patient_for_so_much_longer() -> None:
    sender = make_sender(rest=1.5)
    sender.poll(0.0)
    sender.on_position(position(0), 0.0)
    put(sender, 10)
    assert kinds(sender.poll(0.0)) == [("rows", 0)]
    assert sender.poll(2.4) == []
    assert kinds(sender.poll(2.5)) == [("rows", 0)]


# -- receiver ---------------------------------------------------------------------------------


def test_a_receiver_takes_what_follows_and_only_the_tail_of_an_overlap() -> None:
    receiver = Receiver(5)
    assert receiver.take(5, 10) == Take(0, 10)
    assert receiver.take(10, 10) == Take(5, 5)
    assert receiver.take(0, 20) is Drop.BELOW
    assert receiver.take(21, 1) is Drop.ABOVE
    assert receiver.next == 20


def test_a_skip_above_the_position_is_not_followed() -> None:
    receiver = Receiver(5)
    assert receiver.jump(6, 10) is Drop.ABOVE
    assert receiver.jump(3, 10) == 8
    assert receiver.next == 13


# -- sender -------------------------------------------------------------------------------------


def test_rows_wait_until_hello_is_answered() -> None:
    sender = make_sender()
    rows = put(sender, 3)
    assert kinds(sender.poll(0.0)) == [("hello", 0)]
    assert sender.poll(0.01) == []
    sender.on_position(position(0), 0.02)
    assert sender.poll(0.02) == [rows]


def test_hello_is_repeated_with_back_off_while_nobody_answers() -> None:
    sender = make_sender()
    times = [t / 100 for t in range(6000) if sender.poll(t / 100)]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert gaps[0] == pytest.approx(0.1)
    assert gaps == sorted(gaps)
    assert 8 <= len(times) <= 14


def test_a_row_is_held_until_it_is_committed() -> None:
    sender = streaming(3)
    sender.poll(0.0)
    sender.on_position(position(20), 0.1)
    assert (sender.held_rows, sender.next, sender.end, sender.idle) == (10, 20, 30, False)
    sender.on_position(position(30), 0.2)
    assert (sender.held_rows, sender.held_bytes, sender.idle) == (0, 0, True)
    assert sender.next_deadline() is None


def test_no_more_than_a_window_is_in_flight() -> None:
    size = len(encode("rows", 7, 10, 10))
    sender = streaming(9, window=3 * size)
    assert kinds(sender.poll(0.0)) == [("rows", 0), ("rows", 10), ("rows", 20)]
    sender.on_position(position(10), 0.1)
    assert kinds(sender.poll(0.1)) == [("rows", 30)]


def test_a_message_larger_than_the_window_goes_alone() -> None:
    sender = streaming(2, window=1)
    assert kinds(sender.poll(0.0)) == [("rows", 0)]
    sender.on_position(position(10), 0.1)
    assert kinds(sender.poll(0.1)) == [("rows", 10)]


def test_a_shut_window_is_only_probed_and_opens_again_with_all_rows() -> None:
    sender = streaming(3)
    sender.on_position(position(0, window=0), 0.0)
    assert sender.poll(0.5) == []
    assert kinds(sender.poll(2.0)) == [("rows", 0)]
    sender.on_position(position(0), 2.1)
    assert kinds(sender.poll(2.1)) == [("rows", 0), ("rows", 10), ("rows", 20)]


def test_a_repeated_position_resends_once_per_value() -> None:
    sender = streaming(4)
    sender.poll(0.0)
    sender.on_position(position(10), 0.1)
    for _ in range(5):
        sender.on_position(position(10), 0.3)
    assert kinds(sender.poll(0.3)) == [("rows", 10), ("rows", 20), ("rows", 30)]
    sender.on_position(position(10), 0.4)
    assert sender.poll(0.4) == []


def test_a_position_repeated_at_once_resends_nothing() -> None:
    sender = streaming(4)
    sender.poll(0.0)
    sender.on_position(position(10), 0.1)
    sender.on_position(position(10), 0.11)
    assert sender.poll(0.11) == []


def test_a_heartbeat_that_says_the_same_again_resends_nothing() -> None:
    sender = streaming(3)
    sender.poll(0.0)
    for second in range(1, 4):
        sender.on_heartbeat(heartbeat(0), JOB, second * 0.2)
        assert sender.poll(second * 0.2) == []


def test_after_silence_only_the_oldest_is_sent_with_back_off() -> None:
    sender = streaming(100)
    assert len(sender.poll(0.0)) == 100
    later = [m for t in range(1, 6000) for m in sender.poll(t / 100)]
    assert set(kinds(later)) == {("rows", 0)}
    assert len(later) <= 8


def test_the_first_sign_of_life_after_silence_sends_the_rest_again() -> None:
    sender = streaming(3)
    sender.poll(0.0)
    assert kinds(sender.poll(1.5)) == [("rows", 0)]
    sender.on_position(position(10), 1.6)
    assert kinds(sender.poll(1.6)) == [("rows", 10), ("rows", 20)]


def test_a_writer_that_was_out_of_touch_gets_the_window_at_once() -> None:
    sender = streaming(3)
    sender.poll(0.0)
    sender.poll(1.5)
    sender.on_heartbeat(heartbeat(0), JOB, 9.0)
    assert kinds(sender.poll(9.0)) == [("rows", 0), ("rows", 10), ("rows", 20)]


@pytest.mark.parametrize("beat", [False, True])
def test_another_boot_is_a_reason_to_say_hello_and_never_to_trim(beat: bool) -> None:
    sender = streaming(3)
    sender.poll(0.0)
    if beat:
        sender.on_heartbeat(heartbeat(30, boot=2), JOB, 0.1)
    else:
        sender.on_position(position(30, boot=2), 0.1)
    assert sender.held_rows == 30
    assert kinds(sender.poll(0.1)) == [("hello", 0)]
    sender.on_position(position(10, boot=2), 0.2)
    assert kinds(sender.poll(0.2)) == [("rows", 10), ("rows", 20)]


def test_a_heartbeat_of_a_new_writer_that_knows_nothing_brings_hello() -> None:
    sender = streaming(1)
    sender.poll(0.0)
    sender.on_heartbeat(heartbeat(None, boot=2), JOB, 0.1)
    assert kinds(sender.poll(0.1)) == [("hello", 0)]


def test_many_answers_that_ask_for_hello_bring_one_hello() -> None:
    sender = streaming(3)
    sender.poll(0.0)
    sent = []
    for _ in range(3):
        sender.on_position(position(0, need="hello"), 0.1)
        sent += kinds(sender.poll(0.1))
    assert sent == [("hello", 0)]


def test_rows_that_a_new_journal_asks_for_in_vain_are_skipped() -> None:
    sender = streaming(3)
    sender.poll(0.0)
    sender.on_position(position(20), 0.1)
    sender.on_position(position(0, boot=2, need="hello"), 0.2)
    assert kinds(sender.poll(0.2)) == [("hello", 0)]
    sender.on_position(position(0, boot=2), 0.3)
    assert kinds(sender.poll(0.3)) == [("trimmed", 0), ("rows", 20)]


def test_rows_that_are_all_committed_are_skipped_for_a_new_journal() -> None:
    sender = streaming(1)
    sender.poll(0.0)
    sender.on_position(position(10), 0.1)
    sender.on_heartbeat(heartbeat(None, boot=2), JOB, 0.2)
    sender.poll(0.2)
    sender.on_position(position(0, boot=2), 0.3)
    assert kinds(sender.poll(0.3)) == [("trimmed", 0)]


def test_a_stale_position_of_the_same_writer_is_ignored() -> None:
    sender = streaming(3)
    sender.poll(0.0)
    sender.on_position(position(20), 0.1)
    sender.on_position(position(10), 0.2)
    assert sender.next == 20
    assert sender.poll(0.2) == []


def test_a_position_of_another_incarnation_is_ignored() -> None:
    sender = streaming(1)
    sender.poll(0.0)
    sender.on_position(position(10, inc=8), 0.1)
    assert sender.held_rows == 10


def test_a_replaced_socket_gets_hello_and_then_all_rows() -> None:
    sender = streaming(2)
    sender.poll(0.0)
    sender.reset_link(0.1)
    assert kinds(sender.poll(0.1)) == [("hello", 0)]
    sender.on_position(position(0), 0.2)
    assert kinds(sender.poll(0.2)) == [("rows", 0), ("rows", 10)]


def test_a_sender_knows_since_when_nothing_it_sent_was_answered() -> None:
    sender = make_sender()
    assert sender.unanswered_since is None
    sender.poll(1.0)
    sender.poll(3.0)
    assert sender.unanswered_since == 1.0
    sender.on_position(position(0), 4.0)
    assert sender.unanswered_since is None
    put(sender, 2)
    for now in (5.0, 50.0, 55.0):
        sender.poll(now)
    assert sender.unanswered_since == 50.0
    sender.reset_link(60.0)
    sender.poll(61.0)
    assert sender.unanswered_since == 60.0
    sender.on_position(position(2), 62.0)
    assert sender.unanswered_since is None


def test_bye_follows_the_last_row_until_it_is_answered() -> None:
    sender = streaming(1)
    sender.finish(encode("bye", 7, 10))
    assert kinds(sender.poll(0.0)) == [("rows", 0), ("bye", 10)]
    sender.on_position(position(10), 0.1)
    assert not sender.done
    assert kinds(sender.poll(1.5)) == [("bye", 10)]
    sender.on_position(position(10, bye=True), 1.6)
    assert sender.done


def test_a_socket_that_blocks_is_tried_again_without_loss() -> None:
    sender = streaming(2)
    assert sender.pump(lambda message: False, 0.0) == 0
    deadline = sender.next_deadline()
    assert deadline is not None
    assert deadline > 0.0
    assert kinds(sender.poll(deadline)) == [("rows", 0), ("rows", 10)]


def test_rows_that_are_shed_leave_one_skip_and_spare_those_in_flight() -> None:
    size = len(encode("rows", 7, 10, 10))
    sender = streaming(8, window=2 * size)
    sender.poll(0.0)
    assert sender.shed(6 * size, "overflow") == 20
    put(sender, 10)
    assert sender.shed(6 * size, "overflow") == 10
    assert sender.held_rows == 60
    sender.on_position(position(20), 0.1)
    assert kinds(sender.poll(0.1)) == [("overflow", 20)]
    sender.on_position(position(50), 0.2)
    assert kinds(sender.poll(0.2)) == [("rows", 50), ("rows", 60)]


def test_shedding_everything_ends_with_a_skip_and_keeps_the_bye() -> None:
    sender = streaming(4)
    sender.finish(encode("bye", 7, 40))
    assert sender.shed(0, "overflow") == 40
    assert sender.shed(0, "overflow") == 0
    assert kinds(sender.poll(0.0)) == [("overflow", 0), ("bye", 40)]


@pytest.mark.parametrize(("first", "n"), [(11, 1), (9, 5), (10, 0), (10, -1)])
def test_rows_that_do_not_follow_are_refused(first: int, n: int) -> None:
    sender = streaming(1)
    with pytest.raises(JobValueError):
        sender.put(first, n, b"x")


def test_nothing_is_put_after_the_bye() -> None:
    sender = streaming(1)
    sender.finish(b"bye")
    with pytest.raises(JobValueError):
        put(sender, 1)


@pytest.mark.parametrize("field_", ["next", "window", "boot", "run"])
@pytest.mark.parametrize("value", [-1, "3", True, 1.5, None])
def test_a_malformed_position_changes_nothing(field_: str, value: object) -> None:
    sender = streaming(1)
    pos = position(10)
    if field_ in ("boot", "run"):
        del pos[field_]
    elif value is None:
        pos["next"] = None
    else:
        pos[field_] = value
    with pytest.raises(WireError):
        sender.on_position(pos, 0.1)
    assert sender.held_rows == 10


@pytest.mark.parametrize("entry", [3, [7], [7, "x"], [7, -1], "ab"])
def test_a_malformed_heartbeat_changes_nothing(entry: object) -> None:
    sender = streaming(1)
    with pytest.raises(WireError):
        sender.on_heartbeat({**heartbeat(None), "positions": {JOB: entry}}, JOB, 0.1)


def test_every_state_meets_every_event() -> None:
    assert set(RULES) == set(itertools.product(State, Event))


# -- both ends on a link that may do anything --------------------------------------------------


@dataclass
class Writer:
    """The reference writer: what it has taken lives in memory until `commit`."""

    boot: int
    journal: dict[int, int] = field(default_factory=dict)
    rows: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    given_up: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    head: dict[int, Receiver] = field(default_factory=dict)
    pending: list[tuple[str, int, list[int]]] = field(default_factory=list)
    last_hello: int | None = None
    talkative: bool = False  # answers also what it knows

    def restart(self, boot: int) -> None:
        self.boot, self.pending = boot, []
        self.head = {inc: Receiver(n) for inc, n in self.journal.items()}

    def position(self, inc: int, **more: Any) -> dict[str, Any]:
        return position(self.journal.get(inc, 0), inc, self.boot, **more)

    def receive(self, message: bytes) -> list[dict[str, Any]]:
        kind, inc, first, n = decode(message)
        if kind == "hello":
            self.head.setdefault(inc, Receiver())
            self.pending.append((kind, inc, []))
            return []
        receiver = self.head.get(inc)
        if receiver is None:
            return [position(0, inc, self.boot, need="hello")]
        if kind == "bye":
            return [self.position(inc, bye=self.journal.get(inc, -1) >= first)]
        numbers = list(range(max(first, receiver.next), first + n))
        taken = receiver.take(first, n)
        if isinstance(taken, Drop):
            return [self.position(inc)] if taken is Drop.ABOVE or self.talkative else []
        assert len(numbers) == taken.n
        self.pending.append((kind, inc, numbers))
        return []

    def commit(self) -> list[dict[str, Any]]:
        changed = {}
        for kind, inc, numbers in self.pending:
            log = self.rows if kind == "rows" else self.given_up
            log[inc] += numbers
            self.journal[inc] = numbers[-1] + 1 if numbers else self.journal.get(inc, 0)
            self.last_hello = inc if kind == "hello" else self.last_hello
            changed[inc] = True
        self.pending = []
        return [self.position(inc) for inc in changed]

    def heartbeat(self) -> dict[str, Any]:
        inc = self.last_hello
        if inc is None or inc not in self.journal:
            return heartbeat(None, boot=self.boot)
        return heartbeat(self.journal[inc], inc, self.boot)


class Delivery(RuleBasedStateMachine):
    """Anything may happen to messages and processes; then the link heals, and all is there."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.numbers = 0.0, itertools.count(1)
        self.writer = Writer(next(self.numbers))
        self.past: list[Writer] = []  # writers whose journal is gone
        self.data: list[bytes] = []
        self.signals: list[dict[str, Any]] = []
        self.sent = self.held = 0
        self.sender = make_sender(next(self.numbers), window=60)

    # what the two ends do

    @rule(n=st.integers(1, 5), times=st.integers(1, 4))
    def measure(self, n: int, times: int) -> None:
        for _ in range(times):
            put(self.sender, n)

    @rule(seconds=st.sampled_from([0.0, 0.05, 0.3, 1.1, 5.0, 20.0]))
    def send(self, seconds: float) -> None:
        self.now += seconds
        messages = self.sender.poll(self.now)
        self.sent += len(messages)
        self.data += messages
        deadline = self.sender.next_deadline()
        assert deadline is None or deadline > self.now, "a busy loop"
        assert self.sender.idle or deadline is not None, "nothing would ever happen"

    @rule(beat=st.booleans(), n=st.integers(1, 5))
    def all_goes_well(self, beat: bool, n: int) -> None:
        put(self.sender, n)
        self.one_round(beat)

    # what the link does: a fate per message, the first ones likely the oldest

    @rule(fates=st.lists(FATES, min_size=1, max_size=6))
    def carry_data(self, fates: list[str]) -> None:
        for message in self._carry(self.data, fates):
            self.signals += self.writer.receive(message)

    @rule(fates=st.lists(FATES, min_size=1, max_size=4), beat=st.booleans())
    def commit(self, fates: list[str], beat: bool) -> None:
        self.signals += self.writer.commit()
        if beat:
            self.signals.append(self.writer.heartbeat())
        for signal in self._carry(self.signals, fates):
            self.hear(signal)

    def _carry(self, link: list[Any], fates: list[str]) -> Iterator[Any]:
        """Messages that arrive; what comes late stays, and so falls behind later ones."""
        under_way, link[:] = link[:], []
        for message, fate in itertools.zip_longest(under_way, fates[: len(under_way)]):
            if fate in ("arrives", "twice", None):
                yield message
            if fate in ("late", "twice"):
                link.append(message)

    def hear(self, signal: dict[str, Any]) -> None:
        if "positions" in signal:
            self.sender.on_heartbeat(signal, JOB, self.now)
        else:
            self.sender.on_position(signal, self.now)

    # what may go wrong

    @rule(fault=st.sampled_from(["socket", "writer", "writer", "journal", "worker"]))
    def something_breaks(self, fault: str) -> None:
        if fault == "socket":
            self.sender.reset_link(self.now)
        elif fault == "writer":
            self.writer.restart(next(self.numbers))
        elif fault == "journal":
            self.past.append(self.writer)
            self.writer = Writer(next(self.numbers))
        else:
            self.sender = make_sender(next(self.numbers), window=60)

    # what always holds

    @invariant()
    def every_number_is_in_the_journal_once_and_in_order(self) -> None:
        for inc, end in self.writer.journal.items():
            rows, gone = self.writer.rows[inc], self.writer.given_up[inc]
            assert rows == sorted(set(rows))
            assert sorted(rows + gone) == list(range(end))

    @invariant()
    def only_what_another_journal_had_is_skipped(self) -> None:
        for inc, gone in self.writer.given_up.items():
            assert set(gone) <= {row for past in self.past for row in past.rows[inc]}

    def teardown(self) -> None:
        """The link heals: everything held comes in, with few repeats, and the sender knows it."""
        before, self.held = self.sent, self.sender.held_rows
        self.sender.finish(encode("bye", self.sender.inc, self.sender.end))
        for tick in range(1000):
            if self.sender.done:
                break
            self.one_round(beat=tick % 10 == 0)
        assert self.sender.done
        assert self.sent - before <= 3 * self.held + 30
        inc, end = self.sender.inc, self.sender.end
        kept = {row for w in [*self.past, self.writer] for row in w.rows[inc]}
        assert kept == set(range(end))
        self.every_number_is_in_the_journal_once_and_in_order()

    def one_round(self, beat: bool) -> None:
        self.send(0.1)
        self.carry_data(["arrives"])
        self.commit(["arrives"], beat)


Delivery.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestDelivery = Delivery.TestCase


@pytest.mark.parametrize("talkative", [False, True])
@pytest.mark.parametrize(("ticks_per_commit", "most"), [(1, 1050), (7, 1050), (300, 3000)])
def test_no_writer_sets_off_an_echo_of_resends(
    ticks_per_commit: int, most: int, talkative: bool
) -> None:
    """A tick is 10 ms, the link takes three. Commits may be slow, known rows be answered."""
    sender, writer = make_sender(window=200), Writer(1, talkative=talkative)
    data: deque[list[bytes]] = deque([[]] * 3)
    signals: deque[list[dict[str, Any]]] = deque([[]] * 3)
    sent = 0
    for tick in range(30_000):
        if tick < 1000:
            put(sender, 1)
        for signal in signals.popleft():
            sender.on_position(signal, tick / 100)
        data.append(sender.poll(tick / 100))
        sent += len(data[-1])
        answers = [answer for message in data.popleft() for answer in writer.receive(message)]
        answers += writer.commit() if tick % ticks_per_commit == 0 else []
        signals.append(answers + [writer.position(7)] * (tick % 100 == 0))
    assert writer.rows[7] == list(range(1000))
    assert sent <= most
