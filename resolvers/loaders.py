"""Reads many objects of a kind in one statement, however many fields ask for them one by one."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

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

K = TypeVar("K")
V = TypeVar("V")


class Loaders:
    """One loader a kind. They remember, so they live no longer than an operation or one event of a stream."""

    def __init__(self, database: Database, viewer_id: MemberId | None) -> None:
        async def joined(ids: list[TournamentId]) -> Mapping[TournamentId, bool]:
            found = await tournaments.joined(database, viewer_id, ids) if viewer_id is not None else set()
            return {tournament_id: tournament_id in found for tournament_id in ids}

        async def own_guesses(ids: list[MatchId]) -> Mapping[MatchId, Guess]:
            return await guesses.read_own(database, viewer_id, ids) if viewer_id is not None else {}

        async def judgements(keys: list[Key]) -> Mapping[Key, Judgement]:
            return await explanation.judgements(database, viewer_id, keys)

        async def scoreline_counts(ids: list[MatchId]) -> Mapping[MatchId, list[ScorelineCount]]:
            return await guesses.scoreline_counts(database, ids) if viewer_id is not None else {}

        async def own_leagues(ids: list[LeagueId]) -> Mapping[LeagueId, League]:
            return await leagues.read(database, viewer_id, ids) if viewer_id is not None else {}

        async def platform_roles(ids: list[MemberId]) -> Mapping[MemberId, PlatformRole]:
            roles = {member_id: await members.platform_role(database, member_id) for member_id in ids}
            return {member_id: role for member_id, role in roles.items() if role is not None}

        def read(service: Callable[[Database, list[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
            return _loader(lambda ids: service(database, ids))

        self.member: DataLoader[MemberId, Member | None] = read(members.read_members)
        self.tournament: DataLoader[TournamentId, Tournament | None] = read(tournaments.read_tournaments)
        self.rounds: DataLoader[TournamentId, list[Round] | None] = read(tournaments.rounds_of)
        self.standings: DataLoader[TournamentId, list[StandingsGroup] | None] = read(tournaments.standings_of)
        self.joined: DataLoader[TournamentId, bool | None] = _loader(joined)
        self.round: DataLoader[RoundId, Round | None] = read(tournaments.read_rounds)
        self.team: DataLoader[TeamId, Team | None] = read(tournaments.read_teams)
        self.ruleset: DataLoader[RulesetId, Ruleset | None] = read(rulesets.read_rulesets)
        self.judgement: DataLoader[Key, Judgement | None] = _loader(judgements)
        self.results: DataLoader[TournamentId, Results | None] = read(form.read)
        self.scoreline_counts: DataLoader[MatchId, list[ScorelineCount] | None] = _loader(scoreline_counts)
        self.match: DataLoader[MatchId, Match | None] = read(matches.read_matches)
        self.settlement: DataLoader[MatchId, Settlement | None] = read(settlements.read_settlements)
        self.own_guess: DataLoader[MatchId, Guess | None] = _loader(own_guesses)
        self.league: DataLoader[LeagueId, League | None] = _loader(own_leagues)
        self.league_tournaments: DataLoader[LeagueId, list[LeagueTournament] | None] = read(leagues.tournaments_of)
        self.execution: DataLoader[ExecutionId, Execution | None] = read(executions.read_executions)
        self.dead_letter: DataLoader[DeadLetterId, DeadLetter | None] = read(dead_letters.read)
        self.steps: DataLoader[ExecutionId, list[ExecutionStep] | None] = read(executions.read_steps)
        self.schedule: DataLoader[ScheduleId, Schedule | None] = read(schedules.read_schedules)
        self.platform_role: DataLoader[MemberId, PlatformRole | None] = _loader(platform_roles)
        self.health: DataLoader[TournamentId, TournamentHealth | None] = read(health.read)
        self.last_run: DataLoader[ScheduleId, ScheduleRun | None] = read(schedules.last_runs)


def _loader(read: Callable[[list[K]], Awaitable[Mapping[K, V]]]) -> DataLoader[K, V | None]:
    async def load(keys: list[K]) -> list[V | None]:
        found = await read(keys)
        return [found.get(key) for key in keys]

    return DataLoader(load_fn=load)
