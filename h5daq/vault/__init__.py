"""The Data Vault: a tree of directories with datasets in it, in the LabRAD Data Vault's own format.

Read downwards: values (`labrad`), names on disk (`names`), what a directory remembers (`session`,
`tags`), the tree (`tree`), one dataset (`dataset`), and `browse`, which looks at a tree without a
server. The HDF5 format itself is `h5daq.storage.layouts.datavault`; when a context is told of
news is decided in `h5daq.flow.latch`.
"""
