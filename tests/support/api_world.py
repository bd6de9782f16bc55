"""A small world behind the API: a tournament with a settled, a locked and open matches, a league, and who may what."""

from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe

from sqlalchemy import func, insert, text

from domain.database import Database
from domain.ids import LeagueId, MatchId, MemberId, SessionId, new_id
from domain.league.tables import league_invites
from domain.match.model import MatchStatus
from domain.member.model import PlatformRole
from domain.member.tables import sessions
from runtime.database import PostgresDatabase
from tests.support.api import Api
from tests.support.football import (
    MadeTournament,
    at_once,
    make_league,
    make_member,
    make_members,
    make_tournament,
    pass_lock,
    put_guesses,
    set_match,
)
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.settlement import play

CODE = "ABCDEFGHJKMN"


@dataclass(frozen=True, slots=True)
class World:
    """Ana runs the league, Bob plays in it, Vic watches it; Eve is in nothing; Root runs the platform."""

    api: Api
    tournament: MadeTournament
    league: LeagueId
    ana: MemberId
    bob: MemberId
    vic: MemberId
    eve: MemberId
    root: MemberId

    @property
    def settled(self) -> MatchId:
        """Ended 2-1. Ana guessed 2-1, Bob 1-0."""
        return self.tournament.matches[0]

    @property
    def locked(self) -> MatchId:
        """In play. Ana guessed 0-0, Bob 3-2."""
        return self.tournament.matches[1]

    @property
    def open(self) -> MatchId:
        """Tomorrow. Bob guessed 5-5."""
        return self.tournament.matches[2]

    @property
    def tournament_id(self) -> str:
        return id_of("Tournament", self.tournament.id)

    @property
    def league_id(self) -> str:
        return id_of("League", self.league)

    def round_id(self, number: int) -> str:
        return id_of("Round", self.tournament.rounds[number])

    async def client(self, member_id: MemberId | None) -> GraphQLClient:
        """A client of a member by token, or of nobody."""
        return self.api.client(await begin_session(self.api, member_id) if member_id else None)


async def make_world(api: Api, *, matches: int = 6, crowd: int = 0) -> World:
    """Build it; `crowd` more members play everything, so that counts of statements can be compared."""
    async with at_once(api.database) as database:
        tournament = await make_tournament(database, matches=matches, rounds=2)
        ana = await make_member(database, "Ana", email="ana@example.org", joins=[tournament])
        bob = await make_member(database, "Bob", email="bob@example.org", joins=[tournament])
        vic = await make_member(database, "Vic", joins=[tournament])
        eve = await make_member(database, "Eve", email="eve@example.org")
        root = await make_member(database, "Root", role=PlatformRole.ADMIN)
        others = await make_members(database, crowd, joins=[tournament]) if crowd else []
        league = await make_league(database, "Office", ana, members=[bob, *others], viewers=[vic], plays=[tournament])
        await _invite(database, league, ana)
        world = World(api, tournament, league, ana, bob, vic, eve, root)
        await _guess(database, world, others)
        await pass_lock(database, world.settled, world.locked)
        await set_match(database, world.settled, home_goals=2, away_goals=1, home_regulation=2, away_regulation=1)
        await set_match(database, world.locked, status=MatchStatus.IN_PLAY, home_goals=1, away_goals=0)
    await play(api.database, world.settled, 2, 1)
    return world


async def _invite(database: Database, league: LeagueId, founder: MemberId) -> None:
    async with database.begin() as connection:
        await connection.execute(
            insert(league_invites).values(id=new_id(), league_id=league, code=CODE, role="MEMBER", created_by=founder)
        )


async def _guess(database: Database, world: World, others: list[MemberId]) -> None:
    given = [
        (world.settled, world.ana, 2, 1),
        (world.settled, world.bob, 1, 0),
        (world.locked, world.ana, 0, 0),
        (world.locked, world.bob, 3, 2),
        (world.open, world.bob, 5, 5),
        *((match_id, member_id, 0, 1) for member_id in others for match_id in (world.settled, world.locked)),
    ]
    await put_guesses(database, world.tournament, given)


async def begin_session(api: Api, member_id: MemberId, *, days: float = 1) -> str:
    """A session of a member; the answer is its token."""
    return await make_session(api.database, member_id, days=days)


async def make_session(database: PostgresDatabase, member_id: MemberId, *, days: float = 1) -> str:
    """The same for whom no API runs in this process."""
    token = token_urlsafe(32)
    values = {
        "id": SessionId(new_id()),
        "member_id": member_id,
        "token_hash": sha256(token.encode()).digest(),
        "expires_at": func.clock_timestamp() + text("make_interval(days => :days)").bindparams(days=int(days)),
    }
    async with database.begin() as connection:
        await connection.execute(insert(sessions).values(values))
    return token


async def end_sessions(api: Api, member_id: MemberId) -> None:
    """All sessions of a member are revoked."""
    async with api.database.begin() as connection:
        await connection.execute(
            sessions.update().where(sessions.c.member_id == member_id).values(revoked_at=func.clock_timestamp())
        )
