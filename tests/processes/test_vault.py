"""The vault in a real writer: what was acknowledged is there, once and in order, whoever dies.

The clients are plain DEALER sockets, so that it is the wire that is proved.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import h5py
import numpy as np
import pytest
import zmq

from h5daq.errors import RequestError
from h5daq.files.recover import recover
from h5daq.flow.control import ControlDecoder, encode_control
from h5daq.flow.records import decode_record
from h5daq.flow.requests import ErrorCode, Note, Request, decode_answer, encode_request
from h5daq.flow.vaultwire import decode_columns, encode_columns
from h5daq.flow.wire import decode
from h5daq.vault.labrad import to_data_url
from h5daq.writer.settings import WriterSettings

pytestmark = pytest.mark.processes

SIMPLE = {"independents": [["f", "GHz"]], "dependents": [["S21", "", "dB"]]}
PATIENCE = 120_000


class Writer:
    """A writer process in a directory, under this process."""

    def __init__(self, directory, **settings):
        ours, its = socket.socketpair()
        ours.settimeout(120)
        self.pipe = ours
        self.process = subprocess.Popen([sys.executable, "-m", "h5daq.writer"], stdin=its)
        its.close()
        where = dict.fromkeys(("data", "requests", "signals"), "tcp://127.0.0.1:*")
        given = WriterSettings(str(directory), "run-1", **where, insecure=True, **settings)
        ours.sendall(encode_control("settings", settings=given.to_bytes()))
        self.endpoints = self.until("ready")["endpoints"]

    def until(self, kind):
        decoder = ControlDecoder()
        while data := self.pipe.recv(1 << 16):
            for message in decoder.feed(data):
                if message["k"] == kind:
                    return message
        raise AssertionError(f"the writer ended before it said {kind}")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.close()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.until("ended")
        self.close()

    def close(self):
        self.pipe.close()
        self.process.wait(120)


class Client:
    """One session, with contexts, over one DEALER."""

    def __init__(self, network, writer, session):
        self.session, self.number, self.notes = session, 0, []
        self.socket = network(zmq.DEALER)
        self.go_to(writer)

    def go_to(self, writer):
        with contextlib.suppress(zmq.ZMQError, AttributeError):
            self.socket.disconnect(self.there)
        self.there = writer.endpoints["requests"]
        self.socket.connect(self.there)

    def send(self, verb, ctx=1, number=None, frames=(), **args):
        self.number += 1
        request = Request(number or self.number, verb, args, ctx, self.session, tuple(frames))
        self.socket.send_multipart(encode_request(request))
        return request.id

    def receive(self):
        """The next answer; notes that come before it are put aside."""
        while True:
            assert self.socket.poll(PATIENCE), "no answer came"
            answer = decode_answer(self.socket.recv_multipart())
            if not isinstance(answer, Note):
                return answer
            self.notes.append(answer)

    def __call__(self, verb, ctx=1, **more):
        self.send(verb, ctx, **more)
        answer = self.receive()
        if hasattr(answer, "error"):
            raise answer.error()
        return answer.result

    def send_row(self, value, **more):
        fields, frames = encode_columns([np.array([value]), np.array([-value])])
        return self.send("add", frames=frames, **fields, **more)

    def add(self, value, **more):
        self.send_row(float(value), **more)
        return self.receive()

    def rows(self):
        self.send("get", start_over=True, limit=1_000_000)
        answer = self.receive()
        return decode_columns(answer.result, answer.frames)[0][:, 0].tolist()


@pytest.fixture
def begin(tmp_path):
    """`begin()`: a writer in the test's directory."""
    writers = []

    def writer(**settings):
        writers.append(Writer(tmp_path, **{"write_period": 600.0, **settings}))
        return writers[-1]

    yield writer
    for one in writers:
        if one.process.poll() is None:
            one.kill()


@pytest.fixture
def network():
    """`network(kind)`: a socket, closed at the end of the test."""
    sockets = []
    with zmq.Context() as context:

        def make(kind):
            sockets.append(context.socket(kind))
            return sockets[-1]

        yield make
        for one in sockets:
            one.close(linger=0)


