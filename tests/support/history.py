"""A season that a test plays on the real parts: readings, guesses, corrections, jobs; and what must come of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text, update
from structlog.testing import capture_logs

from domain.clock import utc_now
from domain.errors import DomainError
from domain.execution.model import ExecutionState, Operation, Target
from domain.execution.tables import executions
from domain.guess import service as guesses
from domain.guess.model import GuessInput
from domain.ids import MatchId, MemberId, TournamentId, new_id
from domain.ingestion.snapshot import TournamentSnapshot
from domain.match.model import Goals
from domain.outbox.tables import outbox
from domain.scoring import service as scoring
from domain.scoring.model import GuessFact, NewRuleset, ScoreBasis, Weights
from domain.settlement.rules import NewResult
from domain.settlement.service import settle_pending
from domain.settlement.store import pending_matches
from domain.tournament.model import Provider, TournamentMode
from domain.tournament.tables import provider_refs, tournaments
from integrations.valkey.projection import ValkeyProjection
from tasks.handlers import HANDLERS, Ports
from tests.support.corrections import correct
from tests.support.crashes import Crash, crash_at
from tests.support.executions import executor_of
from tests.support.football import join, make_members
from tests.support.game_model import Game, Said
from tests.support.ingester import OPEN, Ingester
from tests.support.openfootball import a_match, map_matches
from tests.support.runs import run_now
from tests.support.settlement import database_now

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.execution.ports import ObjectStore
    from domain.execution.run import Run
    from runtime.database import PostgresDatabase

WEIGHTS = Weights(7, 5, 3, 2, 11)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TEAMS = (("Arsenal FC", "Everton FC", "1"), ("Chelsea FC", "Brentford FC", "1"), ("Leeds United FC", "Derby FC", "2"))
_DUE = update(executions).where(executions.c.state == ExecutionState.QUEUED)


def open_season(competition: str, kick_off: datetime) -> TournamentSnapshot:
    """Three matches, two of them in the first round; nothing is played."""
    listed = [a_match(round=f"Matchday {number}", team1=home, team2=away, **OPEN) for home, away, number in TEAMS]
    told = map_matches(*listed, competition=competition).snapshot
    matches = tuple(replace(match, kick_off=kick_off) for match in told.matches[: len(TEAMS)])
    return replace(told, matches=matches, mode=TournamentMode.REGULAR_SEASON_AND_KNOCKOUT)


class History:
    """A tournament of its own. `games` are the matches that are listed, `past` those that were played anew."""

    def __init__(self, database: "PostgresDatabase", valkey: "Redis", reports: "ObjectStore") -> None:
        self.database = database
        self.projection = ValkeyProjection(valkey)
        self.ingester = Ingester(database)
        self.games: list[Game] = []
        self.past: list[Game] = []
        self.members: list[MemberId] = []
        self.jobs: list[Mapping[str, Any]] = []
        self.readings: list[TournamentSnapshot] = []
        self.tournament_id: TournamentId
        self._reports = reports
        self._ports = Ports({}, self.projection, utc_now, reports)

    async def begin(self, members: int) -> None:
        self.ingester.now = await database_now(self.database)
        told = open_season(f"history.{new_id().hex}", self.ingester.now + 3 * HOUR)
        self.tournament_id = await self.ingester.whole(told)
        await self._play_under(WEIGHTS)
        self.members = await make_members(self.database, members)
        await join(self.database, self.tournament_id, self.members)
        self.games = [Game(match) for match in told.matches]
        self._season = told
        await self.read()

    # ------------------------------------------------------------ what the provider tells

    async def read(self) -> None:
        """Ingest what is told of all games."""
        now = await database_now(self.database)
        await self._ingest(replace(self._season, matches=tuple(game.told for game in self.games)))
        self.past += [game for game in self.games if game.begins_anew(now)]
        self.games = [
            Game(game.told, game.is_told_turned, was_replayed=True) if game in self.past else game
            for game in self.games
        ]
        for game in self.games:
            game.hear(now)
            game.id = game.id or await self._id_of(game.told.key)

    async def read_late(self, number: int) -> None:
        """An earlier reading comes in after a later one: nothing is believed of it."""
        present = self.ingester.now
        self.ingester.now -= HOUR
        await self._ingest(self.readings[number % len(self.readings)])
        self.ingester.now = present

    async def _ingest(self, told: TournamentSnapshot) -> None:
        self.readings.append(told)
        self.ingester.tell(told)
        await self.ingester.matches(self.tournament_id)

    # ------------------------------------------------------------ what people do

    async def save(self, game: Game, member: MemberId, goals: Goals) -> None:
        """A guess; it is taken or refused as the rules say."""
        assert game.id is not None
        refusal = game.refusal(await database_now(self.database))
        given = GuessInput(game.id, *goals)
        if refusal is not None:
            with pytest.raises(DomainError) as refused:
                await guesses.save(self.database, member, given, "history")
            assert refused.value.code == refusal
            return
        saved = await guesses.save(self.database, member, given, "history")
        assert saved.goals == goals
        assert saved.saved_at is not None
        if (member, saved.saved_at) not in {(by, at) for by, at, _ in game.saves}:  # else the score was there already
            game.saves.append((member, saved.saved_at, game.by_side(goals)))

    async def overrule(self, game: Game, admin: MemberId, said: Said) -> None:
        """An admin's correction, after a dry run."""
        assert game.id is not None
        parts = [None if goals is None else game.by_side(goals) for goals in (said.regulation, said.extra_time)]
        wanted = NewResult(
            game.id, said.kind, parts[0], parts[1], None, "CORRECTION", "OVERRIDE", admin, "It was seen otherwise."
        )
        now = await database_now(self.database)
        await correct(self.database, wanted)
        game.overrule(said, now)

    # ------------------------------------------------------------ what workers do

    async def deliver(self, numbers: Sequence[int], *, crash: tuple[int, Crash] | None = None) -> None:
        """Deliver jobs at once, the latest having number 0; a job may come as often as one likes, and long after."""
        await self.collect()
        if not self.jobs:
            return
        work = {operation: partial(self._work, operation, crash) for operation in HANDLERS}
        executor = executor_of(self.database, work, self._reports, heartbeat=2)
        with capture_logs():  # crashes are expected, and to show them costs more than all else
            await asyncio.gather(*(executor.deliver(self.jobs[-1 - number % len(self.jobs)]) for number in numbers))

    async def collect(self) -> None:
        """Take the jobs that a relay would send, and have what waits for another try be due."""
        settling = outbox.c.message["jobType"].astext == Operation.SETTLE_MATCH
        async with self.database.begin() as connection:
            taken = outbox.delete().where(settling).returning(outbox.c.id, outbox.c.message)
            rows = sorted((await connection.execute(taken)).all())
            await connection.execute(_DUE.values(not_before=text("clock_timestamp()")))
        self.jobs += [row.message for row in rows]

    async def settle_all(self) -> None:
        """Deliver every job, oldest first; what has failed too often is left to the sweep, and nothing else is."""
        await self.collect()
        await self.deliver(range(len(self.jobs))[::-1])
        async with self.database.read() as connection:
            left = await pending_matches(connection, self.tournament_id)
            failed = select(executions.c.match_id).where(executions.c.state == ExecutionState.FAILED)
            assert set(left) <= set((await connection.execute(failed)).scalars())
        await run_now(self.database, Operation.SETTLE_PENDING, settle_pending, Target(self.tournament_id))

    async def _work(self, operation: Operation, crash: tuple[int, Crash] | None, run: "Run") -> None:
        if crash is None:
            await HANDLERS[operation](run, self._ports)
            return
        with crash_at(self.database, *crash):
            await HANDLERS[operation](run, self._ports)

    # ------------------------------------------------------------

    async def _play_under(self, weights: Weights) -> None:
        points = tuple(zip(GuessFact, weights, strict=True))
        new = NewRuleset("history", "All weights differ", ScoreBasis.AFTER_EXTRA_TIME, points)
        made = await scoring.create(self.database, new, actor_id=None, reason="For tests.", request_id="history")
        change = update(tournaments).where(tournaments.c.id == self.tournament_id)
        async with self.database.begin() as connection:
            await connection.execute(change.values(ruleset_id=made.id))

    async def _id_of(self, key: str) -> MatchId:
        statement = select(provider_refs.c.entity_id).where(
            provider_refs.c.provider == Provider.OPENFOOTBALL,
            provider_refs.c.kind == "MATCH",
            provider_refs.c.external_id == key,
        )
        async with self.database.read() as connection:
            return MatchId((await connection.execute(statement)).scalar_one())
