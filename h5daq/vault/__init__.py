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
    tree        moving about, making, opening, tagging
    browse      h5daq.Vault: a look into a tree without a server

The HDF5 format itself is `h5daq.storage.layouts.datavault`; when a context is told of news is
decided in `h5daq.flow.latch`, and what columns there are in `h5daq.flow.variables`.
"""
