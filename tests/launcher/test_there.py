"""What the launcher's hand on a host says of a process that can't begin, or may not."""

import psutil
import pytest

from h5daq.errors import ProcessFailed
from h5daq.launcher import tether, there
from h5daq.launcher.place import Place

pytestmark = pytest.mark.processes


@pytest.fixture
def session(config):
    """The post of the writer, whose configuration has a job with the getter `mine:get`."""
    job = 'group = "here"\ngetter = "mine:get"\ncolumns = [{ label = "n", dtype = "i8" }]\n'
    config.write_text(f"{config.read_text()}\n[[jobs]]\n{job}")
    with there.Session("key", "", str(config)) as opened:
        yield opened


def children():
    return psutil.Process().children()


@pytest.fixture
def patience(monkeypatch):
    """`patience(seconds)`: for how long one that says nothing is given time to end."""
    return lambda seconds: monkeypatch.setattr(tether, "_END_SECONDS", seconds)


def test_a_getter_whose_import_hangs_is_told_and_its_process_ended(
    session, config, monkeypatch, patience
):
    patience(0.1)
    monkeypatch.setattr(there, "_LOAD_SECONDS", 0.5)
    (config.parent / "mine.py").write_text("import time\ntime.sleep(1000)\n")
    before = children()
    with pytest.raises(ProcessFailed, match=r"not ready after 0\.5 s: does an import hang"):
        session.prepare()
    assert children() == before


def test_a_process_that_ends_while_it_loads_says_its_code(session, config, patience):
    patience(60.0)
    (config.parent / "mine.py").write_text("import os\nos._exit(7)\n")
    with pytest.raises(ProcessFailed, match="exit code 7"):
        session.prepare()


@pytest.mark.usefixtures("session")
def test_what_is_ready_and_never_told_to_begin_ends_by_itself(config, data, patience, wait_until):
    patience(0.1)
    (config.parent / "mine.py").write_text("get = int\n")
    with tether.Held(Place(config), ["run", str(config), "--quiet"]) as held:
        assert held.hear("ready", 120.0)["jobs"] == ["here"]
        assert held.exit_code() is None
    wait_until(lambda: held.exit_code() == 0)
    assert not data.exists()
