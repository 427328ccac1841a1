"""Machines to launch a run on, made of network namespaces: each with a network, an sshd and a disk.

`network` has the machines and the switch between them, which fails as it is told; `ssh` has their
sshds; `site` joins both with a configuration, and `fate` says what became of the rows.
"""
