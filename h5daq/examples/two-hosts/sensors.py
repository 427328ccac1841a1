"""The getters of both hosts. They are simulated."""

import random


class Thermometer:
    """A thermometer in a bath; a class, so that it is opened where it is read."""

    def __init__(self, kelvin: float) -> None:
        self.kelvin = kelvin

    def __call__(self) -> float:
        return random.gauss(self.kelvin, 0.002)


def read_wind() -> tuple[float, float]:
    """Speed and direction; what needs no opening can be a function."""
    return random.weibullvariate(6.0, 2.0), random.uniform(0.0, 360.0)
