"""Puts the demo's people, leagues and guesses into the database, through the game's own services. Idempotent."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from domain.database import Database
from domain.guess import service as guess_service
from domain.guess.model import GuessInput
from domain.ids import LeagueId, MatchId, MemberId, TournamentId, new_id
from domain.ingestion import store as ingestion_store
from domain.league import service as league_service
from domain.league.invite import service as invite_service
from domain.league.model import LeagueRole
from domain.member import service as member_service
from domain.member import store as member_store
from domain.member.passwords import Passwords
from domain.tournament import service as tournament_service
from domain.tournament.model import Provider
from runtime.demo.guesses import guesses, strengths
from runtime.demo.people import ADMIN, LEAGUES, PASSWORD, Person, people
from runtime.replay import Replay

REQUEST = "demo"
AT_ONCE = 6
"""Members whose guesses are saved at the same time."""


@dataclass(frozen=True, slots=True)
class Cast:
    """The people with their accounts, and how to tell how far the work is."""

    members: Mapping[str, MemberId]
    """By nick name."""
    people: Sequence[Person]


async def gather_people(database: Database, number: int) -> Cast:
    """The demo's accounts: those that are there, and new ones with the demo's password."""
    cast = people(number)
    members: dict[str, MemberId] = {}
    password_hash = await Passwords().hash(PASSWORD)
    async with database.begin() as connection:
        for person in cast:
            known = await member_store.credentials_of(connection, person.email)
            if known is not None:
                members[person.nick_name] = known.account.id
                continue
            members[person.nick_name] = MemberId(new_id())
            await member_store.insert_member(
                connection,
                members[person.nick_name],
                email=person.email,
                password_hash=password_hash,
                nick_name=person.nick_name,
                time_zone="UTC",
            )
    admin = next(person for person in cast if person.nick_name == ADMIN)
    await member_service.promote(database, admin.email, request_id=REQUEST)
    return Cast(members, cast)


async def set_stage(database: Database, cast: Cast, replay: Replay, told: Callable[[], None]) -> None:
    """Everybody joins the tournament, the leagues play it, all guess. `told` is called once for each member."""
    matches = await _match_ids(database, replay)
    strength = strengths(replay.plan.snapshot.standings)
    room = asyncio.Semaphore(AT_ONCE)

    async def play(person: Person) -> None:
        async with room:
            member_id = cast.members[person.nick_name]
            await tournament_service.join(database, member_id, replay.tournament_id, REQUEST)
            given = guesses(person.nick_name, replay.plan.snapshot.matches, strength)
            inputs = [GuessInput(matches[key], *goals) for key, goals in given.items() if key in matches]
            for start in range(0, len(inputs), 100):
                await guess_service.save_many(database, member_id, inputs[start : start + 100], REQUEST)
            told()

    async with asyncio.TaskGroup() as group:
        for person in cast.people:
            group.create_task(play(person))


async def found_leagues(database: Database, cast: Cast, tournament_id: TournamentId, season: str) -> list[LeagueId]:
    """Five leagues for this replay, each founded by its first member, joined by the others with an invite."""
    found: list[LeagueId] = []
    for place, name in enumerate(LEAGUES):
        members = [cast.members[person.nick_name] for person in cast.people if person.league == place]
        founder, *others = members
        league = await league_service.create(
            database, founder, name, f"A league of the demo, playing {season}.", [tournament_id], REQUEST
        )
        invite = await invite_service.create(database, founder, league.id, LeagueRole.MEMBER, None, None, REQUEST)
        for member_id in others:
            await league_service.join(database, member_id, invite.code, REQUEST)
        found.append(league.id)
    return found


async def _match_ids(database: Database, replay: Replay) -> dict[str, MatchId]:
    keys = [match.key for match in replay.plan.snapshot.matches]
    async with database.read() as connection:
        known = await ingestion_store.read_references(connection, Provider.OPENFOOTBALL, "MATCH", keys)
    return {key: MatchId(found) for key, found in known.items()}
