"""Sockets that take nothing beside others: a server with some and one without, at the same events."""

import asyncio
from collections.abc import Sequence
from statistics import median
from time import perf_counter

from bench.live_clients import Crowd, Unwilling
from bench.live_stage import Server, Stage, serving
from bench.report import Figure

COUNT, STALLED = 450, 50
FILLING = 8
"""Events after which nothing more goes to who takes nothing: what is between is full."""
EVENTS = 40
_KEPT = {"PALPITE_SOCKET_BLOCKED_SECONDS": "600"}
"""Or those that take nothing would be gone soon."""


async def beside_stalled(stage: Stage, settings: dict[str, str]) -> Sequence[Figure]:
    """What the others' messages cost, and how long they take, by the same without the stalled."""
    with serving("ours", settings | _KEPT) as alone, serving("ours", settings | _KEPT) as beside:
        servers = (alone, beside)
        crowds = [Crowd(server.port, "/graphql", stage.board) for server in servers]
        for crowd in crowds:
            await crowd.join(COUNT)
        stalled = Unwilling(beside.port, "/graphql", stage.board)
        await stalled.join(STALLED)
        stalled.stop()
        for _ in range(FILLING):
            await _event(stage, servers, crowds)
        events = [await _event(stage, servers, crowds) for _ in range(EVENTS)]
        for crowd in (*crowds, stalled):
            crowd.leave()
    (cpu, wait), (cpu_beside, wait_beside) = (
        [median(column) for column in zip(*of_one, strict=True)] for of_one in zip(*events, strict=True)
    )
    name = f"with {STALLED} stalled sockets, the others' {{}}"
    return [
        Figure(name.format("CPU"), cpu_beside / cpu, 1.1, detail=f"{cpu_beside:.1f} ms an event, else {cpu:.1f} ms"),
        Figure(name.format("wait"), wait_beside / wait, 1.5, detail=f"{wait_beside:.0f} ms, else {wait:.0f} ms"),
    ]


async def _event(stage: Stage, servers: Sequence[Server], crowds: Sequence[Crowd]) -> list[tuple[float, float]]:
    """One version on both servers: the CPU of each, and until 99 % of its sockets have it, in milliseconds."""
    cpu = [server.cpu() for server in servers]
    waiting = [asyncio.ensure_future(crowd.events(1)) for crowd in crowds]
    await asyncio.sleep(0)
    await stage.move()
    moved = perf_counter()
    times = [sorted(found)[int(COUNT * 0.99) - 1] for found in await asyncio.gather(*waiting)]
    return [
        ((server.cpu() - before) * 1000, (at - moved) * 1000)
        for server, before, at in zip(servers, cpu, times, strict=True)
    ]
