"""Clients in a process of their own, so that the server is what a storm measures and not who storms it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from time import monotonic
from typing import Any

import uvloop

from bench.live_clients import Screen

_screens: list[Screen] = []
_runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextmanager
def stormers() -> Iterator[Executor]:
    """Runs `come`; its clients stay where they are until the next time."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        yield process


def come(port: int, asked: dict[str, Any], count: int, version: int, at_once: int) -> float:
    """So many clients come to a server; seconds until each shows a version. Those that came before are gone."""
    return _runner.run(_come(port, asked, count, version, at_once))


async def _come(port: int, asked: dict[str, Any], count: int, version: int, at_once: int) -> float:
    began = monotonic()
    for screen in _screens:
        screen.leave()
    _screens[:] = [Screen(port, "/graphql", asked) for _ in range(count)]
    for begin in range(0, count, at_once):
        await asyncio.gather(*(screen.join(1) for screen in _screens[begin : begin + at_once]))
    async with asyncio.timeout(300):
        while not all(screen.version >= version for screen in _screens):  # noqa: ASYNC110 they count and tell nobody
            await asyncio.sleep(0.01)
    return monotonic() - began
