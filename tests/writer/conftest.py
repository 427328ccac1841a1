"""What the tests of the writer's parts share: messages of workers, and an intake for them."""

import itertools

import numpy as np
import pytest

from h5daq.flow import wire
from h5daq.flow.batch import Batch
from h5daq.flow.ledger import Ledger
from h5daq.flow.planner import Planner
from h5daq.flow.records import RunRecord
from h5daq.flow.rollover import Calendar
from h5daq.flow.schema import Column, Schema
from h5daq.storage.journal import MemoryJournal
from h5daq.transports.memory import MemoryTransport
from h5daq.writer.committer import Publisher
from h5daq.writer.intake import Intake

ENDPOINTS = ("memory://data", "memory://requests", "memory://signals")


class Worker:
    """What a worker would send, as bytes; one job, one incarnation."""

    def __init__(self, job="tank", inc=1, kind="<f8"):
        self.job, self.inc = job, inc
        self.schema = Schema((Column("time", np.dtype("<f8")), Column("T", np.dtype(kind))))
        self.end = 0

    def hello(self, **more):
        wired = self.schema.to_wire()
        return wire.encode("hello", job=self.job, inc=self.inc, schema=wired, **more)

    def rows(self, *times, first=None):
        """The next rows; or those from number `first` on once more."""
        first = self.end if first is None else first
        self.end = max(self.end, first + len(times))
        t = np.array(times, "<f8")
        values = t.astype(self.schema.columns[1].dtype)
        return wire.encode_rows(Batch(self.job, self.inc, first, len(t), (t, values)), self.schema)

    def say(self, kind, **fields):
        return wire.encode(kind, job=self.job, inc=self.inc, **fields)


class Front:
    """An intake on a journal in memory, whose clock stands at `now`."""

    def __init__(self, **limits):
        self.now = 10.0
        self.journal = MemoryJournal(**limits)
        planner = Planner(
            Calendar({"hours": 1}), "{date_from}.h5", 0, 60.0, itertools.count(1).__next__
        )
        self.planner = planner
        self.begin(Ledger())
        options = {"write_period": 60.0, "write_period_jitter": 0.0, "rollover_interval": "1 hours",
                   "durability": "none", "file_format": "{date_from}_{date_to}.h5"}  # fmt: skip
        self.intake.record(RunRecord("r", "run", self.now, {}, options))
        self.intake.record(planner.first(self.now))
        self.intake.collect()

    def begin(self, ledger):
        """Be the writer that starts with that ledger."""
        self.intake = Intake(self.journal, ledger, self.planner, "run", lambda: self.now)

    def take(self, *messages):
        """What is noted of these messages."""
        for message in messages:
            self.intake.take(memoryview(message))
        return self.intake.collect()


@pytest.fixture
def worker():
    return Worker


@pytest.fixture
def make_front():
    return Front


@pytest.fixture
def front():
    return Front()


@pytest.fixture
def net():
    return MemoryTransport()


@pytest.fixture
def port(net):
    with net.writer(*ENDPOINTS) as port:
        yield port


@pytest.fixture
def hear(net, port):
    """Call it to hear what is published from then on, as pairs of topic and map."""

    def subscribe(*prefixes):
        link = net.subscriber(ENDPOINTS[2], [prefix.encode() for prefix in prefixes or [""]])
        return lambda: [(topic.decode(), fields) for topic, fields in link.receive(0.0)]

    return subscribe


@pytest.fixture
def publisher(port):
    return Publisher(port, "boot", "r", "run", 20.0, lambda: 1 << 20)
