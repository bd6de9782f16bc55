"""Live boards while servers are killed and connections cut: every screen is right in the end, and knew when it was not.

Twenty clients mirror a tournament's board and a league's through two API processes. Goals fall all the time. After
each storm, in the calm, every mirror equals what the query answers.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from asyncpg import PostgresError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from runtime.database import PostgresDatabase
from tests.support.board_clients import BoardClient, plain_rows
from tests.support.campaign import is_campaign, seeded, times
from tests.support.executions import until
from tests.support.football import MadeTournament, make_league, make_members, make_tournament, pass_lock, put_guess
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.servers import TestPostgres, running_postgres
from tests.support.settlement import accept, assert_balanced, in_play
from tests.support.stage import HOST, START_SECONDS, Stage, running_stage, sign_up

if TYPE_CHECKING:
    from domain.ids import MatchId

pytestmark = pytest.mark.timeout(2 * 3600)

CLIENTS, PRIVATE = 20, 8
"""In all, and of these on the league's board."""
CALM_SECONDS = times(60, 300)
"""Within so long after the last fault every client must be current; a campaign shares its machine with others."""


@pytest.fixture
def own_postgres() -> Iterator[TestPostgres]:
    """A server that only this test uses."""
    with running_postgres(durable=True) as server:
        yield server


class Football:
    """Matches that are played for as long as the test likes; what is written while the database is away is lost."""

    def __init__(self, database: PostgresDatabase, made: MadeTournament, rng: random.Random) -> None:
        self._database = database
        self._made = made
        self._rng = rng
        self._running: dict[MatchId, list[int]] = {}
        self._left = list(made.matches)

    async def play(self) -> None:
        """Goals and final whistles, one after the other, until cancelled."""
        while True:
            # A connection that is refused while the server starts is asyncpg's own error.
            with suppress(SQLAlchemyError, PostgresError, OSError, TimeoutError):
                await self._event()
            await asyncio.sleep(self._rng.uniform(0.05, 0.3))

    async def _event(self) -> None:
        if self._left and len(self._running) < 3:
            match_id = self._left.pop()
            self._running[match_id] = [0, 0]
        elif self._running and self._left and self._rng.random() < 0.1:
            match_id, goals = self._running.popitem()
            await accept(self._database, match_id, *goals)
            return
        else:
            match_id = self._rng.choice(list(self._running))
            self._running[match_id][self._rng.randrange(2)] += 1
            # A score that goes on for hours is turned back now and then, as by a referee.
            self._running[match_id] = [goals % 6 for goals in self._running[match_id]]
        await in_play(self._database, self._made.id, match_id, *self._running[match_id])


@dataclass(frozen=True)
class Screen:
    """A board, the query that answers the same, and the clients that show it."""

    operation: str
    id: str
    path: str
    token: str | None
    clients: list[BoardClient]

    async def answer(self, port: int) -> list[dict[str, Any]] | str:
        """The rows as one API process answers, or what it says or fails by instead."""
        body: object = None
        try:
            async with GraphQLClient(f"http://{HOST}:{port}", token=self.token) as client:
                body = (await client.operation(self.operation, id=self.id, first=50)).body
            rows = body["data"][self.path]["leaderboard"]["rows"]
            return plain_rows(edge["node"] for edge in rows["edges"])
        except (httpx2.HTTPError, ValueError, KeyError, TypeError) as problem:
            return f"{problem!r} of {body}"


async def test_every_board_is_right_after_each_storm(own_postgres: TestPostgres) -> None:
    rng = seeded("chaos")
    seconds = 3600 if is_campaign() else 40
    async with running_stage(own_postgres) as stage:
        database = PostgresDatabase.create(stage.url, application_name="palpite-test")
        try:
            made, screens = await _game(stage, database, rng)
            football = Football(database, made, rng)
            try:
                await _same_everywhere(stage, screens)
                ends = monotonic() + seconds
                while monotonic() < ends:
                    await _storm(stage, football, rng)
                    await _same_everywhere(stage, screens)
            finally:
                await asyncio.gather(*(client.close() for screen in screens for client in screen.clients))
            await until(lambda: _is_settled(database, made), within=CALM_SECONDS)
            seen = sum((client.seen for screen in screens for client in screen.clients), Counter[str]())
            sys.stderr.write(f"chaos: {dict(seen)}\n")
            assert seen["LeaderboardDelta"] > 0
            assert seen["lost"] > 0
        finally:
            await database.close()


