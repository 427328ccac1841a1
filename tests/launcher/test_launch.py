"""``h5daq launch``: a run on all machines of a configuration; ssh is played by a shell script."""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import h5py
import pytest

import h5daq
from h5daq import cli
from h5daq.config import load
from h5daq.flow.roles import Role
from h5daq.jobs.spool_places import state_directory
from h5daq.keys import KeyDirectory
from h5daq.launcher.hand import ssh_shells
from h5daq.launcher.launcher import Launcher
from h5daq.launcher.parcel import CONFIG, home_of
from h5daq.launcher.place import Place
from h5daq.launcher.posts import posts_of
from h5daq.launcher.sync import LARGE

pytestmark = pytest.mark.processes

SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
why="ssh: connect to host $2 port 22: No route to host"
echo "$2" >> "{gone}/../connections"
if [ -e "{gone}/$2" ]; then echo "$why" >&2; exit 255; fi
echo "Welcome to $2"
exec sh -c "$3"
"""


@pytest.fixture
def gone(tmp_path):
    """A host whose name is in here can't be reached."""
    (tmp_path / "gone").mkdir()
    return tmp_path / "gone"


@pytest.fixture
def ssh(tmp_path, gone):
    """A program that takes the place of ssh, and runs everything here."""
    path = tmp_path / "ssh"
    path.write_text(SSH.format(gone=gone))
    path.chmod(0o700)
    return path


@pytest.fixture
def lab(config):
    """The configuration with this Python on all hosts, which get the module of the getters."""
    text = config.read_text()
    for name in ("pi1", "pi2"):
        more = f'ssh = "{name}"\npython = "{sys.executable}"\nsync = ["counting"]'
        text = text.replace(f'ssh = "{name}"', more)
    config.write_text(text)
    return config


@pytest.fixture(autouse=True)
def _ended(wait_until):
    """What a test launched ends with it."""
    yield
    records = list((state_directory() / "h5daq" / "hosts").glob("*/record.json"))
    living = [json.loads(path.read_text()) for path in records]
    pids = [record["pid"] for record in living if record.get("state") != "ended"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in filter(is_ours, pids):
            os.kill(pid, number)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not any(map(is_ours, pids)), 30.0)
    for path in records:
        path.unlink()


def is_ours(pid):
    """Whether it was launched; a path of this test's own Python may have the name in it, too."""
    try:
        return b"h5daq" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


@pytest.fixture
def keys(command, lab):
    """The writer's directory of keys; the configuration asks for them."""
    path = lab.parent / "keys"
    assert command("keys", "init", path).code == cli.DONE
    lab.write_text(lab.read_text().replace("insecure = true", 'keys = "keys"'))
    return path


def test_a_launched_run_goes_on_by_itself_and_is_found_again_and_stopped(
    command, lab, ssh, keys, rows, whole, wait_until
):
    begun = command("launch", lab, "--ssh", ssh)
    assert begun.code == cli.DONE, begun.out + begun.err
    assert "pi1: has the writer at" in begun.out
    for post in posts_of(load(lab))[1:]:  # each has got a key of its own, for its own jobs
        (sent,) = (home_of(post.key) / "keys").iterdir()
        assert sent.name == f"{post.name}.key"
        assert sent.stat().st_mode & 0o777 == 0o600
        assert KeyDirectory(keys).load()[post.name].jobs == post.jobs
    assert sorted((ssh.parent / "connections").read_text().split()) == ["pi1", "pi2"]
    for label, text in (("pi1", "ready for one/a, one/b"), ("pi2", "runs: process")):
        assert f"{label}: {text}" in begun.out
    wait_until(lambda: all(rows(group) > 20 for group in ("one/a", "one/b", "two")))
    lab.write_text(lab.read_text() + "\n# changed\n")
    again = command("launch", lab, "--ssh", ssh)
    assert again.code == cli.DONE, again.out
    assert again.out.count("runs already") == 3
    assert again.out.count("by an older configuration") == 2  # the copies of the hosts
    attached = command("launch", lab, "--ssh", ssh, "--attach", "--json")
    hosts = json.loads(attached.out)["hosts"]
    assert {label: host["record"]["state"] for label, host in hosts.items()} == dict.fromkeys(
        ("writer", "pi1", "pi2"), "running"
    )
    for host in hosts.values():  # in a session of its own: no terminal's end can reach it
        assert os.getsid(host["record"]["pid"]) == host["record"]["pid"]
    stopped = command("stop", "--config", lab, "--ssh", ssh)
    assert stopped.code == cli.DONE, stopped.out + stopped.err
    assert not any(is_ours(host["record"]["pid"]) for host in hosts.values())
    assert all(map(whole, ("one/a", "one/b", "two")))