@pytest.fixture
def meet(network):
    """`meet(writer)`: a client of it that has said `context`."""

    def client(writer, session="anna"):
        found = Client(network, writer, session)
        found("context")
        return found

    return client


def in_file(tmp_path, name="00001 - scan"):
    with h5py.File(tmp_path / f"{name}.hdf5") as file:
        return file["DataVault"]["f0"].tolist()


def test_acknowledged_adds_outlive_kill_9_once_and_in_order(begin, meet, tmp_path):
    writer = begin()
    anna = meet(writer)
    anna("new", name="scan", **SIMPLE)
    for value in range(200):
        anna.send_row(float(value))
    answered = [anna.receive() for _ in range(150)]
    writer.kill()
    assert all(answer.result is None for answer in answered)
    again = begin()
    ben = meet(again, "ben")
    ben("open", name=1)
    found = ben.rows()
    assert len(found) >= 150
    assert found == list(map(float, range(len(found))))
    assert in_file(tmp_path) == found


def test_kills_between_checkpoints_double_nothing(begin, meet, tmp_path):
    count = 0
    for _ in range(3):
        writer = begin()
        anna = meet(writer, f"anna{count}")
        if not count:
            anna("new", name="scan", **SIMPLE)
        anna("open", name=1, append=True)
        for _ in range(20):
            anna.add(count)
            count += 1
        anna("flush", ctx=0)
        for _ in range(20):
            anna.add(count)
            count += 1
        writer.kill()
    recover(tmp_path)
    assert in_file(tmp_path) == list(map(float, range(count)))


def test_all_that_a_client_changed_is_there_after_a_kill(begin, meet):
    writer = begin()
    anna = meet(writer)
    anna("cd", path=["cold", "50%"], create=True)
    anna("new", name="scan", **SIMPLE)
    anna("add_parameter", name="p", value=to_data_url(1.5))
    anna("add_comment", comment="done", user="anna")
    anna("update_tags", tags="good", dirs=[])
    writer.kill()
    ben = meet(begin(), "ben")
    ben("cd", path=["cold", "50%"])
    assert ben("dir", tags=True) == [[], [["00001 - scan", ["good"]]]]
    ben("open", name=1)
    assert ben("get_parameters") == [["p", to_data_url(1.5)]]
    assert [comment[1:] for comment in ben("get_comments")] == [["anna", "done"]]


def test_a_repeated_request_is_answered_and_not_done_again_also_by_the_next_writer(begin, meet):
    writer = begin()
    anna = meet(writer)
    made = anna("new", name="scan", number=1000, **SIMPLE)
    anna.add(1, number=1001)
    anna.add(1, number=1001)
    writer.kill()
    again = begin()
    anna.go_to(again)
    assert anna.add(1, number=1001).result is None
    assert anna("new", name="scan", number=1000, **SIMPLE) == made
    ben = meet(again, "ben")
    assert ben("dir") == [["run"], ["00001 - scan"]]
    ben("open", name=1)
    assert ben.rows() == [1.0]


def test_a_context_is_lost_when_the_writer_begins_anew_and_can_be_made_again(begin, meet):
    writer = begin()
    anna = meet(writer)
    anna("cd", path="a", create=True)
    writer.kill()
    again = begin()
    anna.go_to(again)
    with pytest.raises(RequestError) as refusal:
        anna("cd")
    assert refusal.value.code == ErrorCode.CONTEXT_LOST
    assert anna("cd", fresh=True) == [""]
    assert anna("cd", path="a") == ["", "a"]


def test_of_two_clients_one_adds_and_the_other_is_told_once_until_it_reads(begin, meet):
    writer = begin()
    anna, ben = meet(writer, "anna"), meet(writer, "ben")
    anna("new", name="scan", **SIMPLE)
    ben("open", name=1)
    ben("signal", kind="data-available", mid=9)
    for value in range(5):
        anna.add(value)
    ben("cd")
    assert [(note.signal, note.mid) for note in ben.notes] == [("data-available", 9)]
    assert ben.notes[0].payload == {"path": [""], "name": "00001 - scan"}
    assert len(ben.rows()) == 5
    anna.add(5)
    ben("cd")
    assert len(ben.notes) == 2


