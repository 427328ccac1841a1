"""A multimeter behind VISA: two queries a row."""

from pathlib import Path

import pyvisa


class Multimeter:
    """The multimeter at a VISA address; or the one that multimeter.yaml describes."""

    def __init__(self, address: str, simulated: bool = False) -> None:
        played = Path(__file__).with_name("multimeter.yaml")
        visa = pyvisa.ResourceManager(f"{played}@sim" if simulated else "")
        self.meter = visa.open_resource(address, read_termination="\n", write_termination="\n")
        self.meter.timeout = 2000  # milliseconds
        print("connected to", self.meter.query("*IDN?"))  # what a getter prints goes to the log

    def __call__(self) -> list[float]:
        queries = ("MEASURE:VOLTAGE:DC?", "MEASURE:CURRENT:DC?")
        return [float(self.meter.query(each)) for each in queries]

    def close(self) -> None:
        """Leave the instrument to others."""
        self.meter.close()
