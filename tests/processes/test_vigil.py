"""The daemon's eye on its writer, without processes: what is told of it, to whom, and in order."""

import json

import pytest

from h5daq.daemon import vigil as module
from h5daq.daemon.vigil import WriterVigil
from h5daq.flow.vigil import Vigil
from h5daq.writer.settings import WriterSettings


class Process:
    """A writer that takes what it is told, if it lives."""

    def __init__(self):
        self.told, self.alive = [], True

    def send(self, kind, told):
        if self.alive:
            self.told.append((told["level"], told["text"]))
        return self.alive


class Child:
    """The writer as the supervisor has it."""

    process, cause = None, "killed by signal 9 (SIGKILL)"


@pytest.fixture
def eye(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "Vigil", lambda now: Vigil(now, patience=0.0))
    words = ["/bin/sh", "-c", 'cat >> "$0"; echo >> "$0"', str(tmp_path / "told")]
    alarms = {"command": words, "timeout": 60, "disk": {"warn": 0}}
    settings = WriterSettings(str(tmp_path), "r", "", "", "", alarms=alarms)
    eye = WriterVigil(settings, None)
    eye.signals = f"ipc://{tmp_path}/nobody"
    yield eye
    eye.close()


def test_a_death_is_an_alarm_until_the_next_writer_is_ready_which_is_told_of_both(
    eye, tmp_path, wait_until
):
    child, place = Child(), tmp_path / "told"
    place.touch()
    for _ in range(3):
        eye.look(child, eye.signals)
    assert eye.raised["kind"] == "writer"
    child.process = Process()
    eye.look(child, eye.signals)
    assert eye.raised is None
    assert child.process.told == [
        ("alarm", "writer: killed by signal 9 (SIGKILL)"),
        ("ok", "writer: heard again after 0 s"),
    ]
    wait_until(lambda: '"level": "ok"' in place.read_text())
    assert json.loads(place.read_text().splitlines()[-1])["run"]["id"] == "r"


def test_a_writer_that_says_nothing_is_an_alarm_that_it_learns_of_itself(eye, monkeypatch):
    child, dead = Child(), Process()
    child.process, dead.alive = dead, False
    eye.look(child, eye.signals)
    eye.look(child, eye.signals)
    assert eye.raised["text"] == "writer: not heard for 0 s"
    dead.alive = True
    monkeypatch.setattr(eye, "_hear", lambda _signals: True)
    eye.look(child, eye.signals)
    assert [level for level, _ in dead.told] == ["alarm", "ok"]