async def _game(
    stage: Stage, database: PostgresDatabase, rng: random.Random
) -> tuple[MadeTournament, tuple[Screen, Screen]]:
    """A tournament that everybody has guessed, a league in it, and the screens of both."""
    made = await make_tournament(database, matches=16, rounds=2, ruleset="kicktipp")
    members = await make_members(database, 30, joins=[made])
    token, viewer_id = await sign_up(stage.apis[0], database)
    league_id = await make_league(database, "Friends", viewer_id, members=members[:12], plays=[made])
    for match_id in made.matches:
        for member_id in members:
            await put_guess(database, made, match_id, member_id, rng.randrange(4), rng.randrange(4))
    await pass_lock(database, *made.matches)

    def address() -> str:
        return f"ws://{HOST}:{rng.choice(stage.apis).outside}/graphql"

    cup, friends = id_of("Tournament", made.id), id_of("League", league_id)
    public = [BoardClient({"tournamentId": cup}, address) for _ in range(CLIENTS - PRIVATE)]
    private = [BoardClient({"leagueId": friends}, address, token) for _ in range(PRIVATE)]
    return made, (
        Screen("liveScoreboard", cup, "tournament", None, public),
        Screen("leagueLeaderboard", friends, "league", token, private),
    )


async def _storm(stage: Stage, football: Football, rng: random.Random) -> None:
    """Some faults, each a moment after the one before, while matches are played."""
    playing = asyncio.create_task(football.play())
    faults: list[Any] = [
        stage.kill_valkey,
        stage.restart_postgres,
        lambda: stage.kill_api(rng.choice(stage.apis)),
        lambda: _cut(stage, rng),
        lambda: _cut(stage, rng),
    ]
    for fault in rng.sample(faults, 3):
        await asyncio.sleep(rng.uniform(0.2, 1.5))
        await fault()
    await asyncio.sleep(2)  # the game goes on, whoever is back by then
    playing.cancel()
    with suppress(asyncio.CancelledError):
        await playing


async def _cut(stage: Stage, rng: random.Random) -> None:
    rng.choice(stage.apis).proxy.cut_now()


async def _same_everywhere(stage: Stage, screens: Sequence[Screen]) -> None:
    """Wait until each mirror equals the query's answer of each process. It is calm when all processes are back."""
    for api in stage.apis:
        await until(api.is_listening, within=START_SECONDS)
    ends = monotonic() + CALM_SECONDS
    for screen in screens:
        while wrong := await _wrong(stage, screen):
            assert monotonic() < ends, f"after {CALM_SECONDS} s of calm, of {screen.path}: {wrong}"
            await asyncio.sleep(0.2)


async def _wrong(stage: Stage, screen: Screen) -> str | None:
    """What differs now."""
    for client in screen.clients:
        client.check()
    first, *others = [await screen.answer(api.port) for api in stage.apis]
    if isinstance(first, str):
        return f"a process does not answer: {first}"
    if different := [answer for answer in others if answer != first]:
        return f"the processes do not answer the same: {different[0]} and {first}"
    late = [_difference(client, first) for client in screen.clients if client.board() != first]
    return f"{len(late)} clients show another board, as this: {late[0]}" if late else None


def _difference(client: BoardClient, rows: list[dict[str, Any]]) -> str:
    """Where a client stands, and the first row that it shows otherwise."""
    pairs = zip_longest(client.board(), rows)
    shown, wanted = next(pair for pair in pairs if pair[0] != pair[1])
    return f"at {client.position} after {dict(client.seen)}: {shown} for {wanted}"


async def _is_settled(database: PostgresDatabase, made: MadeTournament) -> bool:
    await assert_balanced(database, made.id)
    async with database.read() as connection:
        statement = text("SELECT count(*) FROM executions WHERE state IN ('QUEUED', 'IN_PROGRESS')")
        waiting: int = (await connection.execute(statement)).scalar_one()
    return waiting == 0
