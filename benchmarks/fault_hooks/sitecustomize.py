"""Puts a shim between a real writer and its disk, where the environment asks for that.

Python imports a module of this name at its start. With this directory in ``PYTHONPATH``, a
directory of run files in ``H5DAQ_FAULTS`` and the name of a file in ``H5DAQ_FAULT_ORDERS``, a
writer that starts follows the orders in that file (see `benchmarks.fault_orders`); all other
processes are left alone. Where ``H5DAQ_FAULT_CLOCK`` names a file, the wall clock is shifted by the
number in it (see `benchmarks.fault_clock`).
"""

import os
import sys

if os.environ.get("H5DAQ_FAULTS") and "h5daq.writer" in sys.orig_argv:
    from benchmarks.fault_orders import obey

    obey(os.environ["H5DAQ_FAULTS"], os.environ["H5DAQ_FAULT_ORDERS"])

if os.environ.get("H5DAQ_FAULT_CLOCK"):
    from benchmarks.fault_clock import follow

    follow()
