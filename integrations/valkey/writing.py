"""Stages a board: strings are made beside the event loop, and all goes in pieces, so that the server serves others."""

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from redis.exceptions import ResponseError

from domain.ids import TournamentId
from domain.leaderboard.score_table import ScoreTable
from integrations.valkey.client import connection_for
from integrations.valkey.layout import (
    PARTS,
    SETTLED,
    STRINGS,
    digest_of,
    key,
    live_strings,
    settled_sizes,
    settled_strings,
    stamp_to_bytes,
)
from integrations.valkey.packing import zadd_blocks
from integrations.valkey.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis
    from redis.asyncio.connection import AbstractConnection

    from domain.leaderboard.ranking import Ranking
    from domain.leaderboard.score_table import Stamp
    from integrations.valkey.packing import Command

STAGED_SECONDS = 300
"""How long what a projector left half-written stays."""
_PIECE = 1 << 20
_SALT = re.compile(rb"[0-9a-f]+")
_UNDER_WAY = 3
"""Commands that are sent and not answered: one is executed while others wait for it. In one turn of its loop the
server takes all that has come, and serves nobody else meanwhile."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The arguments of the swap."""

    stamp: bytes
    sizes: list[bytes]
    """Of all `PARTS`, 0 for those that there are not; behind a "=" those of parts which stay as they are."""


async def stage(
    client: "Redis",
    patience: Patience,
    tournament_id: TournamentId,
    names: Mapping[str, str],
    table: ScoreTable,
    ranking: "Ranking",
    held: "Stamp | None",
) -> Staged:
    """Write the parts of a board under other names, but for the settled ones if those of `held` are the same."""
    salt = await _salt(client, patience, tournament_id)
    there = held.digest if held is not None and held.settled_version == table.stamp.settled_version else ""
    known = there if there == table.stamp.digest else ""
    making = asyncio.create_task(asyncio.to_thread(_strings, table, ranking, known, salt))
    kept: tuple[str, ...] = ()
    try:
        if there:
            kept = SETTLED if (await making)[1] == there else ()
        async with connection_for(client, key(tournament_id, "stamp")) as connection:
            wire = _Wire(connection, patience)
            if not kept:
                await wire.add(names["master_scores"], ranking.settled)
            strings, digest = await making
            for name in STRINGS:
                if name not in kept and strings[name]:
                    await wire.store(names[name], strings[name])
    finally:
        making.cancel()
    sizes = settled_sizes(table, ranking) | {name: len(value) for name, value in strings.items()}
    told = [b"%b%d" % (b"=" if name in kept else b"", sizes[name]) for name in PARTS]
    return Staged(stamp_to_bytes(table.stamp, table.facts, digest), told)


async def _salt(client: "Redis", patience: Patience, tournament_id: TournamentId) -> str:
    """Whoever finds none puts one there: when Valkey has lost it, no digest is again what it was before a repair."""
    name, new = key(tournament_id, "salt"), uuid4().hex
    try:
        found = await patience.in_time(client.set(name, new, nx=True, get=True))
    except ResponseError:  # a key of another type
        found = b""
    if found is None:
        return new
    if _SALT.fullmatch(found):
        return str(found.decode())
    await patience.in_time(client.set(name, new))
    return new


def _strings(table: ScoreTable, ranking: "Ranking", known: str, salt: str) -> tuple[dict[str, bytes], str]:
    """Those of a board and the digest of the settled ones, which are left out when it is `known`.

    Behind a digest stands the `salt`, which is another one once the board was forgotten: none is as it was before.
    """
    live = live_strings(table, ranking)
    if known:
        return live, known
    settled = settled_strings(table, ranking)
    return settled | live, f"{digest_of(settled, table.facts)}.{salt}"


class _Wire:
    """Commands on one connection, in bytes."""

    def __init__(self, connection: "AbstractConnection", patience: Patience) -> None:
        self._connection = connection
        self._patience = patience

    async def add(self, name: str, board: "Ranking") -> None:
        """A block is made while the server executes the end of the one before."""
        unanswered: deque[int] = deque()
        for block in zadd_blocks(name, board.ids, board.packed, STAGED_SECONDS):
            await self._patience.in_time(self._add(block, unanswered))
        await self._patience.in_time(self._read_answers(sum(unanswered)))

    async def _add(self, block: "Sequence[Command]", unanswered: deque[int]) -> None:
        for command in block:
            if len(unanswered) == _UNDER_WAY:
                await self._read_answers(unanswered.popleft())
            await self._connection.send_packed_command(command.data, check_health=False)
            unanswered.append(command.answers)

    async def store(self, name: str, value: bytes) -> None:
        head = b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(name), name.encode(), len(value))
        await self._send(head)
        for start in range(0, len(value), _PIECE):
            await self._send(value[start : start + _PIECE])
        await self._send(b"\r\n$2\r\nEX\r\n$%d\r\n%d\r\n" % (len(str(STAGED_SECONDS)), STAGED_SECONDS))
        await self._patience.in_time(self._read_answers(1))

    async def _send(self, data: bytes) -> None:
        await self._patience.in_time(self._connection.send_packed_command(data, check_health=False))

    async def _read_answers(self, count: int) -> None:
        for _ in range(count):
            found: Any = await self._connection.read_response()
            if isinstance(found, list) and (refused := [one for one in found if isinstance(one, Exception)]):
                raise refused[0]
