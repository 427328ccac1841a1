"""A configuration that runs anywhere, and a run of it in the background."""

import pytest

LAB = """
[run]
name = "lab"
directory = "data"

[[jobs]]
group = "room"
getter = "h5daq.instruments.simulated:Thermometer"
args = { period = 0.02 }
read_period = 0.02
columns = [{ label = "T", unit = "K" }]

[[jobs]]
group = "cam"
getter = "h5daq.instruments.simulated:Thermometer"
args = { period = 0.02 }
read_mode = "trigger"
columns = [{ label = "T", unit = "K" }]
"""


@pytest.fixture
def lab(tmp_path):
    """Path of a configuration; it records into `data` beside it."""
    path = tmp_path / "lab.toml"
    path.write_text(LAB)
    return path


@pytest.fixture
def data(tmp_path):
    """The directory that `lab` records into."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def lasting(tmp_path_factory, start_for_all):
    """The directory of a run for all tests that don't end it; `lab.toml` is beside it."""
    folder = tmp_path_factory.mktemp("lasting")
    (folder / "lab.toml").write_text(LAB)
    start_for_all("run", folder / "lab.toml", "--quiet").until_said("recording 2 jobs")
    return folder / "data"


@pytest.fixture
def running(start, lab):
    """`h5daq run lab.toml`, when it reads."""
    run = start("run", lab, "--quiet")
    run.until_said("recording 2 jobs")
    return run
