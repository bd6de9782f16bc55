"""Workers that are kept alive beside a relay and a sweeper, and the one among them to be hit."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

from domain.ids import ExecutionId
from tasks.loops import background
from tests.support.executions import moving, until
from tests.support.forked import Child
from tests.support.workers import OBEDIENT, Workers

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

CREW = 4
Known = set[tuple[ExecutionId, int]]
"""Executions that have been chosen, with their fences."""


@asynccontextmanager
async def plant(
    crew: Workers,
    database: "PostgresDatabase",
    valkey_url: str,
    folder: Path,
    size: int = CREW,
    place: str = OBEDIENT,
    *,
    sweep_every: float = 0.1,
    resend_after: float = 1,
) -> AsyncIterator[None]:
    """A relay and a sweeper here, and so many workers that are started again whenever they end.

    The sweeper is in a hurry, for tests that kill workers.
    """
    async with (
        moving(database, valkey_url, folder, sweep_every=sweep_every, resend_after=resend_after),
        background(*(crew.keep(place, PALPITE_WORKER_CONCURRENCY="2") for _ in range(size))),
    ):

        async def are_there() -> bool:
            return len(crew.running) >= size

        await until(are_there, within=60)
        yield


async def a_running_one(
    database: "PostgresDatabase", crew: Workers, rng: random.Random, known: Known, *, within: float = 60
) -> tuple[ExecutionId, Child]:
    """An execution that has just been claimed and has lost no worker yet, and its worker."""
    found: list[tuple[ExecutionId, int, int]] = []

    async def has_begun() -> bool:
        async with database.read() as connection:
            claimed = text("SELECT id, fence, lease_owner FROM executions WHERE state = 'IN_PROGRESS' AND losses = 0")
            rows = (await connection.execute(claimed)).all()
        found[:] = [
            (ExecutionId(row.id), row.fence, pid)
            for row in rows
            if (row.id, row.fence) not in known and (pid := int(row.lease_owner.split(":")[1])) in crew.running
        ]
        return bool(found)

    await until(has_begun, within=within)
    chosen, fence, pid = rng.choice(sorted(found))
    known.add((chosen, fence))
    return chosen, crew.running[pid]
