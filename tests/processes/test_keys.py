"""Real writers with keys: who is let in, what each role may do, and what a revoked key loses."""

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

import h5daq
from benchmarks.fault_proxy import free_port
from h5daq.errors import NoAnswer, NotAllowed
from h5daq.flow.roles import Role
from h5daq.flow.schema import Column, Schema
from h5daq.flow.wire import encode
from h5daq.keys import KeyDirectory, find_keys
from h5daq.transports.locks import ClientKeys
from h5daq.transports.zmq import SubscriberLink, WorkerLink
from h5daq.transports.zmq_curve import make_pair

pytestmark = pytest.mark.processes

LAB = """
[run]
directory = "data"

[writer]
requests = "tcp://127.0.0.1:{}"
signals = "tcp://127.0.0.1:{}"
data = "tcp://127.0.0.1:{}"

[security]
keys = "keys"

[[jobs]]
group = "room"
getter = "h5daq.instruments.simulated:Thermometer"
args = {{ period = 0.02 }}
read_period = 0.02
columns = [{{ label = "T", unit = "K" }}]
"""

ALL = [b"heartbeat/", b"data-available ", b"position "]


def counter():
    count = iter(range(10**9))
    return lambda: next(count)


def make_keys(folder):
    directory = KeyDirectory(folder / "keys")
    directory.make()
    directory.add("pi", Role.WORKER, ["far/*"])
    directory.add("screen", Role.MONITOR)
    return directory


def run_with(keys, folder):
    job = h5daq.DAQJob("near", "n", counter(), read_period=0.01)
    options = dict.fromkeys(["data", "requests", "signals"], "tcp://127.0.0.1:*")
    options |= {"keys": keys.path, "drain_timeout": 0.2}
    return h5daq.DAQDaemon(job, directory=folder / "data", **options)


@pytest.fixture
def keys(tmp_path):
    """A writer's directory of keys, with one for each role."""
    return make_keys(tmp_path)


@pytest.fixture
def daemon(keys, tmp_path):
    """A run of the job `near` on tcp, with keys."""
    with run_with(keys, tmp_path) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """Such a run for all tests that leave its keys as they are: the run, and its keys."""
    folder = tmp_path_factory.mktemp("lasting")
    keys = make_keys(folder)
    with run_with(keys, folder) as daemon:
        yield daemon, keys
    assert is_whole(daemon)


def key_of(keys, name):
    return find_keys(keys.path / f"{name}.key")


def hello(job, inc=7):
    schema = Schema((Column("time", np.dtype("<f8")), Column("x", np.dtype("<f8"))))
    return encode("hello", job=job, inc=inc, schema=schema.to_wire())


def is_whole(daemon):
    with h5py.File(daemon.file_name) as file:
        values = file["near/n"][:]
    return len(values) > 0 and np.array_equal(values, np.arange(len(values)))


def told(link, message, job, kind):
    """The first signal of a kind for a job that comes after sending, again and again."""
    link.send(message)
    wanted = f"{kind} {job}/".encode()
    return next((fields for topic, fields in link.receive(0.1) if topic == wanted), None)


# -- who is let in -------------------------------------------------------------------------------


def test_local_workers_of_a_daemon_with_keys_just_record(lasting, wait_until):
    daemon, _ = lasting
    before = daemon.job_rows("near")
    wait_until(lambda: daemon.job_rows("near") > before + 50)


def test_each_role_may_do_its_part_and_is_told_what_it_may_not(lasting):
    daemon, keys = lasting
    endpoint = daemon.endpoints["requests"]
    with h5daq.connect(endpoint, keys=keys.path / "screen.key") as screen:
        assert "near" in screen.status()["jobs"]
        with pytest.raises(NotAllowed, match=r"'screen' .monitor. may not ask for 'stop'"):
            screen.request("stop")
    with h5daq.connect(endpoint, keys=keys.path / "pi.key") as pi:
        assert pi.request("ping")["run"]
        with pytest.raises(PermissionError, match=r"'pi' .worker for far/.*may not"):
            pi.status()
    for shown in (keys.path, daemon.keys):
        with h5daq.connect(endpoint, keys=shown) as operator:
            assert operator.request("flush", timeout=60)["file"]


def unanswered(client):
    """What is said of a request that gets no answer."""
    with pytest.raises(NoAnswer) as silence:
        client.request("ping", timeout=1.5)
    return str(silence.value)


