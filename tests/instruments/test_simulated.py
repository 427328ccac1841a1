"""The simulated instruments do what their formulas say; seeds are fixed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from h5daq.instruments.simulated import Digitizer, Thermometer


def test_a_record_is_int16_of_8_channels_and_1024_samples() -> None:
    (record,) = Digitizer(seed=1)()
    assert (record.dtype, record.shape) == (np.dtype("i2"), (8, 1024))


def test_a_seed_gives_the_same_records_again() -> None:
    one, two, other = Digitizer(seed=1), Digitizer(seed=1), Digitizer(seed=2)
    for _ in range(3):
        record = one()[0]
        assert np.array_equal(record, two()[0])
        assert not np.array_equal(record, other()[0])


def test_pulses_come_at_their_rate() -> None:
    digitizer = Digitizer(pulse_rate=500, seed=3)
    records = 100
    for _ in range(records):
        digitizer()
    expected = 500 * records * 1024 / 102_400
    assert np.all(abs(digitizer.pulses - expected) < 5 * math.sqrt(expected))


def test_mean_and_variance_are_those_of_campbells_theorem() -> None:
    digitizer = Digitizer(pulse_rate=1000, seed=4)
    records = np.concatenate([digitizer()[0] for _ in range(200)], axis=1).astype(float)
    mean, variance = digitizer.moments()
    # 200 records hold some 16,000 pulses: both moments are known to a few per cent.
    assert records.mean() == pytest.approx(mean, rel=0.03)
    assert records.var() == pytest.approx(variance, rel=0.08)


def test_without_pulses_there_is_the_baseline_and_its_noise() -> None:
    record = Digitizer(pulse_rate=0, baseline=100, noise=4, seed=5)()[0]
    assert record.mean() == pytest.approx(100, abs=0.3)
    assert record.var() == pytest.approx(4**2 + 1 / 12, rel=0.1)


def test_a_pulse_goes_on_in_the_next_record() -> None:
    quiet = {"noise": 0.0, "baseline": 0.0, "channels": 1, "step": 0.01, "seed": 6}
    long = Digitizer(samples=4096, **quiet)()[0]  # type: ignore[arg-type]
    short = Digitizer(samples=64, pulse_rate=0, decay=0.01, **quiet)  # type: ignore[arg-type]
    short._left[:] = 100.0
    joined = np.concatenate([short()[0][0] for _ in range(16)])
    times = np.arange(len(joined)) / 102_400
    assert np.array_equal(joined, np.rint(100 / 0.01 * np.exp(-times / 0.01)))
    assert long.max() > 0


def test_the_height_at_the_first_sample_allows_for_where_the_pulse_began() -> None:
    digitizer = Digitizer(
        channels=1, pulse_rate=20, peak_share=1, peak_width=0, noise=0, baseline=0, seed=7
    )
    trace = np.concatenate([digitizer()[0][0] for _ in range(300)]).astype(int)
    jumps = np.diff(trace)
    heights = jumps[jumps > 100]
    # A pulse of 1,600 steps has lost at most one sample's decay of 1 / 20.48 when it is seen.
    single = heights[heights < 1700]
    assert len(single) > 40
    assert single.min() >= 1600 * math.exp(-1 / 20.48) - 100
    assert single.max() <= 1601


def test_values_beyond_int16_are_cut() -> None:
    record = Digitizer(baseline=40_000, seed=8)()[0]
    assert record.min() == record.max() == 32_767


def test_the_thermometer_follows_its_formula() -> None:
    thermometer = Thermometer(4.2, drift=0.1, swing=0.5, noise=0.01, period=60, seed=9)
    values = np.array([thermometer()[0] for _ in range(1440)])
    expected = [thermometer.expected(60 * n) for n in range(1440)]
    rest = values - expected
    assert abs(rest.mean()) < 5 * 0.01 / math.sqrt(1440)
    assert rest.std() == pytest.approx(0.01, rel=0.1)


def test_the_thermometer_drifts_by_the_hour() -> None:
    thermometer = Thermometer(4.2, drift=0.1, swing=0)
    assert thermometer.expected(3600) - thermometer.expected(0) == pytest.approx(0.1)


@pytest.mark.parametrize("kind", [Digitizer, Thermometer])
def test_an_instrument_can_be_closed(kind: type) -> None:
    kind().close()
