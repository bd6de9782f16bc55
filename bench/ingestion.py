"""Mapping and applying a season 50 times as large, against the bare insert of the same rows."""

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Table, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bench.report import Figure, spread
from domain.execution.model import Operation, Target
from domain.execution.tables import executions
from domain.ids import TournamentId
from domain.ingestion import service, store
from domain.ingestion.ports import Provider
from domain.match.tables import match_results, matches
from domain.outbox.tables import outbox
from domain.tournament.model import Provider as ProviderName
from domain.tournament.tables import provider_refs
from integrations.openfootball.files import shipped_seasons
from integrations.openfootball.provider import OpenFootballProvider
from runtime.database import PostgresDatabase
from tests.support.runs import run_now
from tests.support.servers import TestPostgres, running_postgres

TIMES = 50
ROUNDS_OF_RUNS = 3
TABLES = (matches, provider_refs, match_results, executions, outbox)
"""What one ingestion of matches writes, in the order of their foreign keys."""


def measure() -> Sequence[Figure]:
    ours: list[float] = []
    bare: list[float] = []
    with running_postgres() as server, tempfile.TemporaryDirectory() as folder:
        _write_large_season(Path(folder))
        for _ in range(ROUNDS_OF_RUNS):
            mine, theirs = asyncio.run(_one_round(server, Path(folder)))
            ours.append(mine)
            bare.append(theirs)
    ratio = median(ours) / median(bare)
    detail = f"read, mapped and applied {spread(ours)}; bare insert {spread(bare)}"
    return [Figure(f"a season of {380 * TIMES} matches", ratio, 3.0, detail=detail)]


async def _one_round(server: TestPostgres, folder: Path) -> tuple[float, float]:
    """Seconds of ours, then of the bare insert of what ours wrote, each into a database of its own."""
    url = await server.create_database()
    database = PostgresDatabase.create(url)
    try:
        tournament_id = await _prepare(database, folder)
        began = time.perf_counter()
        await _ingest(database, folder, Operation.INGEST_MATCHES, service.ingest_matches, tournament_id)
        ours = time.perf_counter() - began
        async with database.read() as connection:
            rows = {table.name: await _read(connection, table) for table in TABLES}
        bare = await _bare_insert(database, rows)
    finally:
        await database.close()
        await server.drop_database(url)
    return ours, bare


async def _read(connection: AsyncConnection, table: Table) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(select(table))).mappings()]


async def _bare_insert(database: PostgresDatabase, rows: dict[str, list[dict[str, Any]]]) -> float:
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in reversed(TABLES):
            await connection.execute(text(f"DELETE FROM {table.name}"))
    async with database.begin() as connection:
        began = time.perf_counter()
        for table in TABLES:
            generated = {column.name for column in table.columns if column.identity is not None}
            values = [{key: value for key, value in row.items() if key not in generated} for row in rows[table.name]]
            if values:
                await connection.execute(insert(table), values)
    return time.perf_counter() - began


async def _prepare(database: PostgresDatabase, folder: Path) -> TournamentId:
    source = {"provider": "OPENFOOTBALL", "competition": "en.1", "season": "2024-25"}
    await _ingest(database, folder, Operation.INGEST_TOURNAMENT, service.ingest_tournament, None, source)
    async with database.begin() as connection:
        found = await store.find_tournament(connection, ProviderName.OPENFOOTBALL, "en.1", "2024-25")
    assert found is not None
    tournament_id = TournamentId(found["id"])
    for operation, handler in (
        (Operation.INGEST_ROUNDS, service.ingest_rounds),
        (Operation.INGEST_TEAMS, service.ingest_teams),
    ):
        await _ingest(database, folder, operation, handler, tournament_id)
    return tournament_id


async def _ingest(
    database: PostgresDatabase,
    folder: Path,
    operation: Operation,
    handler: Any,
    tournament_id: TournamentId | None,
    params: dict[str, Any] | None = None,
) -> None:
    providers: dict[ProviderName, Provider] = {ProviderName.OPENFOOTBALL: OpenFootballProvider(folder)}
    target = Target(tournament_id)
    await run_now(database, operation, lambda run: handler(run, providers, lambda: datetime.now(UTC)), target, params)


def _write_large_season(folder: Path) -> None:
    """The Premier League's season, played by fifty times as many teams in the same rounds."""
    season = json.loads((shipped_seasons() / "2024-25" / "en.1.json").read_bytes())
    (folder / "2024-25").mkdir()
    items = [
        {**match, "team1": f"{match['team1']} {copy}", "team2": f"{match['team2']} {copy}"}
        for copy in range(TIMES)
        for match in season["matches"]
    ]
    (folder / "2024-25" / "en.1.json").write_text(json.dumps({**season, "matches": items}))
