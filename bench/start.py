"""From `palpite up` to ready, and the memory of the idle API, worker, scheduler and supervisor together."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import psutil

from bench.report import Figure, spread
from tests.support.palpite import RunningPalpite, started_palpite
from tests.support.servers import temporary_data

TIMES = 3
READY_SECONDS = 5.0
IDLE_MIB = 450.0
SETTLE_SECONDS = 5.0
OURS = ("serve", "worker", "scheduler")


def measure() -> Sequence[Figure]:
    waits: list[float] = []
    with temporary_data() as data:
        for _ in range(TIMES):
            began = time.perf_counter()
            with started_palpite("up", "--port", "0", "--data", str(data)) as palpite:
                palpite.wait_until_ready()
                waits.append(time.perf_counter() - began)
                time.sleep(SETTLE_SECONDS)
                memory = _memory(palpite)
    shares = ", ".join(f"{name} {size:.0f}" for name, size in memory.items())
    return [
        Figure("ready from a warm install", median(waits), READY_SECONDS, unit="s", detail=spread(waits)),
        Figure("idle, without the servers", sum(memory.values()), IDLE_MIB, unit="MiB (PSS)", detail=shares),
    ]


def _memory(palpite: RunningPalpite) -> dict[str, float]:
    parent = psutil.Process(palpite.process.pid)
    children = {child.cmdline()[-1]: child for child in parent.children() if child.cmdline()[-1] in OURS}
    return {"supervisor": _pss(parent.pid), **{name: _pss(child.pid) for name, child in children.items()}}


def _pss(pid: int) -> float:
    """Proportional share of memory in MiB, by the kernel."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024
