"""Getters of this laboratory: a call reads an instrument once, and returns one entry per column."""

import random


class Thermometer:
    """Two sensors of a tank. It is simulated: put your instrument in its place."""

    def __init__(self, offset: float = 0.0) -> None:
        # Built in the process that reads. Here a port, a socket or a camera is opened.
        self.offset = offset
        self.top = 21.0

    def __call__(self) -> list[float]:
        # What raises here is logged and counted, and the next reading is tried; None skips a row.
        self.top += random.gauss(0.0, 0.01)
        bottom = self.top - 1.5 + random.gauss(0.0, 0.05)
        return [self.top + self.offset, bottom + self.offset]

    def close(self) -> None:
        """Called at the end: let go of the instrument."""
