"""Starting, watching and stopping the processes of a run; see `daemon.DAQDaemon`."""

from h5daq.daemon.daemon import DAQDaemon

__all__ = ["DAQDaemon"]
