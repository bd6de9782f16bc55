"""Clients that connect, subscribe and vanish: tasks, topics, descriptors and memory return to where they were."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from runtime.database import PostgresDatabase
from tests.support.api import Stream, open_socket
from tests.support.board_clients import SILENCE_SECONDS
from tests.support.board_crowd import api_process
from tests.support.campaign import times
from tests.support.executions import until
from tests.support.football import MadeTournament, make_league, make_members, make_tournament, pass_lock, put_guess
from tests.support.graphql_client import id_of, read_operation
from tests.support.holdings import assert_given_back, holdings, is_quiet, mebibytes
from tests.support.settlement import in_play
from tests.support.sse import event_stream
from tests.support.stage import HOST, Api, sign_up, started

pytestmark = pytest.mark.timeout(2 * 3600)

AT_ONCE = 20
"""Clients that come together, once a second."""
GROWTH = 8
"""MiB: a small part of what the clients of the short form would leave, were nothing given back (32 KiB each)."""

MOST_TRIES = 10
"""Of one client that is told UNAVAILABLE each time; it tries again as docs/live.md has it."""
PAUSE = 1.0

BOARDS, MATCHES = read_operation("leaderboardUpdates"), read_operation("matchUpdates")


@dataclass
class Game:
    """What there is to watch."""

    database: PostgresDatabase
    made: MadeTournament
    leagues: Sequence[tuple[str, str]]
    """Their ids, and the token of the one who may see each."""
    tried_again: int = 0
    """How often clients were told UNAVAILABLE."""

    def watched(self, number: int) -> tuple[str, dict[str, Any], str | None]:
        """A document, its variables and who asks: boards and matches, windows of all sizes."""
        cup = id_of("Tournament", self.made.id)
        match number % 3:
            case 0:
                return BOARDS, {"board": {"tournamentId": cup}, "first": 1 + number % 20}, None
            case 1:
                league, token = self.leagues[number % len(self.leagues)]
                return BOARDS, {"board": {"leagueId": league}}, token
            case _:
                return MATCHES, {"scope": {"liveOfTournamentId": cup}}, None

    async def wait_after(self, errors: list[dict[str, Any]]) -> None:
        """Wait before trying again; fail if that were no use."""
        assert {error["extensions"]["code"] for error in errors} == {"UNAVAILABLE"}, errors
        self.tried_again += 1
        await asyncio.sleep(PAUSE)

    async def score(self, number: int) -> None:
        await in_play(self.database, self.made.id, self.made.matches[0], number % 4, number // 4 % 4)


async def test_what_was_held_for_clients_that_vanish_is_given_back(
    database: PostgresDatabase, database_url: str, valkey_url: str, tmp_path: Path
) -> None:
    async with api_process(database_url, valkey_url, tmp_path, start=started) as api:
        game = await _game(database, api)
        await _churn(api, game, times(5, 60))
        before, memory = await _quiet(api), mebibytes(api)
        clients = await _churn(api, game, times(15, 3600))
        after, grown = await _quiet(api), mebibytes(api) - memory
        told = f"{clients} clients, {game.tried_again} times UNAVAILABLE, before {before}, after {after}"
        sys.stderr.write(f"churn: {told}, {memory} and {grown:.1f} MiB\n")
        assert_given_back(before, after)
        assert grown < GROWTH


async def _game(database: PostgresDatabase, api: Api) -> Game:
    """A tournament in play, and ten leagues of one member each: a member may have ten connections."""
    made = await make_tournament(database, matches=2)
    for number, member_id in enumerate(await make_members(database, 30, joins=[made])):
        await put_guess(database, made, made.matches[0], member_id, number % 4, number % 3)
    await pass_lock(database, *made.matches)
    leagues = []
    for number in range(10):
        token, owner = await sign_up(api, database, f"viewer{number}")
        leagues.append((id_of("League", await make_league(database, f"League {number}", owner, plays=[made])), token))
    return Game(database, made, leagues)


async def _churn(api: Api, game: Game, seconds: float) -> int:
    """How many came and went."""
    ends, number = monotonic() + seconds, 0
    while monotonic() < ends:
        number += AT_ONCE
        await game.score(number // AT_ONCE)
        await _come_and_vanish(api, game, range(number, number + AT_ONCE))
        await asyncio.sleep(1)
    return number


async def _come_and_vanish(api: Api, game: Game, numbers: range) -> None:
    """Each gets what it watches; then half say goodbye, and the others' connections are cut."""
    address = f"{HOST}:{api.outside}"
    async with _listening(address, game, numbers[0]):
        sockets = await asyncio.gather(*(_watching(address, game, number) for number in numbers[1:]))
        await asyncio.gather(*(stream.connection.close() for stream in sockets[::2]))
        api.proxy.cut_now()
        await asyncio.gather(*(stream.connection.wait_closed() for stream in sockets))


@asynccontextmanager
async def _listening(address: str, game: Game, number: int) -> AsyncIterator[None]:
    """By events; within the block it has what it watches."""
    document, variables, token = game.watched(number)
    for _ in range(MOST_TRIES):
        async with event_stream(address, document, variables, token=token) as events:
            name, payload = await events.event(SILENCE_SECONDS)
            assert name == "next", (name, payload)
            if "errors" not in payload:
                yield
                return
        await game.wait_after(payload["errors"])
    raise AssertionError("what is watched cannot be read")


async def _watching(address: str, game: Game, number: int) -> Stream:
    """By a socket."""
    document, variables, token = game.watched(number)
    stream = Stream(await open_socket(address))
    await stream.begin(token)
    for _ in range(MOST_TRIES):
        await stream.subscribe("1", document, **variables)
        message = await stream.receive(SILENCE_SECONDS)
        if message["type"] == "next":
            assert "errors" not in message["payload"], message
            return stream
        assert message["type"] == "error", message
        await game.wait_after(message["payload"])
    raise AssertionError("what is watched cannot be read")


async def _quiet(api: Api) -> dict[str, float]:
    """What is held once everybody is gone."""
    await until(lambda: is_quiet(api), within=30)
    return await holdings(api)
