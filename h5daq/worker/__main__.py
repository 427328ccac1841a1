"""``python -m h5daq.worker``: a worker in a process of its own, where there is no fork.

Its standard input and output are the private pipe to the parent. They are put out of a getter's
reach at once: what a getter prints goes to standard error.
"""

from __future__ import annotations

import os
import sys

from h5daq.jobs.pipes import bridge
from h5daq.jobs.surroundings import adopt
from h5daq.worker.parent import Parent
from h5daq.worker.serving import serve


def _run() -> int:
    orders, reports = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    parent = Parent(bridge(orders, reports, to_the_end=True))
    adopt(parent.expect("surroundings"))
    return serve(parent)


if __name__ == "__main__":
    sys.exit(_run())
