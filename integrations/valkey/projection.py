"""The projection of boards in Valkey: what its keys hold, how a board is written whole, and how its places are read.

Keys of a tournament share a hash tag (the braces are literal), so no command and no script crosses two tags:

    tournament:{id}:master_scores  sorted set: member id (16 bytes), minus the packed score; ZRANGE is the total order
    tournament:{id}:distinct       sorted set of the distinct packed scores, for dense ranks
    tournament:{id}:order          member ids, ascending, 16 bytes each
    tournament:{id}:facts          their facts in the same order, five 16-bit numbers each; one block for each basis
    tournament:{id}:stamp          hash: which state of the database all of these hold
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import numpy as np
import orjson
from redis.exceptions import RedisError, ResponseError

from domain.ids import MemberId, TournamentId
from domain.leaderboard.model import RankedRow
from domain.leaderboard.ports import ProjectionUnavailable
from domain.leaderboard.ranking import Ranking, ScoreTable, Stamp
from domain.leaderboard.rules import PageOfBoard, rows_of
from domain.outbox.model import Tick, TickKind
from domain.scoring.model import Facts, ScoreBasis
from integrations.valkey import scripts
from integrations.valkey.comparison import differs, entries_differ
from integrations.valkey.ticks import BOARDS, publish

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from domain.leaderboard.ports import Projection

MEMBERS_A_COMMAND = 500
COMMANDS_A_FLUSH = 10
STAGED_SECONDS = 300
"""How long what a projector left half-written stays."""
FACT_SIZE = 2
STAMP_FIELDS = ("epoch", "settled_version", "board_version", "computed_at", "members")


def key(tournament_id: TournamentId, name: str) -> str:
    return f"tournament:{{{tournament_id}}}:{name}"


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
        self._timeout = timeout
        self._pause = pause
        self._rebuild_pause = rebuild_pause
        self._places = asyncio.Semaphore(connections)
        self._closed_until = 0.0
        self._read_page = client.register_script(scripts.READ_PAGE)
        self._swap = client.register_script(scripts.SWAP)

    # ------------------------------------------------------------ reading

    async def stamps(self, tournament_ids: Sequence[TournamentId]) -> dict[TournamentId, Stamp]:
        if not tournament_ids:
            return {}
        async with self._answering():
            pipeline = self._client.pipeline(transaction=False)
            for tournament_id in tournament_ids:
                pipeline.hmget(key(tournament_id, "stamp"), list(STAMP_FIELDS))
            answers = await pipeline.execute(raise_on_error=False)
        found = zip(tournament_ids, map(_stamp, answers), strict=True)
        return {tournament_id: stamp for tournament_id, stamp in found if stamp is not None}

    async def rows(self, tournament_id: TournamentId, stamp: Stamp, start: int, count: int) -> list[RankedRow] | None:
        return await self._page(tournament_id, stamp, ["at", start, count])

    async def rows_after(
        self, tournament_id: TournamentId, stamp: Stamp, packed: int, member_id: MemberId, count: int
    ) -> list[RankedRow] | None:
        return await self._page(tournament_id, stamp, ["after", -packed, count, member_id.bytes])

    async def rows_around(
        self, tournament_id: TournamentId, stamp: Stamp, member_id: MemberId, radius: int
    ) -> list[RankedRow] | None:
        return await self._page(tournament_id, stamp, ["around", radius, 0, member_id.bytes])

    async def table(self, tournament_id: TournamentId, stamp: Stamp) -> ScoreTable | None:
        names = ("order", "facts")
        async with self._answering():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hmget(key(tournament_id, "stamp"), [*STAMP_FIELDS, "bases"])
            for name in names:
                pipeline.get(key(tournament_id, name))
            head, order, facts = await pipeline.execute(raise_on_error=False)
        if _stamp(head) != stamp:
            return None
        table = _table(stamp, head[-1], order, facts)
        if table is None:
            await self._drop_stamp(tournament_id)
        return table

    async def _page(
        self, tournament_id: TournamentId, stamp: Stamp, place: list[str | int | bytes]
    ) -> list[RankedRow] | None:
        keys = [key(tournament_id, name) for name in ("stamp", "master_scores", "distinct")]
        arguments: list[str | int | bytes] = [stamp.epoch, stamp.settled_version, stamp.board_version, *place]
        async with self._answering():
            answer = await cast("Awaitable[Any]", self._read_page(keys=keys, args=arguments))
        return None if answer is None else rows_of(_page_of(answer))

    async def _drop_stamp(self, tournament_id: TournamentId) -> None:
        """What belongs to it is not there: the board counts as missing from now on."""
        async with self._answering():
            await self._client.unlink(key(tournament_id, "stamp"))

    # ------------------------------------------------------------ writing

    async def write(self, tournament_id: TournamentId, table: ScoreTable, ranking: Ranking) -> bool:
        """Write the board into staged keys, then put all of them in place at once."""
        names = ("master_scores", "distinct", "order", "facts")
        token = uuid4().hex
        staged = [key(tournament_id, f"staged:{token}:{name}") for name in names]
        stamp = table.stamp
        async with self._answering(once=False):
            await self._stage_scores(staged[0], _scores(ranking))
            await self._stage_scores(staged[1], _distinct(ranking))
            await self._stage(staged[2], table.ids.tobytes())
            await self._stage(staged[3], _facts(table))
            keys = [key(tournament_id, "stamp"), *(key(tournament_id, name) for name in names), *staged]
            state: list[str | int] = [
                stamp.epoch,
                stamp.settled_version,
                stamp.board_version,
                stamp.computed_at.isoformat(),
            ]
            counts: list[str | int] = [stamp.members, ",".join(table.facts), len(ranking.distinct)]
            is_written = await self._in_time(cast("Awaitable[Any]", self._swap(keys=keys, args=[*state, *counts])))
        return bool(is_written)

    async def differences(self, tournament_id: TournamentId, table: ScoreTable, ranking: Ranking) -> list[str] | None:
        async with self._answering(once=False):
            before = await self._held(tournament_id)
            if before is None or not _is_same_state(before, table.stamp):
                return None
            distinct = ranking.distinct
            differing = {
                "order": await differs(self._client, key(tournament_id, "order"), table.ids.tobytes(), self._in_time),
                "facts": await differs(self._client, key(tournament_id, "facts"), _facts(table), self._in_time),
                "master_scores": await entries_differ(
                    self._client, key(tournament_id, "master_scores"), ranking.ids, -ranking.packed, self._in_time
                ),
                "distinct": await entries_differ(
                    self._client,
                    key(tournament_id, "distinct"),
                    distinct.astype(">i8").view("S8"),
                    -distinct,
                    self._in_time,
                ),
                "stamp": before.members != table.stamp.members,
            }
            if await self._held(tournament_id) != before:
                return None
        return [name for name, is_different in differing.items() if is_different]

    async def forget(self, tournament_id: TournamentId) -> None:
        await self._drop_stamp(tournament_id)

    async def _held(self, tournament_id: TournamentId) -> Stamp | None:
        try:
            return _stamp(await self._in_time(self._client.hmget(key(tournament_id, "stamp"), list(STAMP_FIELDS))))
        except ResponseError:
            return None

    async def announce(self, tournament_id: TournamentId, version: int) -> None:
        message = {"kind": TickKind.BOARD.value, "id": str(tournament_id), "version": version}
        async with self._answering():
            await self._client.publish(BOARDS, orjson.dumps(message))

    async def request_rebuild(self, tournament_id: TournamentId) -> None:
        async with self._answering():
            is_first = await self._client.set(
                key(tournament_id, "rebuild"), b"", nx=True, px=round(self._rebuild_pause * 1000)
            )
            if is_first:
                await publish(self._client, [Tick(TickKind.BOARD, tournament_id)])

    async def _stage_scores(self, name: str, commands: Iterator[list[Any]]) -> None:
        """Add members in flushes of some commands, so that others are served in between."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command("ZADD", name, *command)
            if len(pipeline) == COMMANDS_A_FLUSH:
                await self._in_time(pipeline.execute())
        if len(pipeline):
            await self._in_time(pipeline.execute())
        await self._in_time(self._client.expire(name, STAGED_SECONDS))

    async def _stage(self, name: str, value: bytes) -> None:
        await self._in_time(self._client.set(name, value, ex=STAGED_SECONDS))

    # ------------------------------------------------------------ a server that is away

    async def _in_time(self, answer: Awaitable[Any]) -> Any:
        """One answer to the projector, which can wait longer than a reader."""
        return await asyncio.wait_for(answer, timeout=10 * self._timeout)

    @asynccontextmanager
    async def _answering(self, *, once: bool = True) -> AsyncIterator[None]:
        """One exchange in time. After a failure nothing is asked for a while, so that readers lose no time.

        A refusal by the server, such as of a key of another type, is an answer; `once` is False where several follow.
        """
        try:
            async with self._places:
                if monotonic() < self._closed_until:
                    raise ProjectionUnavailable("Valkey did not answer a moment ago.")
                async with asyncio.timeout(self._timeout if once else None):
                    yield
        except ResponseError as error:
            raise ProjectionUnavailable(f"Valkey refused: {error}") from error
        except (RedisError, OSError, TimeoutError) as error:
            self._closed_until = monotonic() + self._pause
            # Connections to a server that has restarted are dead, each of them.
            await self._client.connection_pool.disconnect(inuse_connections=False)
            raise ProjectionUnavailable(f"Valkey does not answer: {error}") from error


