"""The projection of boards in Valkey: written whole, read by place. `layout.py` says what its keys hold."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import orjson
from redis.exceptions import ResponseError

from domain.ids import LeagueId, MemberId, TournamentId
from domain.leaderboard.arrays import Ids
from domain.leaderboard.model import BoardKey, BoardState, RankedRow
from domain.leaderboard.ports import ProjectionUnavailable
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.leaderboard.sheet import Top
from domain.outbox.model import Tick, TickKind
from integrations.valkey import fronts, scripts
from integrations.valkey.comparison import board_differences
from integrations.valkey.layout import PARTS, key, to_stamp
from integrations.valkey.leagues import LeagueKeys
from integrations.valkey.patience import Patience
from integrations.valkey.reading import BoardReader
from integrations.valkey.strings import read_strings
from integrations.valkey.ticks import BOARDS, TICKS, publish
from integrations.valkey.writing import STAGED_SECONDS, stage

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.leaderboard.front import Front
    from domain.leaderboard.ports import LeagueBoard, Projection

_CLAIMED_MS = 2_000
"""For so long a process that was killed holds others up. A board of a million may take longer: then two write it."""


class ValkeyProjection:
    """Conforms to `domain.leaderboard.ports.Projection`. The client must answer bytes."""

    def __init__(
        self,
        client: "Redis",
        *,
        timeout: float = 0.5,
        pause: float = 2.0,
        rebuild_pause: float = 1.0,
        connections: int = 16,
    ) -> None:
        """Durations in seconds.

        Args:
            client: its pool is shared by everything here.
            timeout: of one answer. A server that hangs must not hang readers.
            pause: after a failure, how long nothing is asked at all.
            rebuild_pause: within it, all processes' requests to rebuild one tournament count as one.
            connections: how many exchanges go on at once; the pool must have as many.
        """
        self._client = client
        self._patience = Patience(client, timeout=timeout, pause=pause, connections=connections)
        self._rebuild_pause = rebuild_pause
        self._reader = BoardReader(client, self._patience)
        self._leagues = LeagueKeys(client, self._patience)
        self._swap = client.register_script(scripts.SWAP)
        self._take = client.register_script(scripts.TAKE)
        self._give_back = client.register_script(scripts.GIVE_BACK)

    # ------------------------------------------------------------ reading

    async def stamps(self, tournament_ids: Sequence[TournamentId]) -> dict[TournamentId, Stamp]:
        names = {key(tournament_id, "stamp"): tournament_id for tournament_id in tournament_ids}
        found = await read_strings(self._client, self._patience, list(names))
        stamps = {names[name]: to_stamp(value) for name, value in found.items()}
        return {tournament_id: stamp for tournament_id, stamp in stamps.items() if stamp is not None}

    async def newest(self, tournament_id: TournamentId, epoch: str, version: int) -> Stamp | None:
        return await self._reader.newest(tournament_id, epoch, version)

    async def numbers(
        self, tournament_id: TournamentId, stamp: Stamp, count: int, *, settled_only: bool = False
    ) -> Top | None:
        board = await self._reader.board(tournament_id, stamp, settled_only=settled_only)
        return None if board is None else await self._reader.numbers(board, count)

    async def rows(
        self, tournament_id: TournamentId, stamp: Stamp, start: int, count: int, *, settled_only: bool = False
    ) -> list[RankedRow] | None:
        board = await self._reader.board(tournament_id, stamp, settled_only=settled_only)
        return None if board is None else await self._reader.rows(board, start, count)

    async def rows_after(
        self,
        tournament_id: TournamentId,
        stamp: Stamp,
        packed: int,
        member_id: MemberId,
        count: int,
        *,
        settled_only: bool = False,
    ) -> list[RankedRow] | None:
        board = await self._reader.board(tournament_id, stamp, settled_only=settled_only)
        return None if board is None else await self._reader.rows_after(board, packed, member_id, count)

    async def rows_around(
        self,
        tournament_id: TournamentId,
        stamp: Stamp,
        member_id: MemberId,
        radius: int,
        *,
        settled_only: bool = False,
    ) -> list[RankedRow] | None:
        board = await self._reader.board(tournament_id, stamp, settled_only=settled_only)
        return None if board is None else await self._reader.rows_around(board, member_id, radius)

    async def table(
        self, tournament_id: TournamentId, stamp: Stamp, earlier: ScoreTable | None = None
    ) -> ScoreTable | None:
        return await self._reader.table(tournament_id, stamp, earlier)

    # ------------------------------------------------------------ leagues

    async def league(self, key: BoardKey, epoch: str, version: int) -> "LeagueBoard | None":
        return await self._leagues.board(key, epoch, version)

    async def league_members(self, league_id: LeagueId, epoch: str, league_version: int) -> Ids | None:
        return await self._leagues.members(league_id, epoch, league_version)

    async def kept_leagues(self, keys: Sequence[BoardKey]) -> list[BoardKey]:
        return await self._leagues.kept(keys)

    async def keep_league(self, state: BoardState, board: "LeagueBoard") -> None:
        await self._leagues.keep(state, board)

    # ------------------------------------------------------------ writing

    @asynccontextmanager
    async def claim(self, tournament_id: TournamentId) -> AsyncIterator[bool]:
        name, token = key(tournament_id, "claim"), uuid4().hex
        async with self._patience.exchange(name):
            taking = self._take(keys=[name], args=[_CLAIMED_MS, token])
            is_ours = bool(await cast("Awaitable[int]", taking))
        try:
            yield is_ours
        finally:
            if is_ours:
                with suppress(ProjectionUnavailable):
                    async with self._patience.exchange(name):
                        await cast("Awaitable[None]", self._give_back(keys=[name], args=[token]))

    async def write(
        self,
        tournament_id: TournamentId,
        table: ScoreTable,
        ranking: Ranking,
        *,
        held: Stamp | None = None,
    ) -> bool:
        """Write the board into staged keys, then put all of them in place at once."""
        found = await self._replace(tournament_id, table, ranking, held)
        if found < 0:  # what was to stay has gone meanwhile, or the board was forgotten
            found = await self._replace(tournament_id, table, ranking, None)
        if found < 0:
            raise ProjectionUnavailable(
                "Valkey was emptied, or the board forgotten, again and again while it was written."
            )
        return found > 0

    async def _replace(
        self, tournament_id: TournamentId, table: ScoreTable, ranking: Ranking, held: Stamp | None
    ) -> int:
        """What `SWAP` answers."""
        token = uuid4().hex
        staged = {name: key(tournament_id, f"staged:{token}:{name}") for name in PARTS}
        aside = [key(tournament_id, f"aside:{token}:{name}") for name in PARTS]
        async with self._patience.exchange(key(tournament_id, "stamp"), once=False):
            made = await stage(self._client, self._patience, tournament_id, staged, table, ranking, held)
            keys = [key(tournament_id, name) for name in ("salt", "stamp", *PARTS)]
            args = [made.stamp, *made.sizes, b"%d" % STAGED_SECONDS]
            swapping = self._swap(keys=[*keys, *staged.values(), *aside], args=args)
            found = int(await self._patience.in_time(cast("Awaitable[Any]", swapping)))
            for name in aside:  # one by one: others are served in between
                await self._patience.in_time(self._client.unlink(name))
        return found

    async def differences(self, tournament_id: TournamentId, table: ScoreTable, ranking: Ranking) -> list[str] | None:
        async with self._patience.exchange(key(tournament_id, "stamp"), once=False):
            before = await self._held(tournament_id)
            if before is None or not before.is_same_state(table.stamp):
                return None
            found = await board_differences(self._client, self._patience, tournament_id, table, ranking)
            if await self._held(tournament_id) != before:
                return None
        if (before.members, before.live) != (table.stamp.members, table.stamp.live):
            found.append("stamp")
        return found

    async def forget(self, tournament_id: TournamentId) -> None:
        async with self._patience.exchange(key(tournament_id, "salt")):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.set(key(tournament_id, "salt"), uuid4().hex)
            # Spelt out, for in a pipeline of a cluster `unlink` is a coroutine.
            pipeline.execute_command("UNLINK", key(tournament_id, "stamp"))
            await pipeline.execute()

    async def announce(self, tournament_id: TournamentId, version: int, front: "Front | None" = None) -> None:
        message = {"kind": TickKind.BOARD.value, "id": str(tournament_id), "version": version}
        if front is not None:
            message["front"] = fronts.encode(front)
        async with self._patience.exchange(BOARDS.decode()):
            await self._client.publish(BOARDS, orjson.dumps(message))

    async def request_rebuild(self, tournament_id: TournamentId) -> None:
        name = key(tournament_id, "rebuild")
        async with self._patience.exchange(name):
            asking = self._take(keys=[name], args=[round(self._rebuild_pause * 1000), b""])
            is_first = await cast("Awaitable[int]", asking)
        if is_first:
            async with self._patience.exchange(TICKS.decode()):
                await publish(self._client, [Tick(TickKind.BOARD, tournament_id)])

    async def _held(self, tournament_id: TournamentId) -> Stamp | None:
        try:
            return to_stamp(await self._patience.in_time(self._client.get(key(tournament_id, "stamp"))))
        except ResponseError:  # of another type
            return None


if TYPE_CHECKING:
    _conforms: type[Projection] = ValkeyProjection
