"""A configuration of one writer and two hosts, which here are this machine."""

import h5py
import numpy as np
import pytest

import h5daq
from benchmarks.fault_proxy import free_port
from h5daq.config import load

LAB = """
[run]
name = "lab"
directory = {directory!r}
write_period = 0.5
drain_timeout = 20

[writer]
data = "tcp://127.0.0.1:{ports[0]}"
requests = "tcp://127.0.0.1:{ports[1]}"
signals = "tcp://127.0.0.1:{ports[2]}"

[security]
insecure = true

[hosts.pi1]
ssh = "pi1"

[hosts.pi2]
ssh = "pi2"

[[jobs]]
group = "one/a"
host = "pi1"
getter = "counting:Counter"
args = {{}}
read_period = 0.01
columns = [{{ label = "n", dtype = "i8" }}]

[[jobs]]
group = "one/b"
host = "pi1"
getter = "counting:Counter"
args = {{}}
read_period = 0.01
columns = [{{ label = "n", dtype = "i8" }}]

[[jobs]]
group = "two"
host = "pi2"
getter = "counting:Counter"
args = {{}}
read_period = 0.01
columns = [{{ label = "n", dtype = "i8" }}]
"""

COUNTER = """
import itertools


class Counter:
    def __init__(self):
        self.count = itertools.count()

    def __call__(self):
        return next(self.count)
"""


@pytest.fixture
def six_ports():
    """Free ports; the first three are the configuration's."""
    return [free_port() for _ in range(6)]


@pytest.fixture
def ports(six_ports):
    """Ports for data, requests and signals."""
    return six_ports[:3]


@pytest.fixture
def data(tmp_path):
    """Where the files go."""
    return tmp_path / "data"


@pytest.fixture
def config(tmp_path, ports, data):
    """A configuration with two hosts and a writer, on tcp."""
    (tmp_path / "counting.py").write_text(COUNTER)
    path = tmp_path / "lab.toml"
    path.write_text(LAB.format(directory=str(data), ports=ports))
    return path


@pytest.fixture
def status(config):
    """`status()`: what the writer says, or nothing while it is silent."""

    def ask():
        found = load(config)
        try:
            with h5daq.connect(found.writer.requests, keys=found.keys) as client:
                return client.request("status", timeout=1.0)
        except h5daq.H5daqError:
            return {"jobs": {}, "run": {}}

    return ask


@pytest.fixture
def rows(status):
    """`rows(group)`: how many rows of a job are committed; 0 while nobody answers."""
    return lambda group: status()["jobs"].get(group, {}).get("rows", 0)


@pytest.fixture
def numbers(data):
    """`numbers(group)`: the numbers of a job in all files, as plain h5py reads them."""

    def read(group):
        found = []
        for path in sorted(data.glob("*.hdf5")):
            with h5py.File(path) as file:
                if group in file:
                    found.append(file[group]["n"][:])
        return np.concatenate(found)

    return read


@pytest.fixture
def whole(numbers):
    """`whole(group)`: whether a job's numbers are 0, 1, 2 … with none missing or twice."""

    def is_whole(group):
        found = numbers(group)
        return len(found) > 0 and np.array_equal(found, np.arange(len(found)))

    return is_whole
