"""Simulated instruments with known statistics: a fast digitizer and a slow thermometer.

They say what they simulate as formulas, so that an analysis of a recording can be held against
the truth. Time is simulated too: it goes on with the readings, not with the clock, so that a
seed always gives the same values.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Digitizer", "Thermometer"]

_TAIL = 20.0
"""Decay constants after which a pulse is forgotten: exp(-20) is below the resolution."""


class Digitizer:
    """A digitizer of several channels that see detector pulses at random times.

    A row is one record: ``int16``, shape ``(channels, samples)``, in units of the ADC's step
    (`step` mV). Records follow each other without a gap, so a pulse may begin in one and end in
    a later one. Sample ``n`` of a channel, at the simulated time ``t_n = n / sample_rate``, is

    ``round(baseline + noise * g_n + sum_k(A_k * exp(-(t_n - t_k) / decay) for t_k <= t_n) / step)``

    cut to the range of ``int16``, where

    - ``t_k`` are the times of a Poisson process of `pulse_rate` per second and channel,
    - ``A_k`` are amplitudes in mV: with the probability `peak_share` from a normal distribution
      around `peak` with the standard deviation ``peak_width``, else from an exponential
      distribution of mean `background`,
    - ``g_n`` are independent standard normal numbers.

    By Campbell's theorem a sample has the mean ``baseline + pulse_rate * decay * E[A] / step`` and
    the variance ``noise**2 + pulse_rate * decay * E[A**2] / (2 * step**2) + 1 / 12``.

    The defaults give 8 channels of 1024 samples, meant to be read 100 times per second: 1.6 MB/s.

    Parameters
    ----------
    channels, samples : int
        Shape of a record.
    sample_rate : float
        Samples per second. The default is 100 records per second without a gap.
    pulse_rate : float
        Mean number of pulses per second and channel.
    decay : float
        Decay constant of a pulse, in seconds.
    peak, peak_width, peak_share : float
        Mean and standard deviation of the peak in the spectrum, in mV, and the share of the
        pulses that are in it.
    background : float
        Mean amplitude of the other pulses, in mV.
    baseline, noise : float
        Mean and standard deviation of a sample without pulses, in steps of the ADC.
    step : float
        mV per step of the ADC.
    seed : int, optional
        Of the random numbers; by default each digitizer has its own.
    """

    def __init__(
        self,
        channels: int = 8,
        samples: int = 1024,
        sample_rate: float = 102_400.0,
        pulse_rate: float = 300.0,
        decay: float = 200e-6,
        peak: float = 400.0,
        peak_width: float = 15.0,
        peak_share: float = 0.3,
        background: float = 120.0,
        baseline: float = 200.0,
        noise: float = 3.0,
        step: float = 0.25,
        seed: int | None = None,
    ) -> None:
        self.shape = (channels, samples)
        self.sample_rate, self.pulse_rate = sample_rate, pulse_rate
        self.peak, self.peak_width, self.peak_share = peak, peak_width, peak_share
        self.background, self.baseline, self.noise, self.step = background, baseline, noise, step
        self.pulses = np.zeros(channels, np.int64)
        self._random = np.random.default_rng(seed)
        self._decay_samples = decay * sample_rate
        self._shape = np.exp(-np.arange(samples + 1) / self._decay_samples)
        self._tail = math.ceil(_TAIL * self._decay_samples)
        # What is left, at the first sample of the next record, of the pulses before it.
        self._left = np.zeros(channels)

    def __call__(self) -> list[NDArray[np.int16]]:
        """The next record, as the one entry of a row."""
        signal = self._left[:, None] * self._shape
        self._add_pulses(signal)
        self._left = signal[:, -1].copy()
        analog = signal[:, :-1] / self.step
        analog += self._random.normal(self.baseline, self.noise, self.shape)
        np.rint(analog, out=analog)
        return [analog.clip(-32768, 32767).astype(np.int16)]

    def close(self) -> None:
        """Nothing is open."""

    def moments(self) -> tuple[float, float]:
        """Mean and variance of a sample, in steps and steps squared, by the formulas above."""
        share, pile_up = self.peak_share, self.pulse_rate * self._decay_samples / self.sample_rate
        first = share * self.peak + (1 - share) * self.background
        second = share * (self.peak**2 + self.peak_width**2) + (1 - share) * 2 * self.background**2
        mean = self.baseline + pile_up * first / self.step
        return mean, self.noise**2 + pile_up * second / (2 * self.step**2) + 1 / 12

    def _add_pulses(self, signal: NDArray[np.float64]) -> None:
        """Add the pulses of this record to `signal`, in mV, one sample longer than a record."""
        channels, samples = self.shape
        counts = self._random.poisson(self.pulse_rate * samples / self.sample_rate, channels)
        self.pulses += counts
        total = int(counts.sum())
        channel = np.repeat(np.arange(channels), counts)
        # A pulse begins between two samples; the first that sees it is the later one.
        begin = self._random.uniform(0, samples, total)
        first = np.ceil(begin).astype(int)
        height = self._amplitudes(total) * np.exp((begin - first) / self._decay_samples)
        for row, start, at_start in zip(channel, first, height, strict=True):
            end = min(samples + 1, start + self._tail)
            signal[row, start:end] += at_start * self._shape[: end - start]

    def _amplitudes(self, count: int) -> NDArray[np.float64]:
        in_peak = self._random.random(count) < self.peak_share
        around = self._random.normal(self.peak, self.peak_width, count)
        return np.where(in_peak, around, self._random.exponential(self.background, count))


class Thermometer:
    """A thermometer that drifts slowly, swings daily and is a little noisy.

    The reading number ``n``, at the simulated time ``t = n * period`` in seconds, is in kelvin

    ``start + drift * t / 3600 + swing * sin(2 * pi * t / 86400) + noise * g_n``

    with independent standard normal numbers ``g_n``.

    Parameters
    ----------
    start : float
        K, at the first reading.
    drift : float
        K per hour.
    swing : float
        K, half of the difference between the day's highest and lowest.
    noise : float
        K, standard deviation.
    period : float
        Seconds of simulated time per reading: the `read_period` of the job.
    seed : int, optional
        Of the random numbers; by default each thermometer has its own.
    """

    def __init__(
        self,
        start: float = 293.15,
        drift: float = 0.05,
        swing: float = 0.8,
        noise: float = 0.02,
        period: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self.start, self.drift, self.swing, self.noise = start, drift, swing, noise
        self.period = period
        self._readings = 0
        self._random = np.random.default_rng(seed)

    def __call__(self) -> list[float]:
        """The next temperature, as the one entry of a row."""
        time = self._readings * self.period
        self._readings += 1
        return [self.expected(time) + self.noise * float(self._random.standard_normal())]

    def expected(self, time: float) -> float:
        """The temperature in K without noise, `time` seconds after the first reading."""
        day = math.sin(2 * math.pi * time / 86400)
        return self.start + self.drift * time / 3600 + self.swing * day

    def close(self) -> None:
        """Nothing is open."""