def _stamp(answer: Any) -> Stamp | None:
    """None for a stamp that is missing, cut short, or no hash."""
    if isinstance(answer, Exception) or any(value is None for value in answer):
        return None
    epoch, settled_version, board_version, computed_at, members = (value.decode() for value in answer[:5])
    return Stamp(epoch, int(settled_version), int(board_version), datetime.fromisoformat(computed_at), int(members))


def _is_same_state(one: Stamp, other: Stamp) -> bool:
    """Whether two stamps name one state of the database, whenever they were made."""
    states = [(stamp.epoch, stamp.settled_version, stamp.board_version) for stamp in (one, other)]
    return states[0] == states[1]


def _table(stamp: Stamp, bases: bytes, order: Any, facts: Any) -> ScoreTable | None:
    """None when a part is missing, of another type, or not as long as it must be."""
    if not isinstance(order, bytes) or not isinstance(facts, bytes):
        return None
    names = [ScoreBasis(name) for name in bases.decode().split(",")]
    columns = len(Facts._fields)
    if len(order) != 16 * stamp.members or len(facts) != FACT_SIZE * columns * stamp.members * len(names):
        return None
    blocks = np.frombuffer(facts, dtype="<u2").reshape(len(names), stamp.members, columns)
    return ScoreTable(stamp, np.frombuffer(order, dtype="S16"), dict(zip(names, blocks, strict=True)))


