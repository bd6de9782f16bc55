"""Many clients on one board of an API process, and goals that they are to show."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from sqlalchemy import select

from domain.tournament.tables import tournaments
from runtime.database import PostgresDatabase
from runtime.ports import free_port
from tests.support.board_clients import BoardClient
from tests.support.campaign import times
from tests.support.executions import until
from tests.support.football import MadeTournament, make_members, make_tournament, pass_lock, put_guesses
from tests.support.graphql_client import id_of
from tests.support.settlement import in_play
from tests.support.stage import HOST, Api, Start, forked

_QUICK = {"PALPITE_HUB_POLL_SECONDS": "0.1", "PALPITE_STREAM_HEARTBEAT_SECONDS": "2"}
"""No worker is there to send ticks: the process compares with the database, as it does when one is lost."""


@asynccontextmanager
async def api_process(
    database_url: str, valkey_url: str, data: Path, *, start: Start = forked, **more: str
) -> AsyncIterator[Api]:
    settings = {"DATABASE_URL": database_url, "REDIS_URL": valkey_url, "PALPITE_DATA": str(data), **_QUICK, **more}
    api = Api(free_port(HOST), settings, data / "api.log", start)
    try:
        await api.open()
        yield api
    finally:
        await api.close()


async def game(database: PostgresDatabase) -> MadeTournament:
    """Sixty members who have guessed two matches in play."""
    made = await make_tournament(database, matches=2)
    members = await make_members(database, 60, joins=[made])
    given = [(match_id, each, n % 4, n % 3) for n, each in enumerate(members) for match_id in made.matches]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches)
    return made


class Crowd:
    """Clients that mirror a tournament's board, wherever its server is, and goals that they are to show."""

    def __init__(self, database: PostgresDatabase, made: MadeTournament, port: int) -> None:
        self.port = port
        self.board = {"tournamentId": id_of("Tournament", made.id)}
        self.clients: list[BoardClient] = []
        self._database = database
        self._made = made
        self._goals = 0

    def _address(self) -> str:
        return f"ws://{HOST}:{self.port}/graphql"

    async def join(self, count: int) -> None:
        """So many more, each with its first board."""
        for begin in range(0, count, 50):
            self.clients += [BoardClient(self.board, self._address) for _ in range(min(50, count - begin))]
            await self.until_all_show(0)

    async def score(self) -> int:
        """A goal, after which other members than before have points; the board's version after it."""
        self._goals += 1
        home, away = self._goals % 4, self._goals // 4 % 3
        await in_play(self._database, self._made.id, self._made.matches[0], home, away)
        async with self._database.read() as connection:
            found = await connection.execute(
                select(tournaments.c.board_version).where(tournaments.c.id == self._made.id)
            )
            return int(found.scalar_one())

    async def until_all_show(self, version: int) -> float:
        """Seconds until every client shows a version."""
        began = monotonic()

        async def are_current() -> bool:
            for client in self.clients:
                client.check()
            return all(client.version >= version for client in self.clients)

        await until(are_current, within=times(60, 300))
        return monotonic() - began

    def seen(self) -> Counter[str]:
        return sum((client.seen for client in self.clients), Counter[str]())

    async def close(self) -> None:
        await asyncio.gather(*(client.close() for client in self.clients))


@asynccontextmanager
async def crowd_of(database: PostgresDatabase, count: int, port: int) -> AsyncIterator[Crowd]:
    """Clients that have had their first board."""
    crowd = Crowd(database, await game(database), port)
    try:
        await crowd.join(count)
        yield crowd
    finally:
        await crowd.close()
