"""A camera that looks at the spot of a beam. It is simulated: noise, and a spot that wanders."""

import numpy as np


class Camera:
    """Pictures of `height` times `width` pixels."""

    def __init__(self, height: int, width: int) -> None:
        self.rows, self.columns = np.mgrid[:height, :width]
        self.random = np.random.default_rng()
        self.spot = np.array([height / 2, width / 2])
        self.exposure = 0.02

    def __call__(self) -> tuple[np.ndarray, float]:
        self.spot += self.random.normal(0.0, 0.5, 2)
        distance = np.hypot(self.rows - self.spot[0], self.columns - self.spot[1])
        light = 3000 * np.exp(-((distance / 8) ** 2)) + 100
        # One entry per column: the picture, then its exposure.
        return self.random.poisson(light).astype(np.uint16), self.exposure
