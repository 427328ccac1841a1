"""A writer's interpreter passes over what was there at its start, and still finds new cycles."""

from __future__ import annotations

import subprocess
import sys

CYCLES = """
import gc
from h5daq.writer.interpreter import begin_writing, writing_begun

class Knot:
    alive = 0
    def __init__(self):
        self.itself, Knot.alive = self, Knot.alive + 1
    def __del__(self):
        Knot.alive -= 1

begin_writing()
writing_begun()
for _ in range(100_000):
    Knot()
print(gc.get_freeze_count(), Knot.alive)
"""


def test_cycles_that_are_made_while_it_writes_are_found_by_the_ten_thousand() -> None:
    done = subprocess.run([sys.executable, "-c", CYCLES], stdout=subprocess.PIPE, check=True)
    frozen, alive = map(int, done.stdout.split())
    assert frozen > 1_000, "all that was imported would be looked through again and again"
    assert alive < 50_000
