"""A job as a dataset of the vault: what its reader sees is what its worker sent, wherever it lies.

Intake, journal, builder and the vault's service are real; there are no threads and no sockets, so
checkpoints, rollovers and readers come exactly when a test says so.
"""

import itertools

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import h5daq
from h5daq.errors import DataVersionMismatch, ReadOnly
from h5daq.flow.ledger import Ledger
from h5daq.flow.recent import Recent
from h5daq.flow.requests import Request
from h5daq.flow.vaultwire import decode_columns, encode_columns
from h5daq.storage.checkpoint import Builder, BuilderOptions
from h5daq.storage.recovery import replay
from h5daq.vault.labrad import to_data_url
from h5daq.vault.live import Live
from h5daq.vault.service import Service
from h5daq.vault.tree import Tree
from h5daq.writer.recorded import Recorded

from .conftest import Front, Worker

HOUR = 3600.0


class House:
    """A writer without its threads and sockets, and a client of its vault."""

    def __init__(self, front, directory, kept_bytes=1 << 20):
        self.front, self.directory = front, directory
        self.numbers = itertools.count(1)
        front.intake.recent = Recent(kept_bytes=kept_bytes)
        self.options = BuilderOptions(directory, durable=False)
        self.builder = Builder(front.journal, None, 0, self.options)
        intake = front.intake
        self.builder.known_rows = intake.recent.batch
        self.by_bytes, self.followed = Ledger(), 0
        self.recorded = Recorded(
            "r", "run", intake.ledger, intake.recent, front.journal,
            lambda: self.builder.checkpoint_lsn,
        )  # fmt: skip
        self.tree = Tree(directory, durable=False, recorder=self.recorded)
        live = Live(self.tree, lambda: front.journal.last)
        self.service = Service(self.tree, live, intake.change, intake.ledger.answered)
        self("context")

    def checkpoint(self):
        self.follow()
        self.builder.advance(self.front.journal.last)
        self.builder.checkpoint()

    def follow(self):
        """Take the same entries into a ledger that sees nothing but their bytes."""
        for entry in self.front.journal.entries(self.followed, self.front.journal.last):
            self.by_bytes.apply(entry.message)
            self.followed = entry.lsn

    def take(self, *messages):
        """Rows come in; the notes that they cause."""
        self.front.take(*messages)
        fed, self.front.intake.fed = self.front.intake.fed, {}
        keys = [("", "run", *job.split("/")) for job in fed]
        told = [told for key in keys for told in self.service.job_news((key[:-1], key[-1]))]
        return [(one.note.signal, one.note.payload) for one in told]

    def ask(self, verb, frames=(), **args):
        request = Request(next(self.numbers), verb, args, 1, "anna", tuple(frames))
        return self.service.answer(request, self.front.now, 0.0)

    def __call__(self, verb, **args):
        return self.ask(verb, **args).result

    def get(self, limit=None, start_over=False, verb="get_ex"):
        answer = self.ask(verb, limit=limit, start_over=start_over)
        return decode_columns(answer.result, answer.frames)

    def end(self):
        self.front.intake.end()
        self.checkpoint()
        self.builder.close()


def times_in_files(directory, group="tank"):
    """The times of a job's rows, as plain h5py finds them, file by file."""
    times = []
    for path in sorted(directory.glob("*.h5")):
        with h5py.File(path) as file:
            times += file[f"{group}/time"][:].tolist() if group in file else []
    return times


@pytest.fixture
def house(tmp_path):
    house = House(Front(), tmp_path)
    house.worker = Worker()
    house.take(house.worker.hello())
    yield house
    house.builder.close()


def test_a_job_is_there_with_its_first_row_and_read_before_any_checkpoint(house):
    assert house("dir") == [["run"], []]
    house.take(house.worker.rows(10.0, 11.0))
    house("cd", path="run")
    assert house("dir") == [[], ["tank"]]
    assert house("open", name=1) == [["", "run"], "tank"]
    assert [c.tolist() for c in house.get()] == [[10.0, 11.0]] * 2
    assert not list(house.directory.glob("*.h5"))


