"""What is held is one sequence, however much of it lies on disk and whatever the disk loses."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from h5daq.flow import wire
from h5daq.flow.delivery import Receiver, Sender, Take
from h5daq.flow.hold import Hold
from h5daq.flow.spooling import HEADER_BYTES, Piece, frame_header, is_whole, read_header

INC = 7
SIZE = 100


class ListShelf:
    """A shelf in memory."""

    def __init__(self, pieces=(), limit=10**9):
        self.pieces, self.limit = list(pieces), limit
        self.unread = deque(pieces)
        self.kept = len(self.pieces)

    def append(self, piece):
        if len(self.pieces) >= self.limit:
            return "spool-full"
        self.pieces.append(piece)
        self.unread.append(piece)
        self.kept += 1
        return ""

    def read(self):
        return self.unread.popleft() if self.unread else None

    def pass_over(self):
        self.unread.clear()

    def release(self, following):
        self.pieces = [p for p in self.pieces if p.end > following]

    def covers(self, piece):
        return piece in self.pieces


class Writer:
    """Takes what comes in by the rules of the delivery."""

    def __init__(self):
        self.receiver, self.rows, self.lost, self.bye = Receiver(), [], {}, False

    def take(self, message):
        kind, first, n, cause = unpacked(message)
        if kind == "bye":
            self.bye = first <= self.receiver.next
        elif kind in ("rows", "skip"):
            took = self.receiver.take(first, n)
            if isinstance(took, Take):
                numbers = range(first + took.skip, first + n)
                self.rows += numbers if kind == "rows" else ()
                if kind == "skip":
                    self.lost[cause] = self.lost.get(cause, 0) + len(numbers)
        return True

    def answer(self, hold, now):
        following = self.receiver.next
        hold.sender.on_position(
            {"boot": "b", "run": "r", "inc": INC, "next": following, "window": 1 << 24,
             "bye": self.bye}, now,
        )  # fmt: skip


def unpacked(message):
    if message.startswith(b"rows"):
        _, first, n = message.split(b",")[:3]
        return "rows", int(first), int(n), ""
    head = wire.decode_head(message)
    end = head.fields.get("end", 0)
    return head.k, end if head.k == "bye" else head.first, head.n, head.fields.get("cause", "")


def piece(first, n):
    return Piece(first, n, b"rows,%d,%d," % (first, n) + bytes(SIZE))


def pieces(*sizes, first=0):
    made = []
    for n in sizes:
        made.append(piece(first, n))
        first += n
    return made


def bye(end):
    return wire.encode("bye", job="tank", inc=INC, end=end)


def hold_with(shelf, memory=3 * SIZE, first=0, **more):
    hello = wire.encode("hello", job="tank", inc=INC, schema=[], attrs={})
    return Hold(Sender(INC, hello=hello, first=first), shelf, memory=memory, **more)


def deliver(hold, writer, rounds=200):
    for now in range(rounds):
        hold.pump(writer.take, float(now))
        writer.answer(hold, float(now))


def test_what_does_not_fit_goes_to_the_shelf_and_comes_back_in_order():
    hold, writer, shelf = hold_with(shelf := ListShelf()), Writer(), shelf
    for one in pieces(*[2] * 20):
        assert (hold.put(one) if hold.fits(SIZE) else hold.stow(one)) in (None, "")
    assert hold.held_bytes <= 4 * SIZE
    assert hold.held_rows == 40
    hold.finish(bye)
    deliver(hold, writer)
    assert writer.rows == list(range(40))
    assert hold.sender.done
    assert not shelf.pieces


def test_while_something_waits_on_the_shelf_all_that_is_new_goes_behind_it():
    hold = hold_with(ListShelf())
    one, two = pieces(1, 1)
    hold.stow(one)
    assert not hold.fits(1)
    hold.stow(two)
    hold.pump(lambda _: False, 0.0)
    assert [first for first, _, _ in hold.sender.held()] == [0, 1]
    assert hold.fits(1)


def test_with_always_each_message_is_on_the_shelf_before_it_is_sent():
    hold = hold_with(shelf := ListShelf(), memory=10**6, always=True)
    for one in pieces(3, 4):
        hold.put(one)
        assert shelf.covers(one)
    writer = Writer()
    deliver(hold, writer, 3)
    assert writer.rows == list(range(7))
    assert not hold.behind


def test_a_hole_that_a_disk_made_is_a_skip_with_its_cause():
    hold, writer = hold_with(shelf := ListShelf(), memory=SIZE), Writer()
    for one in pieces(1, 2, 3, 4):
        hold.stow(one)
    del shelf.unread[1], shelf.unread[2]
    hold.finish(bye)
    deliver(hold, writer)
    assert writer.rows == [0, 3, 4, 5]
    assert writer.lost == {"spool-damaged": 6}
    assert hold.sender.done


def test_what_was_left_is_sent_from_the_writers_position_on():
    left = pieces(5, 5, 5, first=10)
    hold, writer = hold_with(ListShelf(left), memory=SIZE, first=10, left=True), Writer()
    writer.receiver.next = 17
    hold.finish(bye)
    deliver(hold, writer)
    assert writer.rows == list(range(17, 25))
    assert (writer.lost, hold.sender.done) == ({}, True)


def test_left_messages_that_the_writer_has_are_passed_over():
    hold, writer = hold_with(ListShelf(pieces(*[1] * 50)), memory=SIZE, left=True), Writer()
    writer.receiver.next = 50
    hold.finish(bye)
    deliver(hold, writer)
    assert (writer.rows, writer.lost, hold.sender.done) == ([], {}, True)


def test_rows_that_died_with_the_memory_of_a_worker_are_counted():
    left = [*pieces(2, first=4), *pieces(2, first=9)]
    hold, writer = hold_with(ListShelf(left), first=4, left=True), Writer()
    hold.finish(bye)
    deliver(hold, writer)
    assert writer.rows == [4, 5, 9, 10]
    assert writer.lost == {"trimmed": 4, "killed": 3}


def test_saving_puts_what_is_in_memory_alone_on_the_shelf():
    hold = hold_with(shelf := ListShelf(limit=3), memory=10**6)
    for one in pieces(1, 2, 3, 4):
        hold.put(one)
    assert hold.save() == 4
    assert [p.n for p in shelf.pieces] == [1, 2, 3]
    assert hold.save() == 4
    assert len(shelf.pieces) == 3


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=40),
    events=st.lists(st.sampled_from(["send", "answer", "lose", "rewind"]), max_size=60),
    memory=st.integers(0, 6),
    limit=st.integers(0, 40),
    always=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_each_row_arrives_once_or_is_counted(sizes, events, memory, limit, always):
    hold = hold_with(ListShelf(limit=limit), memory=memory * SIZE, always=always)
    writer, refused, now, todo = Writer(), 0, 0.0, deque(sizes)
    while todo or events:
        if todo:
            one = piece(hold.end, todo.popleft())
            if hold.fits(len(one.message)):
                hold.put(one)
            elif hold.stow(one):
                refused += one.n
        if events:
            now = happen(events.pop(), hold, writer, now)
    hold.finish(bye)
    deliver_from(hold, writer, now)
    assert writer.rows == list(range(hold.end))
    assert hold.end + refused == sum(sizes)
    assert (hold.held_rows, writer.lost, hold.sender.done) == (0, {}, True)


def happen(event, hold, writer, now):
    if event == "send":
        hold.pump(writer.take, now)
    elif event == "answer":
        writer.answer(hold, now)
    elif event == "lose":
        hold.pump(lambda _: True, now)
    else:
        hold.sender.reset_link(now)
    return now + 0.1


def deliver_from(hold, writer, now):
    for k in range(400):
        hold.pump(writer.take, now + 2.0 * k)
        writer.answer(hold, now + 2.0 * k)


@given(st.binary(max_size=50), st.integers(0, 2**62), st.integers(1, 2**30), st.data())
def test_a_frame_is_known_whole_and_only_whole(message, first, n, data):
    frame = frame_header(Piece(first, n, message)) + message
    header = read_header(frame[:HEADER_BYTES])
    assert (header.first, header.n) == (first, n)
    assert is_whole(header, message)
    at = data.draw(st.integers(0, len(frame) - 1))
    broken = bytearray(frame)
    broken[at] ^= data.draw(st.integers(1, 255))
    torn = read_header(bytes(broken[:HEADER_BYTES]))
    assert torn is None or not is_whole(torn, bytes(broken[HEADER_BYTES:]))
