"""Somebody who uses a running system: ``python -m benchmarks.fault_guest KIND ENDPOINT``.

A ``subscriber`` hears all signals, a ``client`` asks for the status again and again. Each prints a
line when it has been served, and is there to be stopped in the midst of it.
"""

from __future__ import annotations

import sys

import h5daq


def main() -> None:
    """Until killed."""
    kind, endpoint = sys.argv[1:]
    if kind == "subscriber":
        for signal in h5daq.subscribe(endpoint, ["data-available", "heartbeat", "status"]):
            print(signal.kind, flush=True)
    with h5daq.connect(endpoint) as client:
        while True:
            print(len(client.status()), flush=True)


if __name__ == "__main__":
    main()
