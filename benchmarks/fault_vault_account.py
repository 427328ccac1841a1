"""What a vault's tree holds, by plain h5py, against what the changes of its story make of it.

After any crash the tree must be as it is after the first so many of the changes: all those that
were answered, perhaps some of those that were sent, none of them in part. What plain h5py reads
and what `h5daq.Vault` reads must be one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import h5daq
from benchmarks.fault_vault_story import OPS, REMOVED, Op
from h5daq.vault.labrad import from_data_url
from h5daq.vault.names import decode
from h5daq.vault.session import read_session

__all__ = ["Tree", "account", "model", "on_disk"]

Key = tuple[str, str]
"""Directory, with slashes, and full name of a dataset."""


@dataclass
class Dataset:
    """Rows, parameters and comments."""

    rows: list[Any] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)


@dataclass
class Tree:
    """Directories with the number of the next dataset in each, datasets, tags of anything."""

    counters: dict[str, int] = field(default_factory=lambda: {"": 1})
    datasets: dict[Key, Dataset] = field(default_factory=dict)
    tags: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)


def model(count: int) -> Tree:
    """The tree after the first `count` changes."""
    tree = Tree()
    for op in OPS[:count]:
        if not op.refused:
            _happen(tree, op)
    tree.datasets.pop(REMOVED, None)
    return tree


def _happen(tree: Tree, op: Op) -> None:
    here = "/".join(op.place)
    if op.verb == "mkdir":
        tree.counters[_join(here, op.args["name"])] = 1
    elif op.verb == "cd":
        names = op.args["path"][1:]
        for depth in range(1, len(names) + 1):
            tree.counters.setdefault("/".join(names[:depth]), 1)
    elif op.verb in ("new", "new_ex"):
        name = f"{tree.counters[here]:05d} - {op.args['name']}"
        tree.counters[here] += 1
        tree.datasets[here, name] = Dataset()
    elif op.verb == "update_tags":
        for name in [*op.args["dirs"], *op.args["datasets"]]:
            _tag(tree, (here, name), op.args["tags"])
    else:
        _feed(tree.datasets[here, op.dataset], op)


def _tag(tree: Tree, key: tuple[str, str], tags: str) -> None:
    toggled = frozenset({tags.lstrip("^")})
    before = tree.tags.get(key, frozenset())
    tree.tags[key] = before ^ toggled if tags[0] == "^" else before | toggled


def _feed(dataset: Dataset, op: Op) -> None:
    if op.verb == "add_comment":
        dataset.comments.append(op.args["comment"])
    elif op.verb == "add_parameters":
        dataset.parameters |= {name: from_data_url(url) for name, url in op.args["params"]}
    else:
        columns = [np.asarray(c).tolist() if not isinstance(c, list) else c for c in op.columns]
        dataset.rows += map(_row, zip(*columns, strict=True))


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


# -- the disk ------------------------------------------------------------------------------------


def on_disk(root: Path) -> Tree:
    """The tree as it lies there."""
    tree = Tree()
    for folder in [root, *sorted(root.rglob("*.dir"))]:
        below = folder.relative_to(root).parts
        here = "/".join(decode(part.removesuffix(".dir")) for part in below)
        ini = folder / "session.ini"
        # The root has none before anything is noted of it; a directory has one from the beginning.
        session = read_session(ini.read_bytes() if folder != root or ini.exists() else b"")
        tree.counters[here] = session.counter
        for name, tags in {**session.directories, **session.datasets}.items():
            tree.tags[here, name] = tags
        for file in sorted(folder.glob("*.hdf5")) if here else []:
            tree.datasets[here, decode(file.stem)] = _read(file)
    tree.datasets.pop(REMOVED, None)
    return tree


def _read(path: Path) -> Dataset:
    with h5py.File(path) as file:
        table = file["DataVault"]
        found = [*table.attrs["Comments"], *(file["Comments"][:] if "Comments" in file else ())]
        return Dataset(
            [_row(row.tolist()) for row in table[:]],
            {n[6:]: from_data_url(v) for n, v in table.attrs.items() if n.startswith("Param.")},
            [_row(comment.tolist())[2] for comment in found],
        )


def _row(values: Any) -> tuple[Any, ...]:
    return tuple(_plain(value) for value in values)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray | list):
        return tuple(np.asarray(value).tolist())
    return value


# -- the account ---------------------------------------------------------------------------------


def account(root: Path, answered: int, sent: int) -> Iterator[str]:
    """What is wrong with the tree after so many answers to so many changes."""
    try:
        found = on_disk(root)
    except (OSError, KeyError) as error:
        yield f"the tree can't be read: {error!r}"
        return
    if not any(_same(found, model(count)) for count in range(answered, sent + 1)):
        yield from _differences(found, model(answered))
    yield from _by_our_reader(root, found)
    left = [p for p in root.rglob("*") if p.name.startswith(".") and ".h5daq" not in p.parts]
    yield from (f"left over: {path.relative_to(root)}" for path in left)


def _same(found: Tree, wanted: Tree) -> bool:
    return not any(_differences(found, wanted))


def _differences(found: Tree, wanted: Tree) -> Iterator[str]:
    for what in ("counters", "datasets", "tags"):
        mine, theirs = getattr(found, what), getattr(wanted, what)
        for key in sorted({*mine, *theirs}):
            if _value(mine.get(key)) != _value(theirs.get(key)):
                yield f"{what} {key}: {mine.get(key)!r:.300}, not {theirs.get(key)!r:.300}"


def _value(value: Any) -> Any:
    """No tags are as good as none that are known."""
    if isinstance(value, Dataset):
        parameters = {name: str(text) for name, text in value.parameters.items()}
        return value.rows, parameters, value.comments
    return value or None


def _by_our_reader(root: Path, found: Tree) -> Iterator[str]:
    vault = h5daq.Vault(root)
    for (here, name), dataset in found.datasets.items():
        vault.cd(["", *here.split("/")])
        vault.open(name)
        rows = [
            _row(row if isinstance(row, tuple) else tuple(row)) for row in vault.get_ex().tolist()
        ]
        ours = Dataset(rows, vault.parameters(), [said.comment for said in vault.comments()])
        if _value(ours) != _value(dataset):
            yield f"{here}/{name}: our reader sees {ours!r:.300}, h5py {dataset!r:.300}"
