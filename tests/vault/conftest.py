"""What the tests of the vault share: a tree that the original Data Vault wrote."""

import shutil

import pytest

from .expected import GOLDEN


@pytest.fixture
def golden(tmp_path):
    """A copy of the golden tree, to write to."""
    root = tmp_path / "golden"
    shutil.copytree(GOLDEN, root, ignore=shutil.ignore_patterns("*.json", "README.md"))
    return root