def test_rows_behind_and_before_a_checkpoint_are_one(house):
    house.take(house.worker.rows(10.0, 11.0))
    house.checkpoint()
    house.take(house.worker.rows(12.0))
    house("cd", path="run")
    house("open", name="tank")
    assert house.get(limit=1)[0].tolist() == [10.0]
    house.checkpoint()
    house.take(house.worker.rows(13.0))
    assert house.get()[0].tolist() == [11.0, 12.0, 13.0]
    assert house.get()[0].tolist() == []


def test_the_rows_of_an_entry_are_known_until_the_files_have_them_or_they_are_too_many(tmp_path):
    house, worker = House(Front(), tmp_path, kept_bytes=500), Worker()
    recent, journal = house.front.intake.recent, house.front.journal
    house.take(worker.hello(), worker.rows(10.0, 11.0))
    assert recent.batch(journal.last).columns[0].tolist() == [10.0, 11.0]
    house.take(worker.rows(*range(12, 112)))
    assert recent.batch(journal.last - 1) is recent.batch(journal.last) is None
    house.take(worker.rows(112.0))
    assert recent.batch(journal.last).n == 1
    house.checkpoint()
    house.recorded.reach()
    assert recent.batch(journal.last) is None
    house.builder.close()


def test_rollovers_are_joined_and_the_position_stays(house):
    house("cd", path="run")
    for hour in range(3):
        house.front.now = hour * HOUR + 20.0
        house.take(house.worker.rows(house.front.now, house.front.now + 1))
        if not hour:
            house("open", name="tank")
        assert house.get()[0].tolist() == [house.front.now, house.front.now + 1]
        house.checkpoint()
        house.front.intake.tick()
    house.end()
    assert len(list(house.directory.glob("*.h5"))) == 3
    assert house.get(start_over=True)[0].tolist() == times_in_files(house.directory)


def test_followers_are_told_once_between_two_readings(house):
    house.take(house.worker.rows(10.0))
    house("cd", path="run")
    house("signal", kind="data-available", mid=7)
    told = house.ask("open", name="tank").told
    assert [one.note.mid for one in told] == [7]
    assert house.take(house.worker.rows(11.0)) == []
    house.get()
    place = {"path": ["", "run"], "name": "tank"}
    assert house.take(house.worker.rows(12.0), house.worker.rows(13.0)) == [
        ("data-available", place)
    ]
    assert house.take(house.worker.rows(14.0)) == []
    house.get()
    assert len(house.take(house.worker.rows(15.0))) == 1


def test_rows_that_wait_for_a_reader_of_the_file_are_seen(house):
    house.take(house.worker.rows(10.0))
    house.checkpoint()
    path = next(house.directory.glob("*.h5"))
    house("cd", path="run")
    house("open", name="tank")
    with h5py.File(path) as reader:
        house.take(house.worker.rows(11.0))
        house.checkpoint()
        assert len(reader["tank/time"]) == 1
        assert house.builder.pending
        assert house.get()[0].tolist() == [10.0, 11.0]
        house("open", name="tank")
        assert house.get()[0].tolist() == [10.0, 11.0]


def test_an_answer_waits_for_the_newest_row_in_it(house):
    house.take(house.worker.rows(10.0))
    last = house.front.journal.last
    house("cd", path="run")
    house("open", name="tank")
    house.get()
    assert house.recorded.touched == last


