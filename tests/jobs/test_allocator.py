"""Freed memory stays for what comes next, up to a limit; without glibc nothing is done."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

from h5daq.jobs import allocator

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")

CHURN = """
import json, os, resource
from h5daq.jobs.allocator import keep_freed_memory

def churn(mebibytes):
    blocks = [b"x" * (1 << 20) for _ in range(mebibytes)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

kept = keep_freed_memory()
churn(16)
before = faults()
for _ in range(8):
    churn(16)
again = faults() - before
churn(400)
print(json.dumps([kept, again, resident()]))
"""


@glibc
def test_what_is_freed_is_used_again_and_only_so_much_of_it_is_kept() -> None:
    done = subprocess.run([sys.executable, "-c", CHURN], stdout=subprocess.PIPE, check=True)
    kept, faults, resident = json.loads(done.stdout)
    assert kept
    assert faults < 8 * 16 * 256 / 10, "each MiB had new pages"
    assert resident < 200, "what was freed is kept for good"


def test_on_other_systems_it_is_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert not allocator.keep_freed_memory()
