"""``h5daq host``: the jobs of one host, for a writer that comes, goes, and moves."""

import json
import os
import signal

import numpy as np
import psutil
import pytest
import xarray

from h5daq import cli
from h5daq.launcher.place import Place

pytestmark = pytest.mark.processes


def agent(start, config, name):
    return start("host", "--config", config, "--name", name)


def record(config, name):
    return Place(config, name).read()


def test_two_hosts_feed_one_writer_and_end_with_its_run(
    start, command, config, rows, status, whole, data, wait_until
):
    hosts = [agent(start, config, name) for name in ("pi1", "pi2")]  # the order does not matter
    run = start("run", config, "--quiet")
    wait_until(lambda: all(rows(group) > 20 for group in ("one/a", "one/b", "two")))
    clock = wait_until(lambda: record(config, "pi1")["clock"])  # it is the same one
    assert abs(clock["offset"]) <= clock["error"] + 0.001
    wait_until(lambda: len(status()["clocks"]) == 2)
    shown = command("status", "--directory", data).out
    assert "  clocks    pi1 " in shown
    stop = command("stop", "--directory", data)
    assert stop.code == cli.DONE, stop.err
    assert [host.end() for host in hosts] == [cli.DONE, cli.DONE], hosts[0].err
    assert run.end() == cli.DONE, run.err
    assert all(map(whole, ("one/a", "one/b", "two")))
    assert record(config, "pi1")["state"] == "ended"
    for path in data.glob("*.hdf5"):
        for name in ("pi1", "pi2"):
            clocks = xarray.open_dataset(path, group=f"h5daq/clocks/{name}", engine="h5netcdf")
            assert bool((abs(clocks.offset) <= clocks.error + 0.001).all())


def test_sigterm_hands_over_all_rows_and_ends_one_host_alone_while_another_loses_a_worker(
    start, config, rows, status, whole, numbers, wait_until
):
    run = start("run", config, "--quiet")
    first, second = (agent(start, config, name) for name in ("pi1", "pi2"))
    wait_until(lambda: rows("one/a") > 20 and rows("two") > 20)
    os.kill(status()["jobs"]["two"]["pid"], signal.SIGKILL)
    wait_until(lambda: status()["jobs"].get("two", {}).get("restarts") == 1)
    wait_until(lambda: "killed by signal 9" in run.err, what="the agent's log at the writer")
    assert first.end(signal.SIGTERM) == cli.DONE, first.err
    assert status()["jobs"]["one/a"]["state"] == "ended"
    before = rows("two")
    wait_until(lambda: rows("two") > before + 20)
    assert second.end(signal.SIGINT) == cli.DONE, second.err
    assert run.end(signal.SIGTERM) == cli.DONE
    assert all(map(whole, ("one/a", "one/b")))
    assert_counted_twice(numbers("two"))


def assert_counted_twice(found):
    """That one worker's numbers, from 0 on with none missing, are followed by another's."""
    (again,) = np.flatnonzero(found == 0)[1:]
    for part in (found[:again], found[again:]):
        assert np.array_equal(part, np.arange(len(part)))


def test_a_second_agent_for_the_same_host_is_refused_and_the_first_goes_on(start, command, config):
    config.write_text(config.read_text().replace("drain_timeout = 20", "drain_timeout = 0.5"))
    first = agent(start, config, "pi1")
    first.until_said("host pi1: 2 jobs")
    second = command("host", "--config", config, "--name", "pi1")
    assert second.code == cli.FAILED
    assert f"process {first.process.pid}" in second.err
    assert first.process.poll() is None


def test_workers_of_a_killed_agent_end_by_themselves_and_the_next_one_waits_for_them(
    start, config, rows, numbers, wait_until
):
    run = start("run", config, "--quiet")
    first = agent(start, config, "pi2")
    wait_until(lambda: rows("two") > 20 and record(config, "pi2").get("workers"))
    ((pid, _),) = record(config, "pi2")["workers"]
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    next_one = agent(start, config, "pi2")
    wait_until(lambda: not psutil.pid_exists(int(pid)))
    before = rows("two")
    wait_until(lambda: rows("two") > before + 20)
    assert next_one.end(signal.SIGTERM) == cli.DONE, next_one.err
    assert run.end(signal.SIGTERM) == cli.DONE
    assert_counted_twice(numbers("two"))


def test_a_writer_that_is_started_anew_at_other_ports_is_found_again(
    start, config, rows, whole, six_ports, wait_until
):
    first = start("writer", config)
    host = agent(start, config, "pi2")
    wait_until(lambda: rows("two") > 20)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: "no answer from the writer" in host.err)
    text = config.read_text()
    for old, new in zip(six_ports[:3], six_ports[3:], strict=True):
        text = text.replace(f":{old}", f":{new}")
    config.write_text(text)
    second = start("writer", config)
    wait_until(lambda: rows("two") > 20)
    assert host.end(signal.SIGTERM) == cli.DONE, host.err
    assert second.end(signal.SIGTERM) == cli.DONE, second.err
    assert whole("two")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "pi9"], "no table [hosts.pi9]; there are: pi1, pi2"),
        ([], "say which it is: --name, one of: pi1, pi2"),
    ],
)
def test_a_host_that_is_not_in_the_configuration_is_named_with_those_that_are(
    command, config, words, said
):
    done = command("host", "--config", config, *words)
    assert done.code == cli.WRONG
    assert said in done.err


def test_a_place_is_free_again_when_its_process_died_and_its_record_stays(tmp_path):
    place, other = Place(tmp_path / "lab.toml", "pi1"), Place(tmp_path / "lab.toml", "pi2")
    assert not place.taken
    place.take(state="running")
    assert place.taken
    assert not other.taken
    place.close()
    assert not place.taken
    last = Place(tmp_path / "lab.toml", "pi1").take(state="again")
    assert last["state"] == "running"
    assert json.loads((place.path / "record.json").read_text())["state"] == "again"


STUCK = """
import time

from counting import Counter


class Stuck(Counter):
    def __call__(self):
        n = super().__call__()
        if n == 5:
            time.sleep(1000)
        return n
"""


def test_a_getter_that_hangs_on_a_host_is_named_there_and_its_worker_started_again(
    start, config, wait_until
):
    (config.parent / "sticking.py").write_text(STUCK)
    head, two = config.read_text().split('group = "two"')
    two = two.replace("counting:Counter", "sticking:Stuck").replace(
        "read_period", "hang_timeout = 1\nread_period"
    )
    head = head.replace("drain_timeout = 20", "drain_timeout = 1")
    config.write_text(f'{head}group = "two"{two}')
    run = start("run", config, "--quiet")
    host = agent(start, config, "pi2")
    job = wait_until(
        lambda: (
            (told := record(config, "pi2").get("jobs", {}).get("two"))
            and told["restarts"] > 0
            and told
        )
    )
    assert "sticking.py" in job["last_death"]
    assert host.end(signal.SIGTERM) in (cli.DONE, cli.FAILED)
    assert run.end(signal.SIGTERM) == cli.DONE
