"""Disks that are full, limited, read-only, broken, locked or gone: real ones where root may mount.

The campaign records on a file system of its own, which others fill up, remount or take away for a
while. What no mount can do (a sync that fails once) the shim in the writer does, by orders
(`benchmarks.fault_orders`). After each of them the writer must go on by itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.fault_kinds import Fault
from benchmarks.fault_orders import give, obeyed
from h5daq.client import connect
from h5daq.errors import H5daqError

if TYPE_CHECKING:
    from benchmarks.faults import Campaign

__all__ = ["KINDS", "Breakable", "Limited", "Mount", "may_mount", "trouble_of"]

_PATIENCE = 60.0
_SIZE = 512 << 20
_BREAKABLE_SIZE = 256 << 20
_CAUSES = [
    os.strerror(n) for n in (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EDQUOT, errno.EIO)
]
_KINDS_OF_FILE = ("journal", "run file", "redo log", "new file", "session file")


def may_mount() -> bool:
    """Whether this process can make file systems."""
    return sys.platform == "linux" and os.geteuid() == 0


class Mount:
    """A file system in memory at `path`; an ordinary directory where that can't be made.

    Parameters
    ----------
    path : Path
        Made here.
    size : int
        Of the file system, in bytes.
    """

    def __init__(self, path: Path, size: int = _SIZE) -> None:
        self.path = path
        path.mkdir()
        self.real = may_mount() and self._run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs")

    def fill(self) -> Path:
        """Take all the room there is; removing the file that is returned gives it back."""
        ballast = self.path / "ballast"
        fd = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = 0
            for step in (16 << 20, 1 << 20, 4096):
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(fd, size, step)
                        size += step
        finally:
            os.close(fd)
        return ballast

    def remount(self, how: str) -> bool:
        """Make it ``ro`` or ``rw``; False while that is refused, as somebody writes there."""
        return self._run("mount", "-o", f"remount,{how}")

    def close(self) -> None:
        """Take it away; lazily, as somebody may still look at it."""
        if self.real:
            self.real = not self._run("umount", "-l")

    def _run(self, *words: str) -> bool:
        done = subprocess.run([*words, str(self.path)], capture_output=True, check=False)
        return done.returncode == 0


class Limited(Mount):
    """A file system with a quota: Btrfs, whose quotas any kernel has that has it at all.

    `real` is False where there is none to be had: without root, loop devices or btrfs-progs.

    Parameters
    ----------
    path : Path
        Made here; the image lies beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path, image = path, path.with_name(f"{path.name}.img")
        # The limit is that of a part of it: the whole must have room to change the limit.
        self._whole = path.with_name(f"{path.name}.whole")
        for place in (path, self._whole):
            place.mkdir()
        with open(image, "wb") as file:
            file.truncate(_SIZE)
        made = may_mount() and _code("mkfs.btrfs", "-q", "-m", "single", str(image)) == 0
        self._mounted = made and _code("mount", "-o", "loop", str(image), str(self._whole)) == 0
        self.real = self._mounted and self._parted()
        if not self.real:
            self.close()

    def _parted(self) -> bool:
        part = str(self._whole / "part")
        commands = (["quota", "enable", str(self._whole)], ["subvolume", "create", part])
        made = all(_code("btrfs", *words) == 0 for words in commands)
        return made and self._run("mount", "--bind", part)

    def exceed(self) -> None:
        """From now on what is there is more than may be."""
        self._limit("1M")

    def allow(self) -> None:
        """Take the limit away."""
        self._limit("none")

    def close(self) -> None:
        """Take it away, and the whole."""
        super().close()
        if self._mounted:
            self._mounted = _code("umount", "-l", str(self._whole)) != 0

    def _limit(self, size: str) -> None:
        # The first part that is made has this number. By its name, a limit that is exceeded could
        # not be changed.
        if _code("btrfs", "qgroup", "limit", size, "0/256", str(self._whole)):
            raise RuntimeError(f"no quota of {size} could be set for {self.path}")


