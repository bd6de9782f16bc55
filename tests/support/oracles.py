"""What must hold after every fault, asked from the database."""

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import text

from domain.ids import ExecutionId

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

_EFFECTS = (
    "SELECT e.execution_id AS id, e.fence, e.step, min(e.at) AS first, max(e.at) AS last, count(*) AS times"
    " FROM effects e GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)


async def states(database: "PostgresDatabase") -> dict[ExecutionId, str]:
    """The state of every execution that is there."""
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT id, state FROM executions"))
        return {ExecutionId(row.id): row.state for row in rows}


async def assert_none_lost(database: "PostgresDatabase", sent: Collection[ExecutionId]) -> None:
    """What was accepted is there and nothing else, each of it is over, and nothing waits to be sent (O4)."""
    found = await states(database)
    assert set(found) == set(sent)
    assert [one for one, state in found.items() if state in {"QUEUED", "IN_PROGRESS"}] == []
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM outbox WHERE topic = 'JOB'"))).scalar_one() == 0


async def assert_effects_once(database: "PostgresDatabase", steps: int) -> None:
    """Each completed execution did each of its steps once under its last fence; no fence wrote after a later one."""
    async with database.read() as connection:
        rows = (await connection.execute(text(_EFFECTS))).all()
        done = (await connection.execute(text("SELECT id, fence FROM executions WHERE state = 'COMPLETED'"))).all()
    assert [row for row in rows if row.times != 1] == []
    written = {(row.id, row.fence, row.step) for row in rows}
    wanted = {(row.id, row.fence, step) for row in done for step in range(1, steps + 1)}
    assert wanted - written == set()
    last = {row.id: row.fence for row in done}
    assert [row for row in rows if row.id in last and row.fence > last[row.id]] == []
    latest: dict[UUID, datetime] = {}
    for row in rows:  # ordered by fence, then step
        assert row.id not in latest or latest[row.id] < row.first, f"a lost worker wrote: {row}"
        latest[row.id] = row.last


async def assert_settled_once(database: "PostgresDatabase", settlements: int) -> None:
    """One settlement for each accepted revision of a match, and one key for each (O1)."""
    statement = (
        "SELECT (SELECT count(*) FROM settlements), (SELECT count(DISTINCT (match_id, revision)) FROM settlements),"
        " (SELECT count(*) FROM idempotency_keys WHERE status = 'APPLIED')"
    )
    async with database.read() as connection:
        assert tuple((await connection.execute(text(statement))).one()) == (settlements, settlements, settlements)


GAME = (
    "member_scores",
    "settlements",
    "settlement_scorelines",
    "score_versions",
    "idempotency_keys",
    "match_results",
    "pending_results",
    "matches",
    "guesses",
    "guess_revisions",
    "tournaments",
    "audit_log",
    "outbox",
)
_ROWS = " UNION ALL ".join(f"SELECT '{name}', one::text FROM {name} AS one" for name in GAME)


async def game_rows(database: "PostgresDatabase") -> dict[str, list[str]]:
    """Every row of the game, by table: what a crash may not have changed."""
    found: dict[str, list[str]] = {name: [] for name in GAME}
    async with database.read() as connection:
        for name, row in await connection.execute(text(_ROWS)):
            found[name].append(row)
    return {name: sorted(rows) for name, rows in found.items()}
