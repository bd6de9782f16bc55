"""Ingestion from a provider that the test drives, each operation run as a worker would."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from domain.execution.model import Operation, Target
from domain.execution.run import Run
from domain.ids import MatchId, RoundId, TournamentId
from domain.ingestion import service, store
from domain.ingestion.ports import Provider
from domain.ingestion.snapshot import TournamentSnapshot
from domain.match.tables import matches
from domain.tournament.model import Provider as ProviderName
from runtime.database import PostgresDatabase
from tests.support.driven_provider import DrivenProvider
from tests.support.openfootball import a_match, map_matches
from tests.support.runs import run_now

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
OPEN: dict[str, Any] = {"score": {}}
Handler = Callable[..., Awaitable[None]]


class Ingester:
    """Runs operations on a provider that the test drives, at one time of its clock."""

    def __init__(self, database: PostgresDatabase, *snapshots: TournamentSnapshot) -> None:
        self.database = database
        self.provider = DrivenProvider(*snapshots)
        self.now = LONG_AGO

    async def run(self, operation: Operation, handler: Handler, target: Target | None = None, *more: Any) -> Run:
        """The run; the clock goes on by a minute afterwards."""
        providers: dict[ProviderName, Provider] = {ProviderName.OPENFOOTBALL: self.provider}
        now = self.now
        self.now += timedelta(minutes=1)
        params = None
        if operation is Operation.INGEST_TOURNAMENT:
            ((competition, season),) = more
            params, more = {"provider": "OPENFOOTBALL", "competition": competition, "season": season}, ()
        return await run_now(
            self.database, operation, lambda run: handler(run, providers, lambda: now, *more), target, params
        )

    async def whole(self, snapshot: TournamentSnapshot) -> TournamentId:
        """Ingest a tournament with rounds, teams and matches."""
        self.tell(snapshot)
        source = (snapshot.competition, snapshot.season)
        await self.run(Operation.INGEST_TOURNAMENT, service.ingest_tournament, None, source)
        async with self.database.begin() as connection:
            found = await store.find_tournament(connection, ProviderName.OPENFOOTBALL, *source)
        assert found is not None
        target = Target(TournamentId(found["id"]))
        await self.run(Operation.INGEST_ROUNDS, service.ingest_rounds, target)
        await self.run(Operation.INGEST_TEAMS, service.ingest_teams, target)
        await self.run(Operation.INGEST_MATCHES, service.ingest_matches, target)
        return TournamentId(found["id"])

    def tell(self, snapshot: TournamentSnapshot) -> None:
        """What the provider says from now on."""
        self.provider.snapshots[snapshot.competition, snapshot.season] = snapshot

    async def matches(self, tournament_id: TournamentId) -> Run:
        return await self.run(Operation.INGEST_MATCHES, service.ingest_matches, Target(tournament_id))

    async def round_matches(self, tournament_id: TournamentId, slug: str) -> Run:
        round_id = await round_of(self.database, tournament_id, slug)
        target = Target(tournament_id, round_id)
        return await self.run(Operation.INGEST_ROUND_MATCHES, service.ingest_round_matches, target, round_id)

    async def match(self, tournament_id: TournamentId, match_id: MatchId) -> Run:
        target = Target(tournament_id, None, match_id)
        return await self.run(Operation.INGEST_MATCH, service.ingest_match, target, match_id)

    async def knockouts(self, tournament_id: TournamentId | None = None) -> Run:
        return await self.run(Operation.INGEST_KNOCKOUT_ROUNDS, service.ingest_knockout_rounds, Target(tournament_id))

    async def poll(self, tournament_id: TournamentId | None = None) -> Run:
        return await self.run(Operation.POLL_OPEN_MATCHES, service.poll_open_matches, Target(tournament_id))


def counts_of(run: Run) -> tuple[int, int, int, int]:
    counts = run.progress().counts
    return counts.created, counts.updated, counts.unchanged, counts.failed


def notes_of(run: Run) -> list[tuple[str, str | None]]:
    return [(step.name, step.note) for step in run.progress().steps]


async def round_of(database: PostgresDatabase, tournament_id: TournamentId, slug: str) -> RoundId:
    async with database.read() as connection:
        return RoundId((await store.read_rounds(connection, tournament_id))[slug]["id"])


async def match_of(database: PostgresDatabase, home: str) -> Any:
    async with database.read() as connection:
        return (await connection.execute(select(matches).where(matches.c.home_label == home))).one()


def two_rounds(**second: Any) -> TournamentSnapshot:
    """Round 1 with Arsenal and Liverpool at home, round 2 with Chelsea; none is played."""
    return map_matches(
        a_match(**OPEN),
        a_match(**{"round": "Matchday 2", "team1": "Chelsea FC", "team2": "Brentford FC", **OPEN, **second}),
    ).snapshot


def changed(snapshot: TournamentSnapshot, home: str, **changes: Any) -> TournamentSnapshot:
    """The snapshot with something else told of a team's home match."""
    items = [replace(match, **changes) if match.home_label == home else match for match in snapshot.matches]
    return replace(snapshot, matches=tuple(items))


def without(snapshot: TournamentSnapshot, home: str) -> TournamentSnapshot:
    return replace(snapshot, matches=tuple(match for match in snapshot.matches if match.home_label != home))