class Breakable(Mount):
    """A file system that can find itself broken: then the kernel makes it read-only there and then.

    That is how a disk becomes read-only under a writer that has files open; a remount is refused
    as long as somebody writes. `real` is False where there is no such file system to be had.

    Parameters
    ----------
    path : Path
        Made here; the image lies beside it.
    image : Path, optional
        What to copy and check, instead of making an empty one.
    """

    def __init__(self, path: Path, image: Path | None = None) -> None:
        self.path, self.image = path, path.with_name(f"{path.name}.img")
        path.mkdir()
        if image is None:
            with open(self.image, "wb") as file:
                file.truncate(_BREAKABLE_SIZE)
        else:
            shutil.copyfile(image, self.image)
        self.device = _said("losetup", "--find", "--show", str(self.image)) if may_mount() else ""
        good = bool(self.device) and (self._made() if image is None else self._checked())
        self.real = good and self._run("mount", "-o", "errors=remount-ro", self.device)
        # In many containers /sys is read-only, for root as well.
        if self.real and image is None and not os.access(self._trigger, os.W_OK):
            self.close()

    @property
    def _trigger(self) -> Path:
        return Path("/sys/fs/ext4", Path(self.device).name, "trigger_fs_error")

    def break_down(self) -> bool:
        """Have the kernel find an error in it; False where /sys can't be written."""
        with suppress(OSError):
            self._trigger.write_text("1")
            return True
        return False

    def mended(self, path: Path) -> Breakable:
        """What an operator gets who copies the whole disk, checks the copy and mounts it."""
        return Breakable(path, self.image)

    def close(self) -> None:
        """Take it away, and its device."""
        super().close()
        if self.device:
            _said("losetup", "--detach", self.device)
            self.device = ""  # it may be somebody else's from now on

    def _made(self) -> bool:
        return _code("mkfs.ext4", "-q", "-F", self.device) == 0

    def _checked(self) -> bool:
        # 1: errors were found, and corrected.
        return _code("e2fsck", "-f", "-y", self.device) in (0, 1)


def _code(*words: str) -> int | None:
    """What the program ended with; None if there is no such program."""
    with suppress(FileNotFoundError):
        return subprocess.run(words, capture_output=True, check=False).returncode
    return None


def _said(*words: str) -> str:
    """What the program printed; empty if it failed."""
    with suppress(FileNotFoundError, subprocess.CalledProcessError):
        return subprocess.run(words, capture_output=True, check=True, text=True).stdout.strip()
    return ""


def trouble_of(requests: str) -> str:
    """What the writer says is wrong; empty if nothing is, or if there is no answer."""
    with suppress(H5daqError), connect(requests) as client:
        return str(client.request("status", timeout=2.0)["writer"]["trouble"])
    return ""


