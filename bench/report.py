"""How a benchmark tells what it measured, and on which machine."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure beside its bound. A ratio has no unit; where a bound is absolute the unit is named."""

    name: str
    value: float
    bound: float
    unit: str = ""
    detail: str = ""
    at_least: bool = False
    """Whether the bound is the least and not the most."""

    @property
    def is_met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        verdict = "ok    " if self.is_met else "MISSED"
        limit = "at least" if self.at_least else "at most"
        unit = f" {self.unit}" if self.unit else " x"
        return f"{verdict} {self.name}: {self.value:.2f}{unit} ({limit} {self.bound:g}{unit}) {self.detail}".rstrip()


def machine() -> str:
    """The machine, in a line."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].split(":", 1)[1].strip() if names else platform.processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{cores} cores of {processor}, {memory:.0f} GiB, {system}"


def spread(values: Sequence[float]) -> str:
    """Median with lowest and highest, in milliseconds, of seconds."""
    return f"{median(values) * 1000:.0f} ms [{min(values) * 1000:.0f}-{max(values) * 1000:.0f}]"
