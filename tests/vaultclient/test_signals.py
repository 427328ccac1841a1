"""Being told of news: functions and iterations, before the answer, and after a loss."""

import threading

import pytest

from h5daq.errors import BadArgument, ContextLost, NoAnswer
from h5daq.flow.requests import Note
from h5daq.vaultclient import KINDS, VaultSignal


def test_a_function_is_called_and_may_use_the_context(scan):
    got, done = [], threading.Event()

    def look(signal):
        got.append((signal, scan.get().tolist()))
        done.set()

    scan.on("data-available", look)
    scan.add([1, 2])
    assert done.wait(60.0)
    assert got == [(VaultSignal("data-available", "00001 - scan", ("",)), [[1, 2]])]


def test_signals_can_be_iterated(vault, client):
    with client.vault(timeout=60.0) as other, vault.signals("new-dir", timeout=60.0) as signals:
        other.mkdir("a")
        other.new("scan", ["x"], ["y"])
        other.mkdir("b")
        assert [next(signals).name, next(signals).name] == ["a", "b"]


def test_a_note_comes_before_the_answer_that_it_belongs_to(vault):
    signals = vault.signals(timeout=0.0)
    vault.mkdir("a")
    assert next(signals) == VaultSignal("new-dir", "a")


def test_no_signal_in_time_is_an_error(vault):
    with pytest.raises(NoAnswer, match="no signal"):
        next(vault.signals(timeout=0.01))


def test_each_kind_is_registered_once_and_ended_with_its_last_listener(vault, server):
    first, second = vault.signals("new-dir"), vault.signals("new-dir", "new-dataset")
    assert len(server.verbs("signal")) == 2
    second.close()
    first.close()
    assert list(first) == []
    [context] = server.contexts.values()
    assert context["listens"] == {}


def test_a_function_can_be_taken_back(vault, server):
    vault.on("new-dir", print)
    vault.on("new-dir", repr)
    vault.off("new-dir", print)
    [context] = server.contexts.values()
    assert context["listens"] == {"new-dir": 1}
    vault.off("new-dir")
    assert context["listens"] == {}


def test_a_function_that_fails_is_logged_and_called_again(vault, caplog, wait_until):
    names = []

    def fail(signal):
        names.append(signal.name)
        raise ValueError("no such plot")

    vault.on("new-dir", fail)
    vault.mkdir("a")
    vault.mkdir("b")
    wait_until(lambda: names == ["a", "b"])
    wait_until(lambda: len(caplog.records) == 2)


def test_a_loss_ends_an_iteration_with_its_own_error_and_it_can_go_on(vault, server):
    signals = vault.signals("new-dir", timeout=60.0)
    server.restart()
    with pytest.raises(ContextLost):
        vault.dir()
    with pytest.raises(ContextLost, match="tells it nothing more"):
        next(signals)
    vault.restore()
    vault.mkdir("a")
    assert next(signals).name == "a"


def test_a_function_can_be_told_of_a_loss(vault, server):
    told = threading.Event()
    vault.on("context-lost", lambda signal: told.set())
    server.restart()
    with pytest.raises(ContextLost):
        vault.dir()
    assert told.wait(60.0)


def test_the_end_of_a_context_ends_its_iterations(client):
    vault = client.vault(timeout=60.0)
    signals = vault.signals()
    vault.close()
    assert list(signals) == []
    assert list(signals) == []


def test_an_unknown_kind_is_refused_with_those_that_there_are(vault):
    with pytest.raises(BadArgument, match="new-dir, new-dataset"):
        vault.on("new-data", print)
    with pytest.raises(BadArgument):
        vault.signals("context-lost")


@pytest.mark.parametrize("payload", [None, 7, [], [1], {"path": None}])
def test_a_note_that_says_less_than_it_should_is_a_signal_all_the_same(payload):
    for kind in KINDS:
        assert VaultSignal.of(Note(1, kind, 1, payload)).kind == kind


def test_tags_come_with_the_names_that_have_them():
    told = VaultSignal.of(Note(1, "tags-updated", 6, [[["a", ["x"]]], [["00001 - s", []]]]))
    assert told.directories == (("a", ("x",)),)
    assert told.datasets == (("00001 - s", ()),)
