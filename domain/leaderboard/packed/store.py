"""SQL of all present facts of a tournament, as one value; those of a large one are read by two connections at once."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from domain.database import Database
from domain.ids import TournamentId
from domain.leaderboard.facts import MOST_OF_A_FACT
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import FACTS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_PART_PAGES = 2_048
"""So many pages of the table are read by one statement, or all when they are fewer than two parts: it begins two
processes of its own then, which hand over what they have added up."""
_OF_TOURNAMENT = "FROM member_scores WHERE tournament_id = :tournament_id AND basis = :basis"
# More than a fact may be would be an error of SQL, or change the fact before it: then all bits are ones, which no first
# fact has. Those with the same bound are compared at once, by the bits that any of them has.
_FIT = " AND ".join(
    f"({' | '.join(fact for fact, most in zip(FACTS, MOST_OF_A_FACT, strict=True) if most == bound)}) <= {bound}"
    for bound in sorted({*MOST_OF_A_FACT})
)
_PACKED = """
SELECT string_agg(
    uuid_send(member_id)
    || CASE WHEN {fit} THEN
        int8send(((CAST({} AS bigint) * 65536 + {}) * 65536 + {}) * 65536 + {}) || int2send(CAST({} AS smallint))
    ELSE CAST('{none}' AS bytea) END, '')
""".format(*FACTS, fit=_FIT, none=r"\x" + "ff" * 2 * len(FACTS))
_WHOLE = text(_PACKED + _OF_TOURNAMENT)
_PART = text(_PACKED + _OF_TOURNAMENT + " AND ctid >= CAST(:first AS tid) AND ctid < CAST(:end AS tid)")
_PLAN = text("EXPLAIN (FORMAT JSON) SELECT member_id, exact " + _OF_TOURNAMENT)
_PAGES = text("SELECT pg_relation_size(CAST(:name AS regclass)) / current_setting('block_size')::int")
_ALONE = text("SET LOCAL max_parallel_workers_per_gather = 0")


async def packed_facts(
    database: Database, connection: "AsyncConnection", tournament_id: TournamentId, basis: ScoreBasis
) -> bytes:
    """Present facts of all who have joined, in no order, as `facts.read_packed` takes them: 26 bytes a member.

    They come as one value, for which the driver takes no rows apart.

    Args:
        database: where another connection comes from, which sees the same moment.
        connection: a snapshot.
        tournament_id: whose.
        basis: which facts.
    """
    given = {"tournament_id": tournament_id, "basis": basis}
    pages = await _pages_to_scan(connection, given)
    if pages < 2 * _PART_PAGES:
        return (await connection.execute(_WHOLE, given)).scalar_one() or b""
    firsts = iter(range(0, pages, _PART_PAGES))
    async with database.snapshot(of=connection) as other, asyncio.TaskGroup() as tasks:
        reading = [tasks.create_task(_parts(one, firsts, given)) for one in (connection, other)]
    return b"".join(part for task in reading for part in task.result())


async def _pages_to_scan(connection: "AsyncConnection", given: dict[str, Any]) -> int:
    """How many pages PostgreSQL would read one after the other; 0 when it would look members up by an index.

    A table holds several tournaments: parted by where they lie, the members of a small one would be looked for in all
    parts. Who plans knows.
    """
    (found,) = (await connection.execute(_PLAN, given)).scalar_one()
    node = found["Plan"]
    while "Plans" in node:
        node = node["Plans"][0]
    if node["Node Type"] != "Seq Scan":
        return 0
    pages: int = (await connection.execute(_PAGES, {"name": node["Relation Name"]})).scalar_one()
    return pages


async def _parts(connection: "AsyncConnection", firsts: Iterator[int], given: dict[str, Any]) -> list[bytes]:
    """Of the parts which begin at these pages those that no other reader has taken."""
    await connection.execute(_ALONE)
    found = []
    for first in firsts:
        bounds = {"first": (first, 0), "end": (first + _PART_PAGES, 0)}
        found.append((await connection.execute(_PART, given | bounds)).scalar_one() or b"")
    return found
