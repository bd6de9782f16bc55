"""Football, members and leagues put straight into the database, for tests of whatever is built on them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import func, insert, select, update

from domain.guess.tables import guess_revisions, guesses, tournament_members
from domain.ids import (
    LeagueId,
    MatchId,
    MemberId,
    RoundId,
    RulesetId,
    TeamId,
    TournamentId,
    new_id,
)
from domain.league.model import LeagueRole, LeagueTournamentStatus
from domain.league.tables import league_members, league_tournaments, leagues
from domain.match.model import KickOffPrecision, MatchStatus
from domain.match.tables import matches as matches_table
from domain.member.model import PlatformRole
from domain.member.tables import members
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import rulesets
from domain.settlement.tables import member_scores
from domain.tournament.model import (
    Provider,
    RoundKind,
    StandingsMode,
    TournamentMode,
    TournamentStatus,
)
from domain.tournament.tables import rounds as rounds_table
from domain.tournament.tables import teams, tournaments

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.database import Database


@dataclass(frozen=True, slots=True)
class MadeTournament:
    """Ids of what `make_tournament` has put in, in order. Match n is of round n mod the number of rounds."""

    id: TournamentId
    ruleset_id: RulesetId
    rounds: tuple[RoundId, ...]
    teams: tuple[TeamId, ...]
    matches: tuple[MatchId, ...]
    """By kick-off; match n is played by teams 2n and 2n + 1."""


@asynccontextmanager
async def at_once(database: "Database") -> "AsyncIterator[Database]":
    """What is made in the block is one transaction: one for each guess takes longer than the guess."""
    async with database.begin() as connection:

        @asynccontextmanager
        async def begin() -> "AsyncIterator[AsyncConnection]":
            yield connection

        yield cast("Database", SimpleNamespace(begin=begin))


async def make_tournament(
    database: "Database",
    *,
    matches: int = 10,
    rounds: int = 1,
    kick_off: datetime | None = None,
    spacing: timedelta = timedelta(0),
    mode: TournamentMode = TournamentMode.REGULAR_SEASON,
    status: TournamentStatus = TournamentStatus.ACTIVE,
    label: str = "Test League",
    ruleset: str = "default",
) -> MadeTournament:
    """A tournament with rounds `1`, `2`, ..., and open matches `spacing` apart from `kick_off` on (or tomorrow)."""
    first = kick_off or datetime.now(UTC) + timedelta(days=1)
    async with database.begin() as connection:
        tournament_id = TournamentId(new_id())
        ruleset_id = await _ruleset(connection, ruleset)
        values = _tournament(tournament_id, mode, status, label)
        await connection.execute(insert(tournaments).values(**values, ruleset_id=ruleset_id))
        round_ids = await _insert_rounds(connection, tournament_id, rounds)
        team_ids = await _insert_teams(connection, 2 * matches)
        match_ids = tuple(MatchId(new_id()) for _ in range(matches))
        rows = [
            _match(
                match_id,
                tournament_id,
                round_ids[n % rounds],
                team_ids[2 * n : 2 * n + 2],
                first + n * spacing,
            )
            for n, match_id in enumerate(match_ids)
        ]
        if rows:
            await connection.execute(insert(matches_table), rows)
        current = update(tournaments).where(tournaments.c.id == tournament_id).values(current_round_id=round_ids[0])
        await connection.execute(current)
    return MadeTournament(tournament_id, ruleset_id, round_ids, team_ids, match_ids)


async def make_member(
    database: "Database",
    nick_name: str,
    *,
    email: str | None = None,
    role: PlatformRole = PlatformRole.MEMBER,
    joins: Iterable[MadeTournament] = (),
) -> MemberId:
    """An account without a password that has joined the given tournaments, with zero rows on their boards."""
    member_id = MemberId(new_id())
    values = {
        "id": member_id,
        "nick_name": nick_name,
        "email": email,
        "platform_role": role,
    }
    async with database.begin() as connection:
        await connection.execute(insert(members).values(values))
    for tournament in joins:
        await join(database, tournament.id, [member_id])
    return member_id


async def make_members(database: "Database", count: int, *, joins: Iterable[MadeTournament] = ()) -> list[MemberId]:
    """Members `Member 0`, `Member 1`, ..., who have joined the given tournaments."""
    ids = [MemberId(new_id()) for _ in range(count)]
    async with database.begin() as connection:
        await connection.execute(
            insert(members),
            [{"id": member_id, "nick_name": f"Member {n}"} for n, member_id in enumerate(ids)],
        )
    for tournament in joins:
        await join(database, tournament.id, ids)
    return ids


async def join(database: "Database", tournament_id: TournamentId, member_ids: Iterable[MemberId]) -> None:
    """Enter members into a tournament, once each, with zero rows on its boards."""
    async with database.begin() as connection:
        row = await connection.execute(select(tournaments.c.mode).where(tournaments.c.id == tournament_id))
        bases = [ScoreBasis.AFTER_EXTRA_TIME]
        if row.scalar_one() != TournamentMode.REGULAR_SEASON:
            bases.append(ScoreBasis.REGULATION)
        entries = [{"tournament_id": tournament_id, "member_id": member_id} for member_id in member_ids]
        await connection.execute(insert(tournament_members), entries)
        scores = [{**entry, "basis": basis} for entry in entries for basis in bases]
        await connection.execute(insert(member_scores), scores)


async def make_league(
    database: "Database",
    name: str,
    founder_id: MemberId,
    *,
    members: Iterable[MemberId] = (),
    viewers: Iterable[MemberId] = (),
    plays: Iterable[MadeTournament] = (),
) -> LeagueId:
    """A league of members who have joined what it plays already; each tournament is ACTIVE under its own ruleset."""
    league_id = LeagueId(new_id())
    roles = [(founder_id, LeagueRole.ADMIN)]
    roles += [(member_id, LeagueRole.MEMBER) for member_id in members]
    roles += [(member_id, LeagueRole.VIEWER) for member_id in viewers]
    async with database.begin() as connection:
        await connection.execute(insert(leagues).values(id=league_id, name=name, founder_id=founder_id))
        await connection.execute(
            insert(league_members),
            [
                {
                    "id": new_id(),
                    "league_id": league_id,
                    "member_id": member,
                    "role": role,
                }
                for member, role in roles
            ],
        )
        for tournament in plays:
            await connection.execute(
                insert(league_tournaments).values(
                    league_id=league_id,
                    tournament_id=tournament.id,
                    ruleset_id=tournament.ruleset_id,
                    status=LeagueTournamentStatus.ACTIVE,
                )
            )
    return league_id


async def put_guess(
    database: "Database",
    tournament: MadeTournament,
    match_id: MatchId,
    member_id: MemberId,
    home: int,
    away: int,
) -> None:
    """A first guess of a member who joined, saved long before the lock (ten years ago)."""
    await put_guesses(database, tournament, [(match_id, member_id, home, away)])


async def put_guesses(
    database: "Database", tournament: MadeTournament, given: Iterable[tuple[MatchId, MemberId, int, int]]
) -> None:
    """Such guesses of many at once: one after the other takes most of the time of a test that needs a hundred."""
    rows = [
        {
            "tournament_id": tournament.id,
            "match_id": match_id,
            "member_id": member_id,
            "revision": 1,
            "home": home,
            "away": away,
            "saved_at": datetime.now(UTC) - timedelta(days=3650),
        }
        for match_id, member_id, home, away in given
    ]
    async with database.begin() as connection:
        await connection.execute(insert(guesses), rows)
        await connection.execute(insert(guess_revisions), [{**row, "request_id": "test"} for row in rows])


async def set_match(database: "Database", match_id: MatchId, **values: Any) -> None:
    """Change columns of a match, and raise its version."""
    change = update(matches_table).where(matches_table.c.id == match_id)
    async with database.begin() as connection:
        await connection.execute(change.values(version=matches_table.c.version + 1, **values))


async def pass_lock(database: "Database", *match_ids: MatchId, ago: timedelta = timedelta()) -> None:
    """Have open matches begin now or some time ago, by the database clock: their locks have passed then."""
    async with database.begin() as connection:
        began = (await connection.execute(select(func.clock_timestamp()))).scalar_one() - ago
        change = update(matches_table).where(matches_table.c.id.in_(match_ids))
        await connection.execute(change.values(kick_off=began, lock_at=began, version=matches_table.c.version + 1))


async def _ruleset(connection: "AsyncConnection", code: str) -> RulesetId:
    row = await connection.execute(select(rulesets.c.id).where(rulesets.c.code == code, rulesets.c.version == 1))
    return cast("RulesetId", row.scalar_one())


async def _insert_rounds(connection: "AsyncConnection", tournament_id: TournamentId, count: int) -> tuple[RoundId, ...]:
    ids = tuple(RoundId(new_id()) for _ in range(count))
    rows = [
        {
            "id": round_id,
            "tournament_id": tournament_id,
            "position": n,
            "label": f"Round {n}",
            "slug": str(n),
            "kind": RoundKind.SEASON,
        }
        for n, round_id in enumerate(ids, start=1)
    ]
    await connection.execute(insert(rounds_table), rows)
    return ids


async def _insert_teams(connection: "AsyncConnection", count: int) -> tuple[TeamId, ...]:
    ids = tuple(TeamId(new_id()) for _ in range(count))
    if ids:
        await connection.execute(
            insert(teams),
            [{"id": team, "name": f"Team {n}"} for n, team in enumerate(ids)],
        )
    return ids


def _tournament(
    tournament_id: TournamentId,
    mode: TournamentMode,
    status: TournamentStatus,
    label: str,
) -> dict[str, Any]:
    return {
        "id": tournament_id,
        "provider": Provider.OPENFOOTBALL,
        "competition": f"test.{tournament_id.hex}",
        "provider_season": "2026-27",
        "label": label,
        "season": "2026/27",
        "mode": mode,
        "standings_mode": StandingsMode.SINGLE_TABLE,
        "status": status,
    }


def _match(
    match_id: MatchId,
    tournament_id: TournamentId,
    round_id: RoundId,
    sides: tuple[TeamId, ...],
    kick_off: datetime,
) -> dict[str, Any]:
    return {
        "id": match_id,
        "tournament_id": tournament_id,
        "round_id": round_id,
        "home_team_id": sides[0],
        "away_team_id": sides[1],
        "home_label": "Home",
        "away_label": "Away",
        "kick_off": kick_off,
        "kick_off_precision": KickOffPrecision.EXACT,
        "lock_at": kick_off,
        "status": MatchStatus.NOT_STARTED,
    }