def _page_of(answer: list[Any]) -> PageOfBoard:
    start, better, better_scores, tied_last, above, *flat = answer
    pairs = zip(flat[1::2], flat[::2], strict=True)
    return PageOfBoard(
        start=start,
        entries=[(_packed(score), member) for score, member in pairs],
        above=_packed(above) if above else None,
        better=better,
        better_scores=better_scores,
        tied_last=tied_last,
    )


def _packed(score: bytes) -> int:
    return -int(float(score))


def _scores(ranking: Ranking) -> Iterator[list[Any]]:
    """Best first: in order, a sorted set is written in a third of the time."""
    for start in range(0, len(ranking), MEMBERS_A_COMMAND):
        part = slice(start, start + MEMBERS_A_COMMAND)
        members = ranking.ids[part].tobytes()
        command: list[Any] = []
        for n, score in enumerate((-ranking.packed[part]).tolist()):
            command += (score, members[16 * n : 16 * n + 16])
        yield command


def _distinct(ranking: Ranking) -> Iterator[list[Any]]:
    for start in range(0, len(ranking.distinct), MEMBERS_A_COMMAND):
        command: list[Any] = []
        for packed in ranking.distinct[start : start + MEMBERS_A_COMMAND].tolist():
            command += (-packed, packed.to_bytes(8, "big"))
        yield command


def _facts(table: ScoreTable) -> bytes:
    return b"".join(np.ascontiguousarray(facts).astype("<u2").tobytes() for facts in table.facts.values())


if TYPE_CHECKING:
    _conforms: type[Projection] = ValkeyProjection
