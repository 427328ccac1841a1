"""The firewall in deploy/: nft takes it, twice, and its ports are those of the configuration."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import h5daq
from h5daq.cli.metrics import DEFAULT_PORT
from h5daq.config import example

RULES = Path(h5daq.__file__).parents[1] / "deploy" / "nftables.conf"


@pytest.mark.skipif(
    not (shutil.which("nft") and shutil.which("unshare") and os.geteuid() == 0),
    reason="needs nft, unshare and root",
)
def test_nft_takes_the_rules_twice():
    # In a network namespace of its own, which ends with the command.
    twice = f"nft -f {RULES} && nft -f {RULES} && nft list table inet h5daq"
    done = subprocess.run(["unshare", "-n", "sh", "-c", twice], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "drop" in done.stdout


def test_the_ports_are_those_of_the_example():
    rules = RULES.read_text()
    for port in ("5570", "5571", "5572"):
        assert f":{port}" in example()
        assert port in rules
    assert str(DEFAULT_PORT) in rules
