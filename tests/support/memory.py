"""Where the data of test servers lie in memory: copying a database to a disk is most of what a short test costs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os import getpid
from pathlib import Path
from tempfile import mkdtemp

import psutil

_MEMORY = Path("/dev/shm")
_ENOUGH = 4 * 2**30
"""Bytes that must be free: a server of a test process takes some hundred megabytes."""
_PREFIX = "palpite-memory-"


@contextmanager
def data_in_memory() -> Iterator[Path]:
    """A data folder that is removed at the end: in memory where there is room, else on the disk."""
    folder = Path(mkdtemp(prefix=f"{_PREFIX}{getpid()}-", dir=_MEMORY if _has_room() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room() -> bool:
    """After what killed test processes left there is gone."""
    if not _MEMORY.is_dir():
        return False
    for left in _MEMORY.glob(f"{_PREFIX}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(_PREFIX).split("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    return min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) > _ENOUGH
