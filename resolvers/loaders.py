"""Reads many objects of a kind in one statement, however many fields ask for them one by one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from strawberry.dataloader import DataLoader

from domain.database import Database
from domain.execution import service as executions
from domain.execution.dead_letter import service as dead_letters
from domain.execution.dead_letter.model import DeadLetter
from domain.execution.model import Execution, ExecutionStep
from domain.guess import service as guesses
from domain.guess.model import Guess, ScorelineCount
from domain.ids import (
    DeadLetterId,
    ExecutionId,
    LeagueId,
    MatchId,
    MemberId,
    RoundId,
    RulesetId,
    ScheduleId,
    TeamId,
    TournamentId,
)
from domain.ingestion.health import service as health
from domain.ingestion.health.model import TournamentHealth
from domain.league import service as leagues
from domain.league.model import League, LeagueTournament
from domain.match import service as matches
from domain.match.form import service as form
from domain.match.form.rules import Results
from domain.match.model import Match
from domain.member import service as members
from domain.member.model import Member, PlatformRole
from domain.schedule import service as schedules
from domain.schedule.model import Schedule, ScheduleRun
from domain.scoring import service as rulesets
from domain.scoring.explanation import service as explanation
from domain.scoring.explanation.service import Key
from domain.scoring.model import Ruleset
from domain.scoring.rules import Judgement
from domain.settlement import service as settlements
from domain.settlement.model import Settlement
from domain.tournament import service as tournaments
from domain.tournament.model import Round, StandingsGroup, Team, Tournament
from resolvers.desks import Desks

K = TypeVar("K")
V = TypeVar("V")


class _Loader(DataLoader[K, V]):
    """Each who asks waits for itself: a field that is given up, since its neighbour failed, ends nobody else's."""

    def load(self, key: K) -> Awaitable[V]:
        return asyncio.shield(super().load(key))

    def load_many(self, keys: Iterable[K]) -> Awaitable[list[V]]:
        return asyncio.shield(asyncio.gather(*map(super().load, keys)))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where loaders read, and for whom."""

    database: Database
    desks: Desks
    viewer_id: MemberId | None


class _Kind(Generic[K, V]):
    """A loader of one kind, made when an operation first asks for it: most ask for few of them."""

    def __init__(self, read: Callable[[_Source, list[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, loaders: "Loaders", owner: type) -> DataLoader[K, V | None]:
        source = loaders.source  # not they, who would know the loader that knows them

        async def load(keys: list[K]) -> list[V | None]:
            found = await self._read(source, keys)
            return [found.get(key) for key in keys]

        loader: DataLoader[K, V | None] = _Loader(load_fn=load)
        loaders.__dict__[self._name] = loader  # found there from now on
        return loader


def _of_all(service: Callable[[Database, list[K]], Awaitable[Mapping[K, V]]]) -> _Kind[K, V]:
    """Together with other operations."""
    return _Kind(lambda source, keys: source.desks.read(service, keys))


def _of_viewer(service: Callable[[Database, MemberId, list[K]], Awaitable[Mapping[K, V]]]) -> _Kind[K, V]:
    """Without a viewer there is nothing."""

    async def read(source: _Source, keys: list[K]) -> Mapping[K, V]:
        return {} if source.viewer_id is None else await service(source.database, source.viewer_id, keys)

    return _Kind(read)


async def _joined(database: Database, viewer_id: MemberId, ids: list[TournamentId]) -> Mapping[TournamentId, bool]:
    found = await tournaments.joined(database, viewer_id, ids)
    return {tournament_id: tournament_id in found for tournament_id in ids}


async def _judgements(source: _Source, keys: list[Key]) -> Mapping[Key, Judgement]:
    return await explanation.judgements(source.database, source.viewer_id, keys)


async def _scoreline_counts(
    database: Database, _: MemberId, ids: list[MatchId]
) -> Mapping[MatchId, list[ScorelineCount]]:
    return await guesses.scoreline_counts(database, ids)


async def _platform_roles(database: Database, ids: list[MemberId]) -> Mapping[MemberId, PlatformRole]:
    roles = {member_id: await members.platform_role(database, member_id) for member_id in ids}
    return {member_id: role for member_id, role in roles.items() if role is not None}


class Loaders:
    """One loader a kind. They remember, so they live no longer than an operation or one event of a stream."""

    def __init__(self, database: Database, desks: Desks, viewer_id: MemberId | None) -> None:
        self.source = _Source(database, desks, viewer_id)

    member: _Kind[MemberId, Member] = _of_all(members.read_members)
    tournament: _Kind[TournamentId, Tournament] = _of_all(tournaments.read_tournaments)
    rounds: _Kind[TournamentId, list[Round]] = _of_all(tournaments.rounds_of)
    standings: _Kind[TournamentId, list[StandingsGroup]] = _of_all(tournaments.standings_of)
    joined: _Kind[TournamentId, bool] = _of_viewer(_joined)
    round: _Kind[RoundId, Round] = _of_all(tournaments.read_rounds)
    team: _Kind[TeamId, Team] = _of_all(tournaments.read_teams)
    ruleset: _Kind[RulesetId, Ruleset] = _of_all(rulesets.read_rulesets)
    judgement: _Kind[Key, Judgement] = _Kind(_judgements)
    results: _Kind[TournamentId, Results] = _of_all(form.read)
    scoreline_counts: _Kind[MatchId, list[ScorelineCount]] = _of_viewer(_scoreline_counts)
    match: _Kind[MatchId, Match] = _of_all(matches.read_matches)
    settlement: _Kind[MatchId, Settlement] = _of_all(settlements.read_settlements)
    own_guess: _Kind[MatchId, Guess] = _of_viewer(guesses.read_own)
    league: _Kind[LeagueId, League] = _of_viewer(leagues.read)
    league_tournaments: _Kind[LeagueId, list[LeagueTournament]] = _of_all(leagues.tournaments_of)
    execution: _Kind[ExecutionId, Execution] = _of_all(executions.read_executions)
    dead_letter: _Kind[DeadLetterId, DeadLetter] = _of_all(dead_letters.read)
    steps: _Kind[ExecutionId, list[ExecutionStep]] = _of_all(executions.read_steps)
    schedule: _Kind[ScheduleId, Schedule] = _of_all(schedules.read_schedules)
    platform_role: _Kind[MemberId, PlatformRole] = _of_all(_platform_roles)
    health: _Kind[TournamentId, TournamentHealth] = _of_all(health.read)
    last_run: _Kind[ScheduleId, ScheduleRun] = _of_all(schedules.last_runs)
