"""Stands in for the instrument: a pseudo-terminal that answers as the thermometer would."""

import itertools
import math
import os
import pty
import tty

instrument, port = pty.openpty()
tty.setraw(port)
os.symlink(os.ttyname(port), "port")
print("the thermometer is at ./port; Ctrl-C takes it away", flush=True)
try:
    for reading in itertools.count():
        while b"T?" not in os.read(instrument, 100):
            pass
        os.write(instrument, f"{180 + 5 * math.sin(reading / 50):.2f}\r\n".encode())
except KeyboardInterrupt:
    pass
finally:
    os.unlink("port")
