"""The lookout for a writer that no daemon looks after: who is told of it, and when nobody is."""

import json
import threading

import pytest

from h5daq.flow.alarm_options import AlarmOptions
from h5daq.monitor.picture import Picture
from h5daq.monitor.vigil import Lookout

BEAT = {"run": "r", "boot": "b", "positions": {}}


class Still:
    """A feed that hears what a test says."""

    def __init__(self):
        self.picture, self.lock, self.now = Picture(), threading.Lock(), 0.0

    def beat(self, **more):
        with self.lock:
            self.now += 1.0
            self.picture.take("heartbeat", "", {**BEAT, **more}, self.now)


@pytest.fixture
def look(tmp_path):
    """`look(patience)`: a feed, a lookout, and what the command was told, by level."""
    place, made = tmp_path / "told", []
    place.touch()

    def told():
        return [json.loads(line)["level"] for line in place.read_text().splitlines()]

    def make(patience):
        words = ["/bin/sh", "-c", 'cat >> "$0"; echo >> "$0"', str(place)]
        feed, options = Still(), AlarmOptions.of({"command": words, "timeout": 60})
        made.append(Lookout(feed, options, {"run": {"name": "lab"}}, patience))
        return feed, made[-1], told

    yield make
    for lookout in made:
        lookout.close()


@pytest.mark.processes
def test_a_command_is_told_of_a_silent_writer_and_of_its_return(look, wait_until):
    feed, _, told = look(patience=0.2)
    feed.beat()
    wait_until(lambda: told() == ["alarm"])
    wait_until(lambda: feed.beat() or told() == ["alarm", "ok"])


def test_a_writer_that_was_never_there_and_one_whose_run_has_ended_are_no_alarm(look):
    feed, lookout, _ = look(patience=1e6)
    lookout._vigil._patience = 5.0
    assert all(lookout._look(1e6 + second) is None for second in range(20))
    feed.beat()
    feed.beat(ended=True)
    assert all(lookout._look(2e6 + second) is None for second in range(20))
    feed.beat(run="next")
    assert [c.level for s in range(20) if (c := lookout._look(3e6 + s))] == ["alarm"]