@pytest.mark.parametrize("who", ["nobody", "stranger", "other writer"])
def test_who_is_not_on_the_list_gets_nothing_and_hears_why(lasting, who, wait_until):
    daemon, keys = lasting
    pi, (public, secret) = key_of(keys, "pi"), make_pair()
    shown = {
        "nobody": None,
        "stranger": ClientKeys("stranger", public, secret, pi.writer),
        "other writer": ClientKeys("pi", pi.public, pi.secret, public),
    }[who]
    with h5daq.connect(daemon.endpoints["requests"], keys=shown) as client:
        wait_until(lambda: "key" in unanswered(client), what="a refusal that names the key")
    with SubscriberLink(daemon.endpoints["signals"], [b""], shown) as listener:
        assert listener.receive(1.2) == []  # a heartbeat comes each second


def test_the_commands_find_the_keys_by_the_directory(lasting, command):
    daemon, keys = lasting
    shown = command("status", "--directory", daemon.directory, "--json")
    assert json.loads(shown.out)["writer"]["insecure"] is False
    endpoint = daemon.endpoints["requests"]
    watched = command(
        "watch", "--connect", endpoint, "--keys", keys.path / "screen.key", "--count", "1"
    )
    assert watched.code == 0, watched.err
    assert "near" in watched.out


def test_a_writer_that_is_killed_is_found_again_by_the_same_keys(daemon, wait_until):
    wait_until(lambda: daemon.job_rows("near") > 10)
    os.kill(daemon.status()["writer"]["pid"], signal.SIGKILL)
    wait_until(lambda: daemon.status()["writer"].get("restarts"))
    before = daemon.job_rows("near")
    wait_until(lambda: daemon.job_rows("near") > before + 50)
    daemon.stop()
    assert is_whole(daemon)


def test_a_worker_that_is_not_let_in_says_why_holds_its_rows_and_comes_in_later(
    start, keys, tmp_path, wait_until
):
    ports = [free_port() for _ in range(3)]
    path = tmp_path / "lab.toml"
    path.write_text(LAB.format(*ports))
    late = keys.add("late", Role.WORKER, ["room"])
    (keys.path / "late.key").rename(tmp_path / "late.key")
    keys.revoke("late")
    start("writer", path).until_said("recording into")
    worker = start("worker", path, "--job", "room", "--keys", tmp_path / "late.key")
    worker.until_said("the writer does not let this key in")
    keys.add("late", Role.WORKER, ["room"], late.public)
    with h5daq.connect(f"tcp://127.0.0.1:{ports[0]}", keys=keys.path) as client:
        wait_until(lambda: client.status()["jobs"].get("room", {}).get("rows", 0) > 20)
        client.request("stop", timeout=60)
    assert worker.end() == 0


# -- rows ------------------------------------------------------------------------------------------


def test_a_worker_may_send_rows_of_its_own_jobs_only(lasting, wait_until):
    daemon, keys = lasting
    ends = daemon.endpoints
    with WorkerLink(ends["data"], ends["signals"], "far/own", key_of(keys, "pi")) as far:
        wait_until(lambda: told(far, hello("far/own"), "far/own", "position"))
    with WorkerLink(ends["data"], ends["signals"], "other", key_of(keys, "pi")) as other:
        said = wait_until(lambda: told(other, hello("other"), "other", "refused"))
    assert said["key"] == "pi"
    assert "may not send rows of job 'other'" in said["cause"]
    jobs = daemon.status()["jobs"]
    assert jobs["other"]["state"] == "refused"
    assert jobs["far/own"]["state"] != "refused"


@pytest.mark.parametrize("name", ["operator", "screen"])
def test_only_workers_send_rows(lasting, wait_until, name):
    daemon, keys = lasting
    ends = daemon.endpoints
    with WorkerLink(ends["data"], ends["signals"], "far/T", key_of(keys, name)) as link:
        assert wait_until(lambda: told(link, hello("far/T"), "far/T", "refused"))["key"] == name


def test_a_key_that_speaks_for_another_job_does_not_stop_that_one(lasting, wait_until):
    daemon, keys = lasting
    ends = daemon.endpoints
    inc = daemon.status()["jobs"]["near"]["inc"]
    with WorkerLink(ends["data"], ends["signals"], "near", key_of(keys, "pi")) as thief:
        wait_until(lambda: told(thief, hello("near", inc), "near", "refused"))
        thief.send(encode("bye", job="near", inc=inc, end=0))
    before = daemon.job_rows("near")
    wait_until(lambda: daemon.job_rows("near") > before + 50)
    assert daemon.status()["jobs"]["near"]["message"] == ""


def test_a_worker_hears_nothing_of_other_jobs(lasting, wait_until):
    daemon, keys = lasting
    ends, heard = daemon.endpoints, set()

    def hears_the_heart():
        heard.update(topic for topic, _ in link.receive(0.1))
        return b"heartbeat/" in heard

    with SubscriberLink(ends["signals"], [b"", *ALL], key_of(keys, "pi")) as link:
        wait_until(hears_the_heart)
        heard.clear()
        wait_until(hears_the_heart)
    assert heard == {b"heartbeat/"}