def test_a_host_out_of_reach_says_why_and_is_left_out_and_brought_in_later(
    command, lab, ssh, gone, rows, status, wait_until
):
    lab.write_text(lab.read_text().replace("drain_timeout = 20", "drain_timeout = 0.5"))
    (lab.parent / "large.bin").write_bytes(bytes(LARGE))
    lab.write_text(
        lab.read_text().replace('sync = ["counting"]', 'sync = ["counting", "large.bin"]')
    )
    (gone / "pi2").touch()
    refused = command("launch", lab, "--ssh", ssh)
    assert "pi1: rsync: " in refused.out  # this ssh is nothing for it, so
    assert (home_of(posts_of(load(lab))[1].key) / "large.bin").stat().st_size == LARGE
    assert refused.code == cli.FAILED
    assert "pi2: failed: ssh can't get there: ssh: connect to host pi2 port 22" in refused.out
    assert "nothing was started" in refused.out
    begun = command("launch", lab, "--ssh", ssh, "--keep-going")
    assert begun.code == cli.FAILED
    assert "the others run" in begun.out
    wait_until(lambda: rows("one/a") > 5)
    (gone / "pi2").unlink()
    assert command("launch", lab, "--ssh", ssh).code == cli.DONE
    wait_until(lambda: rows("two") > 5)
    (gone / "pi1").touch()
    shown = command("status", "--config", lab, "--ssh", ssh)
    lines = {line.split()[0]: line for line in shown.out.splitlines() if line.strip()}
    assert "out of reach" in lines["pi1"]
    assert "No route to host" in lines["pi1"]
    assert lines["pi2"].split()[1] == "running"
    # Nor does anybody reach the writer any more: the others are ended all the same.
    kill_writer(lab, status)
    stopped = command("stop", "--config", lab, "--ssh", ssh)
    assert stopped.code == cli.FAILED
    assert "The hosts are ended one by one" in stopped.err
    assert "pi1: failed: ssh can't get there" in stopped.out
    assert "pi2: ended" in stopped.out


def kill_writer(lab, status):
    """With its daemon: or the one would end, or bring back, the other."""
    writer = status()["writer"]["pid"]
    for pid in (Place(lab).read()["pid"], writer):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(400)
def test_the_example_of_two_hosts_is_launched_and_stopped(tmp_path, start, ssh, ports, wait_until):
    """As it is copied, but for the names of the machines, which are all this one."""
    folder = tmp_path / "two"
    assert cli.main(["examples", "two-hosts", "--to", str(folder)]) == 0
    assert cli.main(["keys", "init", str(folder / "keys")]) == 0
    lab = folder / "lab.toml"
    text = lab.read_text().replace('"daq0"', '"127.0.0.1"')
    text = text.replace("/opt/h5daq/bin/python", sys.executable)
    for port, free in zip(("5572", "5570", "5571"), ports, strict=True):
        text = text.replace(f"tcp://*:{port}", f"tcp://127.0.0.1:{free}")
    lab.write_text(text)
    launch = start("launch", lab, "--ssh", ssh)
    assert launch.process.wait(150) == 0, launch.err
    with h5daq.connect(directory=folder / "data") as client:
        jobs = ("cryostat/temperature", "tower/wind")
        wait_until(lambda: all(taken(client, job) > 2 for job in jobs))
    stop = start("stop", "--config", lab, "--ssh", ssh)
    assert stop.process.wait(150) == 0, stop.err
    (path,) = (folder / "data").glob("*.hdf5")
    with h5py.File(path) as file:
        assert abs(file["cryostat/temperature/T"][0] - 4.2) < 0.1
        assert len(file["tower/wind/speed"]) > 2


