"""What is written onto the machines: a configuration, a getter that counts, a program that asks."""

__all__ = ["ASKER", "CONFIG", "GETTER", "HOST", "JOB"]

CONFIG = """
[run]
name = "towers"
directory = "{disk}/data"
write_period = 0.5
drain_timeout = {drain_timeout}

[writer]
host = "{writer}"
data = "tcp://*:{data}"
requests = "tcp://*:{requests}"
signals = "tcp://*:{signals}"

[security]
keys = "{folder}/keys"
"""

HOST = """
[hosts.{name}]
ssh = "{name}"
python = "{python}"
sync = ["towers"]
"""

JOB = """
[[jobs]]
group = "{group}"
{host}
getter = "towers.reading:Counter"
args = {{ folder = "{disk}/read/{group}", width = {width} }}
columns = [{{ label = "pid", dtype = "i8" }}, {{ label = "n", dtype = "i8" }},
           {{ label = "wave", dtype = "i2", shape = [{width}] }}]
{more}
"""

GETTER = """
import os
from pathlib import Path

import numpy as np


class Counter:
    '''Counts its readings, also on disk: what was read can be held against what was kept.'''

    def __init__(self, folder, width):
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.n, self.pid, self.wave = -1, os.getpid(), np.zeros(width, np.int16)
        self.file = os.open(Path(folder, str(self.pid)), os.O_CREAT | os.O_WRONLY)

    def __call__(self):
        self.n += 1
        os.pwrite(self.file, b"%d" % self.n, 0)
        return self.pid, self.n, self.wave
"""

ASKER = """
import json, sys

import h5daq

for line in sys.stdin:
    endpoint, keys, verb = json.loads(line)
    try:
        with h5daq.connect(endpoint, keys=keys) as client:
            answer = client.request(verb, timeout=3.0)
    except h5daq.H5daqError as error:
        answer = {"error": str(error), "jobs": {}}
    print(json.dumps(answer), flush=True)
"""
