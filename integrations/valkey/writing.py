"""Stages a board: the bytes are made beside the event loop and sent in pieces, so that the server serves others too."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from domain.ids import TournamentId
from domain.leaderboard.ranking import ScoreTable
from integrations.valkey.client import connection_for
from integrations.valkey.layout import PARTS, STRINGS, key, strings_of
from integrations.valkey.packing import zadd_blocks
from integrations.valkey.patience import Patience

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

    from domain.leaderboard.ranking import Ranking

STAGED_SECONDS = 300
"""How long what a projector left half-written stays."""
_PIECE = 1 << 20


async def stage(
    client: "Redis",
    patience: Patience,
    tournament_id: TournamentId,
    names: Mapping[str, str],
    table: ScoreTable,
    ranking: "Ranking",
) -> list[int]:
    """Write the parts of a board under other names; the sizes of all `PARTS`, 0 for those that there are not."""
    boards = {"master_scores": ranking.settled}
    if table.live is not None:
        boards["live_scores"] = ranking
    making = asyncio.create_task(asyncio.to_thread(strings_of, table, ranking))
    try:
        async with connection_for(client, key(tournament_id, "stamp")) as connection:
            wire = _Wire(connection, patience)
            for name, board in boards.items():
                await wire.add(names[name], board)
            strings = await making
            for name in STRINGS:
                if strings[name]:
                    await wire.store(names[name], strings[name])
    finally:
        making.cancel()
    sizes = {name: len(value) for name, value in strings.items()} | {name: len(one) for name, one in boards.items()}
    return [sizes.get(name, 0) for name in PARTS]


class _Wire:
    """Commands on one connection, in bytes."""

    def __init__(self, connection: "AbstractConnection", patience: Patience) -> None:
        self._connection = connection
        self._patience = patience

    async def add(self, name: str, board: "Ranking") -> None:
        """A block is made while the server stores the one before."""
        blocks = zadd_blocks(name, board.ids, board.packed, STAGED_SECONDS)
        unanswered = 0
        while (block := await asyncio.to_thread(next, blocks, None)) is not None:
            data, commands = block
            await self._send(data)
            await self._answers(unanswered)
            unanswered = commands
        await self._answers(unanswered)

    async def store(self, name: str, value: bytes) -> None:
        head = b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(name), name.encode(), len(value))
        await self._send(head)
        for start in range(0, len(value), _PIECE):
            await self._send(value[start : start + _PIECE])
        await self._send(b"\r\n$2\r\nEX\r\n$%d\r\n%d\r\n" % (len(str(STAGED_SECONDS)), STAGED_SECONDS))
        await self._answers(1)

    async def _send(self, data: bytes) -> None:
        await self._patience.in_time(self._connection.send_packed_command(data, check_health=False))

    async def _answers(self, count: int) -> None:
        await self._patience.in_time(self._read_answers(count))

    async def _read_answers(self, count: int) -> None:
        for _ in range(count):
            found: Any = await self._connection.read_response()
            if isinstance(found, list) and (refused := [one for one in found if isinstance(one, Exception)]):
                raise refused[0]
