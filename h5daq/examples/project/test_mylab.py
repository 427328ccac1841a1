"""The getters, tried without a run; without an instrument, too, if you play one."""

from pathlib import Path

from mylab import Thermometer

from h5daq.config import load


def test_it_is_warmer_at_the_top() -> None:
    thermometer = Thermometer(offset=5.0)
    rows = [thermometer() for _ in range(100)]
    assert all(top > bottom for top, bottom in rows)


def test_every_job_of_the_configuration_gives_a_row() -> None:
    config = load(Path(__file__).with_name("lab.toml"))
    for job in config.make_jobs():
        assert set(job.read()) == {"time", *job.labels}
