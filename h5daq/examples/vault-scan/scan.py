"""Measures a resonator's line: sets a frequency, reads an amplitude, adds a row, and so on."""

import random

import numpy as np

import h5daq


def amplitude(frequency: float) -> float:
    """What the instrument would say: a line at 5.8 GHz. It is simulated."""
    return float(1 / np.hypot(1, (frequency - 5.8) / 0.02)) + random.gauss(0, 0.01)


with h5daq.connect(directory="data") as client, client.vault() as vault:
    vault.cd(["resonator"], create=True)
    path, name = vault.new("line", ["frequency [GHz]"], ["amplitude"])
    vault.add_parameter("power", -20.0)
    for frequency in np.linspace(5.6, 6.0, 101):
        vault.add([frequency, amplitude(frequency)])  # back when the row is safe
    rows = vault.get()
    best = rows[rows[:, 1].argmax(), 0]
    vault.add_comment(f"the line is at {best:.3f} GHz", "scan.py")
print(f"{name}: the line is at {best:.3f} GHz")
