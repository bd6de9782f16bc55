"""The projection of boards in Valkey: what its keys hold, how a board is written whole, and how its places are read.

Keys of a tournament share a hash tag (the braces are literal), so no command and no script crosses two tags:

    tournament:{id}:master_scores  sorted set: member id (16 bytes), minus the packed score; ZRANGE is the total order
    tournament:{id}:distinct       sorted set of the distinct packed scores, for dense ranks
    tournament:{id}:order          member ids, ascending, 16 bytes each
    tournament:{id}:facts          their facts in the same order, five 16-bit numbers each; one block for each basis
    tournament:{id}:live_scores    the same as `master_scores` with provisional points, while there are any;
    tournament:{id}:live_distinct  so are `live_distinct`
    tournament:{id}:live_facts     and `live_facts`
    tournament:{id}:stamp          hash: which state of the database all of these hold
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import numpy as np
import orjson
from numpy.typing import NDArray
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
NO_MEMBERS, NO_SCORES = np.zeros(0, dtype="S16"), np.zeros(0, dtype=np.int64)
STAMP_FIELDS = ("epoch", "settled_version", "board_version", "computed_at", "members", "live")
PARTS = ("master_scores", "distinct", "order", "facts", "live_scores", "live_distinct", "live_facts")


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

    async def rows(
        self, tournament_id: TournamentId, stamp: Stamp, start: int, count: int, *, settled_only: bool = False
    ) -> list[RankedRow] | None:
        return await self._page(tournament_id, stamp, ["at", start, count], settled_only)

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
        return await self._page(tournament_id, stamp, ["after", -packed, count, member_id.bytes], settled_only)

    async def rows_around(
        self,
        tournament_id: TournamentId,
        stamp: Stamp,
        member_id: MemberId,
        radius: int,
        *,
        settled_only: bool = False,
    ) -> list[RankedRow] | None:
        return await self._page(tournament_id, stamp, ["around", radius, 0, member_id.bytes], settled_only)

    async def table(self, tournament_id: TournamentId, stamp: Stamp) -> ScoreTable | None:
        names = ("order", "facts", "live_facts") if stamp.live else ("order", "facts")
        async with self._answering():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.hmget(key(tournament_id, "stamp"), [*STAMP_FIELDS, "bases"])
            for name in names:
                pipeline.get(key(tournament_id, name))
            head, order, *facts = await pipeline.execute(raise_on_error=False)
        if _stamp(head) != stamp:
            return None
        table = _table(stamp, head[-1], order, facts)
        if table is None:
            await self._drop_stamp(tournament_id)
        return table

    async def _page(
        self, tournament_id: TournamentId, stamp: Stamp, place: list[str | int | bytes], settled_only: bool
    ) -> list[RankedRow] | None:
        settled = ("master_scores", "distinct")
        names = settled if settled_only or not stamp.live else ("live_scores", "live_distinct", *settled[:1])
        keys = [key(tournament_id, name) for name in ("stamp", *names)]
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
        token = uuid4().hex
        staged = {name: key(tournament_id, f"staged:{token}:{name}") for name in PARTS}
        stamp, settled = table.stamp, ranking.settled
        live = None if table.live is None else ranking
        async with self._answering(once=False):
            sizes = [
                await self._stage_scores(staged["master_scores"], settled),
                await self._stage_distinct(staged["distinct"], settled),
                await self._stage(staged["order"], table.ids.tobytes()),
                await self._stage(staged["facts"], _facts(table.facts)),
                await self._stage_scores(staged["live_scores"], live),
                await self._stage_distinct(staged["live_distinct"], live),
                await self._stage(staged["live_facts"], _facts(table.live)),
            ]
            keys = [key(tournament_id, "stamp"), *(key(tournament_id, name) for name in PARTS), *staged.values()]
            state: list[str | int] = [
                stamp.epoch,
                stamp.settled_version,
                stamp.board_version,
                stamp.computed_at.isoformat(),
                stamp.members,
                ",".join(table.facts),
                stamp.live,
            ]
            is_written = await self._in_time(cast("Awaitable[Any]", self._swap(keys=keys, args=[*state, *sizes])))
        return bool(is_written)

    async def differences(self, tournament_id: TournamentId, table: ScoreTable, ranking: Ranking) -> list[str] | None:
        async with self._answering(once=False):
            before = await self._held(tournament_id)
            if before is None or not _is_same_state(before, table.stamp):
                return None
            settled = ranking.settled
            live = None if table.live is None else ranking
            differing = {
                "order": await self._differs(tournament_id, "order", table.ids.tobytes()),
                "facts": await self._differs(tournament_id, "facts", _facts(table.facts)),
                "master_scores": await self._scores_differ(tournament_id, "master_scores", settled),
                "distinct": await self._distinct_differ(tournament_id, "distinct", settled),
                "live_facts": await self._differs(tournament_id, "live_facts", _facts(table.live)),
                "live_scores": await self._scores_differ(tournament_id, "live_scores", live),
                "live_distinct": await self._distinct_differ(tournament_id, "live_distinct", live),
                "stamp": (before.members, before.live) != (table.stamp.members, table.stamp.live),
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

    async def _differs(self, tournament_id: TournamentId, name: str, value: bytes) -> bool:
        return await differs(self._client, key(tournament_id, name), value, self._in_time)

    async def _scores_differ(self, tournament_id: TournamentId, name: str, ranking: Ranking | None) -> bool:
        ids, packed = (NO_MEMBERS, NO_SCORES) if ranking is None else (ranking.ids, ranking.packed)
        return await entries_differ(self._client, key(tournament_id, name), ids, -packed, self._in_time)

    async def _distinct_differ(self, tournament_id: TournamentId, name: str, ranking: Ranking | None) -> bool:
        distinct = NO_SCORES if ranking is None else ranking.distinct
        names = distinct.astype(">i8").view("S8")
        return await entries_differ(self._client, key(tournament_id, name), names, -distinct, self._in_time)

    async def _stage_scores(self, name: str, ranking: Ranking | None) -> int:
        """Stage a board's places; how many."""
        if ranking is None:
            return 0
        await self._stage_entries(name, _scores(ranking))
        return len(ranking)

    async def _stage_distinct(self, name: str, ranking: Ranking | None) -> int:
        if ranking is None:
            return 0
        await self._stage_entries(name, _distinct(ranking))
        return len(ranking.distinct)

    async def _stage_entries(self, name: str, commands: Iterator[list[Any]]) -> None:
        """Add members in flushes of some commands, so that others are served in between."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command("ZADD", name, *command)
            if len(pipeline) == COMMANDS_A_FLUSH:
                await self._in_time(pipeline.execute())
        if len(pipeline):
            await self._in_time(pipeline.execute())
        await self._in_time(self._client.expire(name, STAGED_SECONDS))

    async def _stage(self, name: str, value: bytes) -> int:
        """Stage a string; how many bytes."""
        if value:
            await self._in_time(self._client.set(name, value, ex=STAGED_SECONDS))
        return len(value)

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
    epoch, settled_version, board_version, computed_at, members, live = (value.decode() for value in answer[:6])
    computed = datetime.fromisoformat(computed_at)
    return Stamp(epoch, int(settled_version), int(board_version), computed, int(members), int(live))


def _is_same_state(one: Stamp, other: Stamp) -> bool:
    """Whether two stamps name one state of the database, whenever they were made."""
    states = [(stamp.epoch, stamp.settled_version, stamp.board_version) for stamp in (one, other)]
    return states[0] == states[1]


def _table(stamp: Stamp, bases: bytes, order: Any, facts: Sequence[Any]) -> ScoreTable | None:
    """None when a part is missing, of another type, or not as long as it must be."""
    names = [ScoreBasis(name) for name in bases.decode().split(",")]
    if _size(order) != 16 * stamp.members:
        return None
    columns = len(Facts._fields)
    if any(_size(part) != FACT_SIZE * columns * stamp.members * len(names) for part in facts):
        return None
    shape = (len(names), stamp.members, columns)
    parts = [dict(zip(names, np.frombuffer(part or b"", "<u2").reshape(shape), strict=True)) for part in facts]
    return ScoreTable(stamp, np.frombuffer(order or b"", dtype="S16"), *parts)


def _size(value: Any) -> int | None:
    """Of a string; one without content is not stored. None for another type."""
    return len(value or b"") if value is None or isinstance(value, bytes) else None


def _page_of(answer: list[Any]) -> PageOfBoard:
    start, better, better_scores, tied_last, above, settled, *flat = answer
    pairs = zip(flat[1::2], flat[::2], strict=True)
    places = zip(settled[::2], settled[1::2], strict=True)
    return PageOfBoard(
        start=start,
        entries=[(_packed(score), member) for score, member in pairs],
        above=_packed(above) if above else None,
        better=better,
        better_scores=better_scores,
        tied_last=tied_last,
        settled=[(better + 1, _packed(score)) for better, score in places] if settled else None,
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


def _facts(facts: Mapping[ScoreBasis, NDArray[Any]] | None) -> bytes:
    parts = [] if facts is None else facts.values()
    return b"".join(np.ascontiguousarray(part).astype("<u2").tobytes() for part in parts)


if TYPE_CHECKING:
    _conforms: type[Projection] = ValkeyProjection
