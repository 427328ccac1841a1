"""Instruments that every computer has: its own sensors (`system`), and simulated ones.

They are getters like anybody's, written as one would write one's own: a class that is built where
it is read, called for each row, and closed at the end. Use them to try h5daq without hardware and
to watch the machine that takes the data.
"""
