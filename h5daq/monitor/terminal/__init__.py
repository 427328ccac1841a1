"""A running system in a terminal, with keys: panes that draw a `Picture`, and an app around them.

Needs the extra ``terminal`` (textual). What is shown is decided in `h5daq.monitor`; here it gets a
place on the screen, a cursor and keys.
"""