def taken(client, job):
    return client.request("status", timeout=60.0)["jobs"].get(job, {}).get("rows", 0)


def test_a_key_that_does_not_cover_a_new_job_is_refused_with_the_mend(lab, ssh, keys):
    KeyDirectory(keys).add("pi1", Role.WORKER, ["one/a"])
    with Launcher(load(lab), ssh_shells((str(ssh),))) as launcher:
        assert not launcher.check()
    assert set(launcher.failures) == {"pi1"}
    assert "does not cover one/b" in launcher.failures["pi1"]


def test_a_writer_on_another_host_is_started_there_with_its_jobs(
    command, lab, ssh, rows, whole, wait_until
):
    text = lab.read_text().replace("[writer]", '[writer]\nhost = "pi1"')
    lab.write_text(text.replace('group = "two"\nhost = "pi2"', 'group = "two"'))
    begun = command("launch", lab, "--ssh", ssh)
    assert begun.code == cli.DONE, begun.out + begun.err
    assert "writer: ready for two" in begun.out
    wait_until(lambda: rows("one/a") > 5 and rows("two") > 5)
    writer = Place(home_of(posts_of(load(lab))[0].key) / CONFIG)
    assert writer.taken
    stopped = command("stop", "--config", lab, "--ssh", ssh)
    assert stopped.code == cli.DONE, stopped.out + stopped.err
    assert not writer.taken
    assert whole("one/a")
    assert whole("two")


def test_a_getter_that_a_host_lacks_is_named_before_anything_is_started(command, lab, ssh, data):
    lab.write_text(lab.read_text().replace('sync = ["counting"]', "sync = []"))
    refused = command("launch", lab, "--ssh", ssh)
    assert refused.code == cli.FAILED
    assert "pi1: failed: " in refused.out
    assert "counting" in refused.out
    assert not data.exists()


def test_a_dry_run_says_who_would_do_what_and_touches_nothing(command, lab, ssh, data):
    planned = command("launch", lab, "--dry-run", "--ssh", ssh)
    assert planned.code == cli.DONE, planned.err
    assert f"pi1: pi1, {sys.executable}\n  jobs: one/a, one/b\n" in planned.out
    assert "counting.py" in planned.out
    assert not data.exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('["counting"]', '["mylab"]', "there is no {folder}/mylab and no mylab.py"),
        ("[writer]", '[writer]\nhost = "no-such-host.invalid"', "no table"),
        ("[writer]", '[writer]\nhost = "pi1"', "must be an absolute path"),
        ("tcp://127.0.0.1:", "tcp://*:", "under which name do other hosts find this machine"),
        ("tcp://127.0.0.1:{port}", "tcp://127.0.0.1:0", "can't know this port"),
    ],
)
def test_what_could_not_work_is_refused_with_the_key_to_mend(lab, ports, old, new, said):
    text = (
        lab.read_text()
        .replace(old.format(port=ports[1]), new)
        .replace(f"'{lab.parent}/data'", '"data"')
    )
    lab.write_text(text)
    with pytest.raises(ValueError, match=said.format(folder=lab.parent)):
        posts_of(load(lab))


def test_the_writer_is_the_first_post_and_hosts_without_jobs_have_none(lab):
    lab.write_text(lab.read_text() + '\n[hosts.spare]\nssh = "spare"\n')
    launcher = Launcher(load(lab))
    assert [post.label for post in launcher.posts] == ["writer", "pi1", "pi2"]
    assert len({post.key for post in launcher.posts}) == 3