def test_parameters_comments_and_tags_stand_at_the_job_and_follow_it_over_rollovers(house):
    house.take(house.worker.rows(10.0))
    house("cd", path="run")
    house("open", name="tank")
    house("add_parameter", name="p", value=to_data_url(1.5))
    house("add_comment", comment="warm", user="anna")
    house("update_tags", tags="good", dirs=[])
    house.checkpoint()
    house.front.now = HOUR + 20.0
    house.take(house.worker.rows(HOUR + 20.0))
    house("add_comment", comment="cold", user="ben")
    house("update_tags", tags=["-good", "bad"], dirs=[])
    assert house("get_tags", dirs=[], datasets="tank") == [[], [["tank", ["bad"]]]]
    house.end()
    first, second = (h5py.File(path) for path in sorted(house.directory.glob("*.h5")))
    with first, second:
        assert first["tank"].attrs["Param.p"] == to_data_url(1.5)
        assert list(first["tank"].attrs["Comments"]) == ["warm"]
        assert list(second["tank"].attrs["Comments"]) == ["cold"]
        assert [list(f["tank"].attrs["Tags"]) for f in (first, second)] == [["good"], ["bad"]]
    vault = h5daq.Vault(house.directory)
    vault.cd("run")
    vault.open("tank")
    assert vault.parameters() == {"p": 1.5}
    assert [c.comment for c in vault.comments()] == ["warm", "cold"]
    assert vault.dir_tags(())[1] == [("tank", ["bad"])]


def test_notes_that_no_checkpoint_has_are_replayed_once(house):
    house.take(house.worker.rows(10.0))
    house("cd", path="run")
    house("open", name="tank")
    house("add_comment", comment="one", user="anna")
    house.builder.advance(house.front.journal.last)
    for run_file in house.builder._files.values():
        run_file.checkpoint(house.builder.lsn)
    house("add_comment", comment="two", user="anna")
    house.builder.close()
    replay(house.front.journal, house.options).close()
    replay(house.front.journal, house.options).close()
    vault = h5daq.Vault(house.directory)
    vault.cd("run")
    vault.open("tank")
    assert [c.comment for c in vault.comments()] == ["one", "two"]


def test_a_note_after_the_last_file_was_closed_begins_the_next(house):
    house.take(house.worker.rows(10.0))
    house.checkpoint()
    house.front.now = HOUR + 100.0
    house.front.intake.tick()
    assert not house.front.intake.ledger.files
    house("cd", path="run")
    house("open", name="tank")
    house("add_comment", comment="still there", user="anna")
    house.end()
    assert [c[2] for c in house("get_comments", start_over=True)] == ["still there"]
    paths = sorted(house.directory.glob("*.h5"))
    with h5py.File(paths[-1]) as file:
        assert len(file["tank"].attrs["Comments"]) == 1
    assert len(paths) == 2


def test_many_comments_go_on_beside_the_attribute(house):
    house.take(house.worker.rows(10.0))
    house("cd", path="run")
    house("open", name="tank")
    for number in range(4100):
        house("add_comment", comment=f"{number}", user="")
    house.end()
    found = house("get_comments", start_over=True)
    assert [c[2] for c in found] == [f"{number}" for number in range(4100)]
    with h5py.File(next(house.directory.glob("*.h5"))) as file:
        assert list(file["tank"]) == ["time", "T"]


def test_what_would_change_rows_or_places_of_a_run_is_refused_with_the_guides_code(house):
    house.take(house.worker.rows(10.0))
    fields, frames = encode_columns([np.zeros(1), np.zeros(1)])
    wrong = [
        (4, "mkdir", {"name": "run"}),
        (7, "cd", {"path": ["", "run", "x"], "create": True}),
    ]
    inside = [
        (7, "open", {"name": "tank", "append": True}),
        (7, "add", {"frames": frames, **fields}),
        (7, "new", {"name": "scan", "independents": [], "dependents": [["x", "", ""]]}),
        (7, "mkdir", {"name": "x"}),
        (3, "open", {"name": "T"}),
        (3, "open", {"name": 2}),
        (10, "add_parameter", {"name": "p", "value": to_data_url(2.0)}),
        (7, "update_tags", {"tags": "x", "dirs": "nobody", "datasets": []}),
    ]
    codes = [_code(house, verb, args) for _, verb, args in wrong]
    house("cd", path=["", "run"])
    house("open", name="tank")
    house("add_parameter", name="p", value=to_data_url(1.0))
    codes += [_code(house, verb, args) for _, verb, args in inside]
    assert codes == [code for code, *_ in (*wrong, *inside)]
    assert house("dir") == [[], ["tank"]]
    assert [p.name for p in house.directory.iterdir()] == []


