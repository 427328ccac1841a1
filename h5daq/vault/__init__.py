"""The Data Vault: a tree of directories with datasets in it, in the LabRAD Data Vault's own format.

Read downwards::

    labrad      values as LabRAD's bytes, and as the texts of parameters   (labrad_*: its parts)
    names       names in the vault and on disk
    tags        changing tags, and choosing by them
    session     what a directory remembers, its session.ini                (literal: its reader)
    folders     directories as they lie on disk
    rows        rows as they come from a user, checked
    dataset     one dataset: rows, variables, parameters, comments         (described: its half)
    legacy      datasets of the first days, CSV and INI
    job_dataset a dataset that is a job of a run               (job_store: its rows, on the way too)
    runs        the runs as directories of the tree
    looking     what is in the tree, and its datasets opened
    tree        moving about, making, tagging
    browse      h5daq.Vault: a look into a tree without a server
    service     the same as a server: requests of contexts in, answers and news out
                (reading, changing, noting: its verbs; live: open datasets; bulletin: the news)
    replay      what a dead server had journaled, done again       (foreseen: only said; journaled)

The HDF5 format itself is `h5daq.storage.layouts.datavault`; when a context is told of news is
decided in `h5daq.flow.latch`, and what columns there are in `h5daq.flow.variables`.
"""
