"""A thermometer that is asked `T?` and answers with a number in degrees Celsius."""

import serial


class Thermometer:
    """The thermometer at a port."""

    def __init__(self, port: str) -> None:
        self.port = serial.Serial(port, 9600, timeout=1)

    def __call__(self) -> float:
        # An answer that came too late for the question before must not answer this one.
        self.port.reset_input_buffer()
        self.port.write(b"T?\n")
        answer = self.port.readline()
        if not answer:
            raise TimeoutError("no answer within a second: is it switched on?")
        return float(answer)

    def close(self) -> None:
        """Leave the port to others."""
        self.port.close()
