"""For people with files: open a recording, print its tree, plot a column."""

from h5daq.files.follow import NewRows
from h5daq.files.group import Group
from h5daq.files.recording import Recording
from h5daq.files.recording import open_recording as open  # noqa: A004

__all__ = ["Group", "NewRows", "Recording", "open"]
