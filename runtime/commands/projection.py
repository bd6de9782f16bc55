"""`palpite projection verify` and `rebuild`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from domain.ids import TournamentId
from domain.leaderboard.audit.model import Check
from domain.leaderboard.audit.service import check, projected_and_over
from domain.leaderboard.ports import ProjectionUnavailable
from domain.leaderboard.projector import rewrite
from domain.leaderboard.store import boards_in_play
from domain.tournament.service import read_tournaments
from integrations.valkey.client import connect
from integrations.valkey.projection import ValkeyProjection
from runtime.database import PostgresDatabase
from runtime.embedded.servers import servers_for_command
from runtime.errors import SetupError
from runtime.operator import Row, parse_id, say, show_rows, use_database
from runtime.preflight import require_valkey
from runtime.settings import load_settings

T = TypeVar("T")
Work = Callable[[PostgresDatabase, ValkeyProjection, Mapping[TournamentId, str]], Awaitable[T]]
"""Does something with the boards of tournaments, named by their labels."""
_PROBLEM = {"problem": "PROBLEM"}
_FOUND = {"tournament": "TOURNAMENT", "where": "WHERE"} | _PROBLEM
_WRITTEN = {"tournament": "TOURNAMENT", "version": "VERSION"}
_NOTHING = "No tournament is in play, and none that is over has a board in Valkey. Any is named by --tournament ID."


def verify(*, tournament: str | None = None, json: bool = False) -> None:
    """Compare the boards in Valkey, members' scores, and the fold of guesses and results; change nothing.

    Exit code 0: all are the same. 1: they are not. `palpite projection rebuild` repairs a projection, the admin's
    `replaySettlement` scores and ledger. The scheduled check repairs projections by itself.

    Example: `palpite projection verify --json`

    Parameters
    ----------
    tournament
        Only this one: its id, from a log line or the API. Otherwise all that are not over, or have a board in Valkey.
    json
        Print JSON for scripts.
    """
    found = _with_boards(tournament, _verify)
    problems = [row | problem for row in found for problem in row["problems"]]
    if json:
        show_rows(found, {}, as_json=True, nothing="")
    elif problems:
        show_rows(problems, _FOUND, as_json=False, nothing="")
    else:
        say(f"{len(found)} tournaments, all the same." if found else _NOTHING)
    if problems:
        sys.exit(1)


def rebuild(*, tournament: str | None = None, json: bool = False) -> None:
    """Rewrite the boards in Valkey from the database, whatever is there, as new versions.

    Readers see the old board or the new one, never half of it; what processes keep of the old one is made anew. Exit
    code 0: all are written. 1: some cannot be ranked, since their ledgers are broken.

    Example: `palpite projection rebuild`

    Parameters
    ----------
    tournament
        Only this one: its id, from a log line or the API. Otherwise all that are not over, or have a board in Valkey.
    json
        Print JSON for scripts.
    """
    rows = _with_boards(tournament, _rebuild)
    is_whole = all(row["problem"] is None for row in rows)
    show_rows(rows, _WRITTEN if is_whole else _WRITTEN | _PROBLEM, as_json=json, nothing=_NOTHING)
    if not is_whole:
        sys.exit(1)


async def _verify(
    database: PostgresDatabase, projection: ValkeyProjection, labels: Mapping[TournamentId, str]
) -> list[dict[str, Any]]:
    return [_row(await check(database, projection, tournament_id), label) for tournament_id, label in labels.items()]


def _row(found: Check, label: str) -> dict[str, Any]:
    problems = [{"where": breach.invariant.value, "problem": breach.message} for breach in found.breaches]
    problems += [{"where": "PROJECTION", "problem": drift} for drift in found.drifts]
    return {"tournamentId": str(found.tournament_id), "tournament": label, "problems": problems}


async def _rebuild(
    database: PostgresDatabase, projection: ValkeyProjection, labels: Mapping[TournamentId, str]
) -> list[Row]:
    rows: list[Row] = []
    for tournament_id, label in labels.items():
        version = problem = None
        try:
            version = await rewrite(database, projection, tournament_id)
        except OverflowError as error:
            problem = str(error)
        rows.append({"tournamentId": str(tournament_id), "tournament": label, "version": version, "problem": problem})
    return rows


def _with_boards(tournament: str | None, work: Work[T]) -> T:
    """Do it with the servers of the Palpite that runs, else of the data folder."""
    wanted = None if tournament is None else TournamentId(parse_id(tournament, "Tournament"))
    with servers_for_command(load_settings()) as settings:
        url = settings.required_redis_url()

        async def connected(database: PostgresDatabase) -> T:
            await require_valkey(url)
            async with connect(url) as valkey:
                projection = ValkeyProjection(valkey, timeout=5)
                return await work(database, projection, await _labels(database, projection, wanted))

        try:
            return asyncio.run(use_database(settings.required_database_url(), connected))
        except ProjectionUnavailable as problem:
            raise SetupError(str(problem)) from problem


async def _labels(
    database: PostgresDatabase, projection: ValkeyProjection, wanted: TournamentId | None
) -> dict[TournamentId, str]:
    if wanted is None:
        async with database.read() as connection:
            asked = list(await boards_in_play(connection))
        asked += await projected_and_over(database, projection)
    else:
        asked = [wanted]
    found = await read_tournaments(database, asked)
    if wanted is not None and wanted not in found:
        raise SetupError("There is no such tournament.")
    return {tournament_id: f"{found[tournament_id].label} {found[tournament_id].season}" for tournament_id in asked}