def _code(house, verb, args):
    with pytest.raises((ReadOnly, LookupError, ValueError)) as refusal:
        house.ask(verb, **args)
    return refusal.value.code


def test_get_gives_floats_only_where_they_are_exact(house):
    house.take(house.worker.rows(10.0))
    other = Worker("count", kind="<i8")
    house.take(other.hello(), other.rows(10.0))
    house("cd", path="run")
    house("open", name="tank")
    assert house.get(verb="get")[0].tolist() == [[10.0, 10.0]]
    house("open", name="count")
    with pytest.raises(DataVersionMismatch):
        house.get(verb="get")
    assert house.get(verb="get_ex_t")[1].dtype == np.int64
    assert house("row_type") == "*(v[s],t)"


@settings(max_examples=12, stateful_step_count=30, deadline=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
class Line(RuleBasedStateMachine):
    """Whatever is checkpointed, closed, held open or forgotten: the reader reads what was sent."""

    directories = None

    def __init__(self):
        super().__init__()
        self.house = House(Front(), self.directories.mktemp("line"), kept_bytes=200)
        self.worker, self.time, self.sent, self.read = Worker(), 10.0, [], []
        self.reader = None
        self.house.take(self.worker.hello())
        self.rows(1)
        self.house("cd", path="run")
        self.house("open", name="tank")

    @rule(n=st.integers(1, 4))
    def rows(self, n=1):
        times = [self.time + k for k in range(n)]
        self.time += n
        self.house.take(self.worker.rows(*times))
        self.sent += times

    @rule()
    def some_rows_again_and_a_new_one(self):
        first = max(0, self.worker.end - 2)
        self.sent.append(self.time)
        self.time += 1
        self.house.take(self.worker.rows(*self.sent[first:], first=first))

    @rule()
    def checkpoint(self):
        self.house.checkpoint()
        assert self.house.builder.ledger.snapshot() == self.house.by_bytes.snapshot()

    # HDF5 opens no file in two ways in one process, as it would if the reader came between.
    @precondition(lambda self: self.reader is None)
    @rule()
    def some_rows_are_brought_in_twice(self):
        self.rows(2)
        last = self.house.front.journal.last
        self.house.builder.advance(last)
        self.house.builder.rewind()
        self.house.builder.advance(last)

    @rule()
    def next_hour(self):
        self.time = self.house.front.now = (self.time // HOUR + 1) * HOUR + 100.0

    @rule()
    def tick(self):
        self.house.front.intake.tick()

    @rule()
    def hold_a_file_open(self):
        paths = sorted(self.house.directory.glob("*.h5"))
        if paths and self.reader is None:
            self.reader = h5py.File(paths[-1])

    @rule()
    def let_it_go(self):
        if self.reader is not None:
            self.reader.close()
            self.reader = None
            self.house.builder.apply_pending()

    @rule(limit=st.none() | st.integers(0, 5))
    def get(self, limit):
        self.read += self.house.get(limit)[0].tolist()

    @rule()
    def open_anew(self):
        self.house("open", name="tank")
        self.read = []

    @invariant()
    def what_was_read_is_what_was_sent(self):
        assert self.read == self.sent[: len(self.read)]

    def teardown(self):
        self.let_it_go()
        self.read += self.house.get()[0].tolist()
        assert self.read == self.sent
        self.house.end()
        assert times_in_files(self.house.directory) == self.sent


def test_a_reader_reads_what_was_sent_whatever_becomes_of_it(tmp_path_factory):
    Line.directories = tmp_path_factory
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Line)
