"""The web page of a running system: a small server of our own, plots by BokehJS.

A page is HTML, CSS and plain modules of JavaScript from this package, so that phones, keyboards,
screen readers and dark rooms are served by what browsers have for them; figures are drawn by
BokehJS, which the Bokeh wheel carries with all it needs, and the server is Tornado, which Bokeh
brings along. Everything is served from here, under a policy that lets a page load nothing else.

Why so, measured on 2026-11-21. *Bokeh* is a wheel of 6.4 MB with 6 more packages; a page loads
1.4 MB of it, 0.4 MB compressed, and streams rows into typed arrays. Its own *server* keeps a
document in Python for each page and sends each change to each of them; here one model of the
system serves all pages, and a page that can't keep up gets less often what has changed since, so
it costs nobody anything. *Panel* (30 MB) builds on that same server. *Dash* with *Plotly* (19 MB,
4.7 MB of script in a page) asks again where this one is told, *NiceGUI* needs 40 packages,
*Streamlit* runs a script again for each change. *uPlot*, the smallest and fastest, has no wheel.
"""

from h5daq.monitor.web.gate import Gate, new_token
from h5daq.monitor.web.serving import Place, serve

__all__ = ["Gate", "Place", "new_token", "serve"]
