"""A run in a Jupyter notebook: `h5daq.live` draws what is recorded, while it is recorded.

It is one more face of `h5daq.monitor.picture`, with the files behind it, and it needs nothing that
a notebook has not: a drawing is SVG in an IPython display, and a thread puts the next one there.
"""

from h5daq.notebook.plot import LivePlot, live

__all__ = ["LivePlot", "live"]
