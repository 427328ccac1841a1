"""For tests of what extends h5daq: exams for its extension points, and a clock to turn by hand."""

from h5daq.testing.clock import FakeClock
from h5daq.testing.transports import TRANSPORT_CHECKS, check_transport

__all__ = ["TRANSPORT_CHECKS", "FakeClock", "check_transport"]
