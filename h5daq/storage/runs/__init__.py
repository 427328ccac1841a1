"""Run files for those who read: which there are, in which order, what is in them.

Read downwards::

    contents    one file, read into plain records: its head, its groups, their columns
    order       the files of a run, one behind the other
    columns     columns of one name in several files, as one
    catalog     which files make up a recording, looked up anew whenever somebody asks
    job_files   one job of one run in its files
"""
