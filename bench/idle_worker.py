"""A worker process whose executions do nothing; with `bare` taskiq alone on the same queue, its task idle too."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

from domain.execution.model import Operation
from domain.execution.run import Run
from runtime.broker import open_broker
from runtime.process import run_process
from runtime.settings import Settings
from runtime.signals import stop_on_signals
from runtime.worker import run as run_worker
from tasks.consumer import consume
from tasks.handlers import Ports


async def run(settings: Settings) -> None:
    await run_worker(settings, dict.fromkeys(list(Operation), _nothing))


async def run_bare(settings: Settings) -> None:
    stop = stop_on_signals()
    broker = open_broker(settings, fetch=settings.worker_concurrency, on_new_queue=lambda: None, stop=stop)
    await consume(broker, _ignore, stop, concurrency=settings.worker_concurrency, patience=1)


async def _nothing(_: Run, __: Ports) -> None:
    await asyncio.sleep(0)


async def _ignore(_: Mapping[str, Any]) -> None:
    await asyncio.sleep(0)


if __name__ == "__main__":
    run_process("worker", f"bench.idle_worker:{'run_bare' if 'bare' in sys.argv else 'run'}")
