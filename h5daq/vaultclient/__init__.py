"""The Data Vault from a client's side: what `h5daq.connect(…).vault()` gives.

Read downwards::

    context     VaultContext: the verbs                   (its parts: about, moving)
    pipeline    adding rows without waiting for each answer
    signals     being told of news: callbacks, and signals to iterate
    place       where a context is, and how to come back there
    reading     pages of rows and comments, none left out and none twice
    rows        what users give and get, as columns and back
    line        one request at a time, its answer or its error
    courier     the thread that holds the socket, asks again, keeps contexts alive
"""

from __future__ import annotations

from h5daq.vaultclient.about import Comment
from h5daq.vaultclient.context import VaultContext
from h5daq.vaultclient.courier import Courier
from h5daq.vaultclient.pipeline import Pipeline
from h5daq.vaultclient.signals import KINDS, SignalStream, VaultSignal

__all__ = [
    "KINDS",
    "Comment",
    "Courier",
    "Pipeline",
    "SignalStream",
    "VaultContext",
    "VaultSignal",
]
