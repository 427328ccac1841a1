"""A digitizer that waits for a shot, samples two channels, and hands all of it over. Simulated."""

import time

import numpy as np


class Digitizer:
    """Bursts of `samples`, at `rate` samples per second."""

    def __init__(self, rate: float, samples: int) -> None:
        self.since_trigger = np.arange(samples) / rate
        self.random = np.random.default_rng()

    def __call__(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        time.sleep(0.1)  # a shot comes ten times a second, say
        trigger = time.time_ns()
        times = trigger + np.rint(1e9 * self.since_trigger).astype(np.int64)
        return times, self.ringing(2.0), self.ringing(1.5)

    def ringing(self, volts: float) -> np.ndarray:
        """A damped oscillation, with noise."""
        t = self.since_trigger
        signal = volts * np.exp(-t / 0.005) * np.sin(2 * np.pi * 440 * t)
        return signal + self.random.normal(0.0, 0.01, t.size)
