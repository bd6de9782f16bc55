"""Every operation that an admin can name, over the API, done by a real worker on real servers, and what is refused."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from sqlalchemy import select, text

from domain.clock import utc_now
from domain.execution.model import Execution, ExecutionState, Operation
from domain.execution.run import Run
from domain.execution.service import read_steps
from domain.match.tables import matches
from domain.tournament.model import Provider
from domain.tournament.tables import rounds
from integrations.object_store.folder import FolderStore
from integrations.openfootball.provider import OpenFootballProvider
from integrations.valkey.projection import ValkeyProjection
from schema import ids
from tasks.handlers import HANDLERS, Handler, Ports
from tests.support.api import Api, running_api
from tests.support.api_world import World, make_world
from tests.support.executions import Work, ended, running
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.openfootball import a_match, write_season

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

SOURCE = {"provider": "OPENFOOTBALL", "competition": "en.1", "season": "2024-25"}


@pytest.fixture
async def api(database_url: str, valkey_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(database_url, valkey_url, tmp_path / "data") as running:
        yield running


@pytest.fixture
async def world(api: Api) -> World:
    return await make_world(api)


@pytest.fixture
async def root(world: World) -> GraphQLClient:
    return await world.client(world.root)


@pytest.fixture
async def worker(database: "PostgresDatabase", valkey: Redis, valkey_url: str, tmp_path: Path) -> AsyncIterator[None]:
    """A worker with the handlers of the worker process, on a folder of seasons that the test writes."""
    reports = tmp_path / "files"
    provider = OpenFootballProvider(tmp_path / "seasons")
    ports = Ports({Provider.OPENFOOTBALL: provider}, ValkeyProjection(valkey), utc_now, FolderStore(reports))
    async with running(database, valkey_url, reports, _bound(HANDLERS, ports), lease=60):
        yield


def _bound(handlers: Mapping[Operation, Handler], ports: Ports) -> dict[Operation, Work]:
    def bind(handler: Handler) -> Work:
        async def work(run: Run) -> None:
            await handler(run, ports)

        return work

    return {operation: bind(handler) for operation, handler in handlers.items()}


async def accepted(client: GraphQLClient, operation: dict[str, Any]) -> dict[str, Any]:
    wanted = {"operation": operation, "reason": "to be sure"}
    payload: dict[str, Any] = (await client.operation("runOperation", input=wanted)).data["runOperation"]
    return payload


async def done(database: "PostgresDatabase", client: GraphQLClient, operation: dict[str, Any]) -> Execution:
    """The execution of an operation once it is over, and went well."""
    payload = await accepted(client, operation)
    assert (payload["errors"], payload["alreadyLive"]) == ([], False)
    execution_id = ids.execution_id(payload["execution"]["id"])
    assert execution_id is not None
    execution = await ended(database, execution_id, within=60)
    assert (execution.state, execution.error_message) == (ExecutionState.COMPLETED, None)
    return execution


def counts(execution: Execution) -> tuple[int, int, int, int]:
    found = execution.counts
    return found.created, found.updated, found.unchanged, found.failed


def test_every_operation_of_an_input_has_a_handler() -> None:
    by_input = {"CORRECT_RESULT", "REPLAY_SETTLEMENT"}
    assert {operation.value for operation in Operation} - {operation.value for operation in HANDLERS} <= by_input


@pytest.mark.usefixtures("worker")
async def test_each_operation_is_done(database: "PostgresDatabase", root: GraphQLClient, tmp_path: Path) -> None:
    kick_off = datetime.now(UTC) - timedelta(minutes=30)
    playing = {"date": f"{kick_off:%Y-%m-%d}", "time": f"{kick_off:%H:%M} UTC+0", "score": {}}
    later = a_match(round="Matchday 2", team1="Chelsea FC", team2="Fulham FC", date="2090-05-05", score={})
    season = {"name": "Premier League", "matches": [a_match(**playing), later]}
    write_season(tmp_path / "seasons", "en.1", "2024-25", season)

    made = await done(database, root, {"ingestTournament": {"source": SOURCE}})
    assert made.target.tournament_id is not None
    scope = {"tournamentId": id_of("Tournament", made.target.tournament_id)}
    assert counts(await done(database, root, {"ingestRounds": scope})) == (2, 0, 0, 0)
    assert counts(await done(database, root, {"ingestTeams": scope})) == (4, 0, 0, 0)
    async with database.read() as connection:
        slugs = {row.slug: row.id for row in await connection.execute(_rounds_of(made))}

    second = await done(database, root, {"ingestRoundMatches": id_of("Round", slugs["2"])})
    assert (counts(second), second.target.round_id) == ((1, 0, 0, 0), slugs["2"])
    assert second.target.tournament_id == made.target.tournament_id
    async with database.read() as connection:
        one = select(matches.c.id).where(matches.c.tournament_id == made.target.tournament_id)
        (match_id,) = (await connection.execute(one)).scalars()
    single = await done(database, root, {"ingestMatch": id_of("Match", match_id)})
    assert (counts(single), single.target.match_id) == ((0, 0, 1, 0), match_id)

    # Not in all seasons that are active, only where something is being played.
    assert await _note(database, await done(database, root, {"pollOpenMatches": scope})) == "No match is open."
    assert counts(await done(database, root, {"ingestMatches": scope})) == (1, 0, 1, 0)
    playing["score"] = {"ft": [3, 1]}
    season["matches"] = [a_match(**playing), later]
    write_season(tmp_path / "seasons", "en.1", "2024-25", season)
    polled = await done(database, root, {"pollOpenMatches": scope})
    assert (counts(polled), await _note(database, polled)) == ((0, 1, 1, 0), "Open matches: 1.")

    knockouts = await done(database, root, {"ingestKnockoutRounds": scope})
    assert await _note(database, knockouts) == "No tournament with knockout rounds."
    verified = await done(database, root, {"verifyProjection": scope})
    assert counts(verified)[3] == 0
    assert verified.report_key is not None


@pytest.mark.usefixtures("worker")
async def test_pruning_first_counts_and_then_removes(database: "PostgresDatabase", root: GraphQLClient) -> None:
    old = (
        "INSERT INTO executions (id, operation, params, operation_key, state, trigger, request_id, max_attempts,"
        " not_before, queued_at, finished_at)"
        " SELECT gen_random_uuid(), 'SYNC_CURRENT_ROUND', '{}', n::text, 'COMPLETED', 'SCHEDULE', 'r', 3, at, at, at"
        " FROM generate_series(1, 7) n, LATERAL (SELECT clock_timestamp() - interval '31 days') AS a (at)"
    )
    async with database.begin() as connection:
        await connection.execute(text(old))

    counted = await done(database, root, {"pruneHistory": {"dryRun": True}})
    assert (counted.dry_run, counts(counted)) == (True, (0, 0, 7, 0))
    assert await _number_of(database, "SYNC_CURRENT_ROUND") == 7
    removed = await done(database, root, {"pruneHistory": {}})
    assert (removed.dry_run, counts(removed)) == (False, (0, 7, 0, 0))
    assert await _number_of(database, "SYNC_CURRENT_ROUND") == 0


async def test_a_dry_run_says_so_and_is_another_command(root: GraphQLClient) -> None:
    first = await accepted(root, {"pruneHistory": {"dryRun": True}})
    assert first["execution"]["dryRun"] is True
    other = await accepted(root, {"pruneHistory": {"dryRun": False}})
    assert [error["code"] for error in other["errors"]] == ["WRONG_STATE"]
    same = await accepted(root, {"pruneHistory": {"dryRun": True}})
    assert (same["alreadyLive"], same["execution"]["id"]) == (True, first["execution"]["id"])


@pytest.mark.parametrize("name", ["ingestRoundMatches", "ingestMatch"])
async def test_what_is_not_there_cannot_be_ingested(root: GraphQLClient, world: World, name: str) -> None:
    kind = {"ingestRoundMatches": "Round", "ingestMatch": "Match"}[name]
    nobody = id_of(kind, UUID(int=7))
    for wrong in ("nonsense", world.tournament_id):
        payload = await accepted(root, {name: wrong})
        assert payload["execution"] is None
        assert [(error["code"], error["field"]) for error in payload["errors"]] == [("NOT_FOUND", ["operation", name])]
    payload = await accepted(root, {name: nobody})
    assert [error["code"] for error in payload["errors"]] == ["NOT_FOUND"]


@pytest.mark.parametrize("name", ["ingestKnockoutRounds", "pollOpenMatches", "verifyProjection"])
async def test_a_scope_that_is_not_there_is_refused(root: GraphQLClient, name: str) -> None:
    payload = await accepted(root, {name: {"tournamentId": "nonsense"}})
    assert payload["execution"] is None
    assert [(error["code"], error["field"]) for error in payload["errors"]] == [
        ("NOT_FOUND", ["operation", name, "tournamentId"])
    ]


async def _note(database: "PostgresDatabase", execution: Execution) -> str | None:
    steps = (await read_steps(database, [execution.id]))[execution.id]
    return steps[-1].note


async def _number_of(database: "PostgresDatabase", operation: str) -> int:
    async with database.read() as connection:
        statement = text("SELECT count(*) FROM executions WHERE operation = :operation")
        return int((await connection.execute(statement, {"operation": operation})).scalar_one())


def _rounds_of(execution: Execution) -> Any:
    return select(rounds.c.slug, rounds.c.id).where(rounds.c.tournament_id == execution.target.tournament_id)
