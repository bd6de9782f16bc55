"""A running `palpite up` for tests that may share one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.memory import data_in_memory
from tests.support.palpite import RunningPalpite, get_json, started_palpite


@dataclass(frozen=True, slots=True)
class Up:
    """A running installation; `seconds` is what its start took."""

    palpite: RunningPalpite
    data: Path
    address: str
    seconds: float

    def child(self, name: str) -> psutil.Process:
        children = psutil.Process(self.palpite.process.pid).children()
        return next(child for child in children if child.cmdline()[-1] == name)

    def is_back(self, name: str, old: int) -> bool:
        try:
            return self.child(name).pid != old and get_json(f"{self.address}/readyz")[0] == 200
        except (StopIteration, OSError, psutil.NoSuchProcess, IndexError):
            return False


@contextmanager
def running_up() -> Iterator[Up]:
    """On a data folder of its own; at the end nothing of it is left."""
    began = time.monotonic()
    with data_in_memory() as data, started_palpite("up", "--port", "0", "--data", str(data)) as palpite:
        address = palpite.wait_until_ready()
        yield Up(palpite, data, address, time.monotonic() - began)
