"""The writer: one process that takes rows in, commits them, and makes HDF5 files of them.

A row's way through it: `intake` (judge and journal), `notes` and `committer` (sync, then tell),
`store` (into the files). `parts` joins them, `reception` passes messages between them, `process`
is their life; `desk` and `answers` serve requests.
"""
