"""Owns the playing of a replay: it asks for ingestion at every moment at which the season's file has something new."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from domain.clock import Clock
from domain.database import Database
from domain.errors import DomainError
from domain.execution import service as executions
from domain.execution.model import Command, Execution, ExecutionState, ExecutionTrigger, Operation, Target
from domain.ids import ExecutionId, TournamentId
from domain.ingestion import store as ingestion_store
from domain.ingestion.snapshot import MatchSnapshot
from domain.settlement import store as settlement_store
from domain.tournament.model import Provider
from integrations.openfootball.provider import OpenFootballProvider
from integrations.openfootball.replay import MAX_SPREAD, ReplayPlan
from integrations.openfootball.replays import (
    ReplayDescription,
    latest_replay,
    read_replay,
    rewrite_replay,
    write_replay,
)
from runtime.errors import SetupError
from runtime.outage import outlasting

BEAT = timedelta(seconds=0.2)
"""Moments closer together than this are ingested together."""
STANDINGS_BEAT = timedelta(seconds=2)
SLOWEST = 0.01
"""A hundred times as long as life: a season that is slower ends in no century that dates are made for."""
_LIVE = (ExecutionState.QUEUED, ExecutionState.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay that was begun: its names at the provider, and its tournament here."""

    competition: str
    season: str
    tournament_id: TournamentId
    plan: ReplayPlan


class Player:
    """Begins replays and plays them to their end. All work is done by workers, through executions.

    PostgreSQL may go away meanwhile and come back.
    """

    def __init__(self, database: Database, provider: OpenFootballProvider, replays: Path, clock: Clock) -> None:
        self._database = database
        self._provider = provider
        self._replays = replays
        self._clock = clock

    async def begin(self, competition: str, description: ReplayDescription) -> Replay:
        """Ingest the season as it stands before its first kick-off: the tournament can be joined from now on.

        Raises:
            SetupError: the season cannot be ingested; the message says why.
        """
        taken = await self._seasons(competition)
        try:
            day = self._clock().date()
            season = write_replay(self._replays, competition, description, day=day, taken=taken)
            return await self.resume(competition, season)
        except DomainError as error:
            raise SetupError(f"{description.source_season}/{competition} cannot be replayed: {error}") from error

    async def resume(self, competition: str, season: str) -> Replay:
        """The replay as it stands now, ingested."""
        plan = await self._provider.read_plan(competition, season)
        source = {"provider": Provider.OPENFOOTBALL.value, "competition": competition, "season": season}
        created = await self._done(Operation.INGEST_TOURNAMENT, Target(), source)
        tournament_id = created.target.tournament_id
        if tournament_id is None:
            raise SetupError(f"The execution {created.id} made no tournament.")
        for operation in (Operation.INGEST_ROUNDS, Operation.INGEST_TEAMS, Operation.INGEST_MATCHES):
            await self._done(operation, Target(tournament_id))
        await self._done(Operation.INGEST_STANDINGS, Target(tournament_id))
        return Replay(competition, season, tournament_id, plan)

    async def reschedule(self, replay: Replay, starts_at: datetime) -> Replay:
        """The same replay with another first kick-off, which nobody's lock may have passed yet."""
        description = read_replay(self._replays, replay.competition, replay.season)
        moved = msgspec.structs.replace(description, starts_at=starts_at)
        rewrite_replay(self._replays, replay.competition, replay.season, moved)
        return await self.resume(replay.competition, replay.season)

    async def last(self, competition: str, source_season: str) -> Replay | None:
        """The latest replay of a season that is not over yet, ingested as it stands now."""
        season = latest_replay(await self._seasons(competition), source_season)
        if season is None:
            return None
        replay = await self.resume(competition, season)
        over = replay.plan.next_change_after(self._clock()) is None and not await self._pending(replay.tournament_id)
        return None if over else replay

    async def play(self, replay: Replay, watch: Callable[[datetime], None] | None = None) -> tuple[MatchSnapshot, ...]:
        """Until every result of the file is settled and every cancelled match void; the matches without a result."""
        target = Target(replay.tournament_id)
        standings_at = self._clock()
        while (moment := replay.plan.next_change_after(self._clock())) is not None:
            await asyncio.sleep(max((moment - self._clock()).total_seconds(), BEAT.total_seconds()))
            await self._ask(Operation.INGEST_MATCHES, target)
            if self._clock() - standings_at >= STANDINGS_BEAT:
                standings_at = self._clock()
                await self._ask(Operation.INGEST_STANDINGS, target)
            if watch is not None:
                watch(self._clock())
        await self._done(Operation.INGEST_MATCHES, target)
        await self._done(Operation.INGEST_STANDINGS, target)
        while await self._pending(replay.tournament_id):  # noqa: ASYNC110 - the database tells it
            await asyncio.sleep(0.1)
        return replay.plan.without_result

    async def _ask(self, operation: Operation, target: Target, params: dict[str, Any] | None = None) -> ExecutionId:
        async def ask() -> ExecutionId:
            async with self._database.begin() as connection:
                accepted = await executions.accept(
                    connection,
                    Command(operation, target, params or {}),
                    trigger=ExecutionTrigger.SYSTEM,
                    request_id=f"replay-{uuid4()}",
                    reason="replay",
                )
            return accepted.execution.id

        return await outlasting(ask)  # twice is harmless: what is in the file is ingested again

    async def _done(self, operation: Operation, target: Target, params: dict[str, Any] | None = None) -> Execution:
        execution_id = await self._ask(operation, target, params)

        async def read() -> Execution:
            return (await executions.read_executions(self._database, [execution_id]))[execution_id]

        while (execution := await outlasting(read)).state in _LIVE:  # noqa: ASYNC110 - the database tells it
            await asyncio.sleep(0.05)
        if execution.state is not ExecutionState.COMPLETED:
            raise SetupError(f"{operation} failed: {execution.error_message or execution.state}")
        return execution

    async def _pending(self, tournament_id: TournamentId) -> bool:
        async def read() -> bool:
            async with self._database.read() as connection:
                return bool(await settlement_store.pending_matches(connection, tournament_id))

        return await outlasting(read)

    async def _seasons(self, competition: str) -> set[str]:
        async def read() -> set[str]:
            async with self._database.read() as connection:
                return await ingestion_store.seasons_of(connection, Provider.OPENFOOTBALL, competition)

        return await outlasting(read)


def parse_season(text: str) -> tuple[str, str]:
    """`SEASON/COMPETITION` as season and competition.

    Raises:
        SetupError: it is not of this form.
    """
    season, slash, competition = text.partition("/")
    if not (season and slash and competition):
        raise SetupError(f"{text!r} names no season: write SEASON/COMPETITION, such as 2024-25/en.1.")
    return season, competition.removesuffix(".json")


def describe(
    season: str,
    *,
    starts_at: datetime,
    speed: float | None,
    folder: Path | None = None,
    spread: timedelta = MAX_SPREAD,
) -> ReplayDescription:
    """A replay; `speed` None spreads its kick-offs evenly over `spread`."""
    source = str(folder.resolve()) if folder is not None else None
    return ReplayDescription(season, starts_at, speed, spread.total_seconds(), source)


def parse_speed(text: str) -> float | None:
    """A number from `SLOWEST` on, or `max` (None).

    Raises:
        SetupError: it is neither.
    """
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not SLOWEST <= speed < float("inf"):
        raise SetupError(f"--speed must be a number of at least {SLOWEST}, or max; got {text!r}.")
    return speed