# -- revoking ------------------------------------------------------------------------------------


class Ear:
    """A subscriber that counts what it hears."""

    def __init__(self, daemon, keys):
        self.link = SubscriberLink(daemon.endpoints["signals"], ALL, keys)
        self.heard = 0

    def listens(self):
        self.heard += len(self.link.receive(0.05))
        return self.heard


def test_a_revoked_key_hears_nothing_more_and_the_others_miss_no_row(daemon, keys, wait_until):
    screen, other = (Ear(daemon, key_of(keys, name)) for name in ("screen", "operator"))
    with screen.link, other.link:
        wait_until(screen.listens)
        wait_until(other.listens)
        keys.revoke("screen")
        wait_until(lambda: "not let this key in" in screen.link.refusal())
        while screen.link.receive(0.0):
            continue  # what came before that
        screen.heard = other.heard = 0
        before = daemon.job_rows("near")
        wait_until(lambda: screen.listens() + other.listens() > 20)
        wait_until(lambda: daemon.job_rows("near") > before + 50)
        assert screen.listens() == 0
    daemon.stop()
    assert is_whole(daemon)


def test_a_revoked_key_loses_the_connections_that_it_has(daemon, keys, wait_until, caplog):
    ends, pi = daemon.endpoints, key_of(keys, "pi")
    screen = h5daq.connect(ends["requests"], keys=keys.path / "screen.key")
    with screen, WorkerLink(ends["data"], ends["signals"], "far/T", pi) as link:
        screen.status()
        wait_until(lambda: told(link, hello("far/T"), "far/T", "position"))
        keys.revoke("screen")
        keys.revoke("pi")
        wait_until(lambda: "not let this key in" in link.refusal())
        with pytest.raises(NotAllowed, match="revoked"):
            screen.status()
        link.send(hello("far/new"))
        wait_until(lambda: daemon.status()["writer"]["refused"].get("key", 0) >= 2)
    assert daemon.status()["jobs"]["far/new"]["state"] == "refused"
    wait_until(lambda: "key 'pi' was revoked" in caplog.text)


def test_a_key_that_is_added_while_the_writer_runs_is_let_in(daemon, keys, wait_until):
    keys.add("late", Role.MONITOR)

    def answered():
        try:
            return client.request("ping", timeout=1.0)
        except NoAnswer:
            return None

    with h5daq.connect(daemon.endpoints["requests"], keys=keys.path / "late.key") as client:
        wait_until(answered)


def test_a_list_that_makes_no_sense_is_said_and_the_last_one_stays(
    daemon, keys, wait_until, caplog
):
    allowed = keys.path / "allowed.toml"
    allowed.write_text("[keys.x]\nrole = 'king'\n")
    wait_until(lambda: "role must be one of" in caplog.text)
    with h5daq.connect(daemon.endpoints["requests"], keys=keys.path) as client:
        assert client.status()["writer"]["state"] == "running"


# -- what stays private ----------------------------------------------------------------------------


def test_no_key_is_in_log_status_or_files(keys, tmp_path, wait_until, caplog):
    job = h5daq.DAQJob("near", "n", counter(), read_period=0.01, spool="always")
    data = tmp_path / "data"
    with h5daq.DAQDaemon(job, directory=data, keys=keys.path, log_level="DEBUG") as daemon:
        client = h5daq.connect(daemon.endpoints["requests"], keys=keys.path / "pi.key")
        with client, pytest.raises(NotAllowed):
            client.status()
        keys.revoke("screen")
        wait_until(lambda: "was revoked" in caplog.text)
        local = daemon._fleet._locals
        said = caplog.text + json.dumps(daemon.status()) + repr([local.own, *local.of_job.values()])
    pairs = [local.own, *local.of_job.values(), key_of(keys, "pi")]
    texts = [text for pair in pairs for text in (pair.public, pair.secret)] + [keys.secret]
    places = [data, Path(os.environ["XDG_STATE_HOME"])]
    files = [path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) >= 2
    for text in texts:
        assert text not in said
        assert not any(text.encode() in content for content in files)


def test_a_run_without_keys_is_reachable_by_its_own_user_alone(tmp_path):
    job = h5daq.DAQJob("near", "n", counter(), read_period=0.1)
    with h5daq.DAQDaemon(job, directory=tmp_path) as daemon:
        for endpoint in daemon.endpoints.values():
            path = Path(endpoint.removeprefix("ipc://"))
            assert endpoint.startswith("ipc:///")
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            if os.geteuid() == 0:
                others = subprocess.run(["/bin/ls", path], user=65534, capture_output=True)
                assert b"Permission denied" in others.stderr