def test_a_note_comes_before_the_reply_of_the_request_that_caused_it(begin, meet):
    anna = meet(begin())
    anna("signal", kind="new-dir", mid=3)
    anna("mkdir", name="a")
    assert [note.payload for note in anna.notes] == ["a"]


def test_everybody_hears_of_it_after_the_commit(begin, meet, network):
    writer = begin()
    ears = network(zmq.SUB)
    ears.subscribe(b"new-d")
    ears.subscribe(b"data-available 00001")
    ears.connect(writer.endpoints["signals"])
    anna, heard, count = meet(writer), [], 0
    while not ears.poll(100):
        anna("mkdir", name=f"{count}")
        count += 1
    anna("new", name="scan", **SIMPLE)
    anna.add(2.5)
    while not heard or heard[-1][0] != b"data-available 00001 - scan/":
        assert ears.poll(PATIENCE)
        topic, message = ears.recv_multipart()
        heard.append((topic, decode(message)))
    assert heard[0][1]["name"].isdigit()
    assert heard[-1][1]["last"] == {"f": 2.5, "S21": -2.5}
    assert heard[-1][1]["total"] == 1


def test_a_stop_leaves_every_row_in_its_file_and_nothing_to_recover(begin, meet, tmp_path):
    writer = begin()
    anna = meet(writer)
    anna("new", name="scan", **SIMPLE)
    for value in range(10):
        anna.add(value)
    writer.stop()
    assert in_file(tmp_path) == list(map(float, range(10)))
    os.remove(tmp_path / "00001 - scan.hdf5")
    begin().stop()
    assert not list(tmp_path.glob("*.hdf5"))


def test_a_writer_without_a_journal_serves_the_vault_too(begin, meet, tmp_path):
    writer = begin(durability="none")
    anna = meet(writer)
    anna("new", name="scan", **SIMPLE)
    anna.add(1)
    anna("flush", ctx=0)
    writer.kill()
    assert in_file(tmp_path) == [1.0]


def test_a_run_without_a_journal_between_two_with_one_doubles_and_loses_nothing(
    begin, meet, tmp_path
):
    for number, durability in enumerate(("fsync", "none", "fsync")):
        writer = begin(durability=durability)
        anna = meet(writer, f"anna{number}")
        if not number:
            anna("new", name="scan", **SIMPLE)
        anna("open", name=1, append=True)
        for value in range(40 if not number else 1):
            anna.add(100 * number + value)
        if durability == "none":
            anna("flush", ctx=0)
        writer.kill()
    recover(tmp_path)
    assert in_file(tmp_path) == [*map(float, range(40)), 100.0, 200.0]


def test_wrong_requests_are_refused_with_their_codes(begin, meet):
    anna = meet(begin())
    wrong = {
        ErrorCode.NO_DATASET: ("get", {}),
        ErrorCode.DATASET_NOT_FOUND: ("open", {"name": "x"}),
        ErrorCode.DIRECTORY_NOT_FOUND: ("cd", {"path": "x"}),
        ErrorCode.EMPTY_NAME: ("mkdir", {"name": ""}),
        ErrorCode.UNKNOWN_VERB: ("nonsense", {}),
        ErrorCode.BAD_ARGUMENT: ("dir", {"filters": 3}),
        ErrorCode.STORAGE: ("mkdir", {"name": "x" * 300}),
    }
    for code, (verb, args) in wrong.items():
        with pytest.raises(RequestError) as refusal:
            anna(verb, **args)
        assert refusal.value.code == code
    with pytest.raises(RequestError) as refusal:
        anna("cd", ctx=0)
    assert refusal.value.code == ErrorCode.BAD_ARGUMENT


def test_a_journal_entry_whose_dataset_was_moved_away_is_put_aside(begin, meet, tmp_path):
    writer = begin()
    anna = meet(writer)
    anna("new", name="scan", **SIMPLE)
    anna("flush", ctx=0)
    anna.add(1)
    writer.kill()
    (tmp_path / "00001 - scan.hdf5").rename(tmp_path / "moved")
    ben = meet(begin(), "ben")
    assert ben("dir") == [["run"], []]
    aside = [p.read_bytes() for p in (tmp_path / ".h5daq" / "refused").glob("vault-*")]
    assert "add" in [decode_record(message).verb for message in aside]