def _until_told(campaign: Campaign, kind: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not (said := trouble_of(campaign.requests)):
        if time.monotonic() > deadline:
            campaign.wrong.append(f"{kind}: the status never said that anything was wrong")
            return
    campaign.faults[f"said: {_cause(said)}"] += 1


def _cause(said: str) -> str:
    """A trouble without the names of files."""
    return next((text for text in _CAUSES if text in said), said)


def _full(campaign: Campaign) -> None:
    ballast = campaign.disk.fill()
    _until_told(campaign, "disk full")
    time.sleep(campaign.random.uniform(0.0, 3.0))
    ballast.unlink()


def _quota(campaign: Campaign) -> None:
    """More is there than the user may have; a real quota where the campaign's disk has one."""
    disk = campaign.disk
    if not isinstance(disk, Limited) or not disk.real:
        _order(["write", "reserve", "make"], errno.EDQUOT, lasting=True)(campaign)
        return
    disk.exceed()
    _until_told(campaign, "quota exceeded")
    time.sleep(campaign.random.uniform(0.0, 3.0))
    disk.allow()


def _size_limit(campaign: Campaign) -> None:
    """No file may grow past 64 KiB, nor be written beyond that."""
    for writer in campaign.prey.look()["writer"]:
        with suppress(ProcessLookupError):
            before = resource.prlimit(writer.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(writer.pid, resource.RLIMIT_FSIZE, (1 << 16, before[1]))
            _until_told(campaign, "file size limit")
            time.sleep(campaign.random.uniform(0.0, 2.0))
            if not writer.is_running():
                campaign.wrong.append("a limit on the size of files killed the writer")
            resource.prlimit(writer.pid, resource.RLIMIT_FSIZE, before)


def _read_only(campaign: Campaign) -> None:
    """Nobody can do that while a writer has files open: it happens when one has died."""
    campaign.prey.kill("writer")
    deadline = time.monotonic() + 5.0
    while not (done := campaign.disk.remount("ro")) and time.monotonic() < deadline:
        campaign.prey.kill("writer")
    campaign.faults["read-only, not had"] += not done
    time.sleep(campaign.random.uniform(0.5, 3.0))
    campaign.disk.remount("rw")


def _away(campaign: Campaign) -> None:
    away = campaign.data.with_name("away")
    campaign.data.rename(away)
    time.sleep(campaign.random.uniform(0.1, 3.0))
    # What a writer may have made in its place is a fault of its own.
    if campaign.data.exists():
        campaign.wrong.append("the directory was made anew while it was away")
    away.rename(campaign.data)


def _locked(campaign: Campaign) -> None:
    """A foreign program has the newest file for itself while the writer is started again."""
    campaign.prey.kill("writer")
    newest = max(campaign.data.glob("*.hdf5"), key=lambda p: p.stat().st_mtime_ns, default=None)
    if newest is None:
        return
    fd = os.open(newest, os.O_RDWR)
    try:
        for _ in range(100):
            with suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                campaign.faults["locked by another, had"] += 1
                break
            time.sleep(0.01)
        time.sleep(campaign.random.uniform(0.5, 3.0))
    finally:
        os.close(fd)


def _order(ops: list[str], error: int, *, lasting: bool) -> Callable[[Campaign], None]:
    """Calls that fail in the writer: a few of them, or all for a while."""

    def act(campaign: Campaign) -> None:
        dice = campaign.random
        order: dict[str, Any] = {"ops": ops, "error": error, "skip": dice.randint(0, 20)}
        if not lasting:
            order |= {"times": dice.choice([1, 1, 2, 10]), "kinds": [dice.choice(_KINDS_OF_FILE)]}
        _carry_out(campaign, order)

    return act


def _killed_at_a_point(campaign: Campaign) -> None:
    dice = campaign.random
    ops = dice.choice([["write"], ["sync"], ["sync-names"], ["rename"], ["unlink"], ["cut"],
                       ["make"], ["reserve"]])  # fmt: skip
    when = dice.choice(["before", "middle", "after"])
    _carry_out(campaign, {"ops": ops, "kill": when, "skip": dice.randint(0, 30)})


def _carry_out(campaign: Campaign, order: dict[str, Any]) -> None:
    give(campaign.orders, **order)
    deadline = time.monotonic() + campaign.random.uniform(1.0, 3.0)
    while time.monotonic() < deadline:
        time.sleep(0.05)
    for point in set(obeyed(campaign.orders)):
        campaign.points[point] += 1
    give(campaign.orders)


def _needs_mount() -> str:
    return "" if may_mount() else "needs root, to mount a file system"


def _needs_limits() -> str:
    return "" if hasattr(resource, "prlimit") else "the system has no prlimit"


KINDS = [
    Fault("disk full", _full, _needs_mount),
    Fault("quota exceeded", _quota),
    Fault("file size limit", _size_limit, _needs_limits),
    Fault("read-only at a restart", _read_only, _needs_mount),
    Fault("directory away", _away),
    Fault("locked by another", _locked),
    Fault("some writes fail (EIO)", _order(["write"], errno.EIO, lasting=False)),
    Fault("some syncs fail (EIO)", _order(["sync", "sync-names"], errno.EIO, lasting=False)),
    Fault("some writes lack space", _order(["write", "reserve"], errno.ENOSPC, lasting=False)),
    Fault(
        "some names can't be changed",
        _order(["make", "rename", "unlink"], errno.EIO, lasting=False),
    ),
    Fault(
        "all changes refused (EROFS)",
        _order(["write", "reserve", "cut", "make", "rename", "unlink"], errno.EROFS, lasting=True),
    ),
    Fault("writer at a named point", _killed_at_a_point),
]
"""Faults of the disk after which the run goes on."""
