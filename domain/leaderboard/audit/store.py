"""SQL of audits: the fold and the ledger worked out a second way, straight from the rows."""

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Interval, bindparam, text

from domain.ids import TournamentId
from domain.scoring.tables import FACTS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# ruff: noqa: S608 - only the names of our own columns stand in these texts

_ARE_FOLDED = text(
    f"""
WITH fold AS (
    SELECT line.basis, guess.member_id, {", ".join(f"count(*) FILTER (WHERE line.{fact}) AS {fact}" for fact in FACTS)}
    FROM settlements AS paid
    JOIN guesses AS guess ON guess.tournament_id = paid.tournament_id AND guess.match_id = paid.match_id
    JOIN settlement_scorelines AS line
        ON line.settlement_id = paid.id AND line.home = guess.home AND line.away = guess.away
    WHERE paid.tournament_id = :tournament_id AND paid.superseded_version IS NULL
        AND guess.tournament_id = :tournament_id
    GROUP BY line.basis, guess.member_id
), score AS (SELECT * FROM member_scores WHERE tournament_id = :tournament_id)
SELECT coalesce(score.basis, fold.basis) AS basis, count(*) AS members,
    min(coalesce(score.member_id, fold.member_id)::text) AS one
FROM score FULL JOIN fold ON fold.basis = score.basis AND fold.member_id = score.member_id
WHERE {" OR ".join(f"score.{fact} IS DISTINCT FROM coalesce(fold.{fact}, 0)" for fact in FACTS)}
GROUP BY 1 ORDER BY 1
"""
)
_VERSIONS = text(
    """
SELECT settled_version, count(version) AS number, coalesce(max(version), 0) AS highest
FROM tournaments LEFT JOIN score_versions ON tournament_id = id WHERE id = :tournament_id GROUP BY id
"""
)
_ACTIVE = text(
    """
SELECT match_id::text AS match, count(*) FILTER (WHERE superseded_version IS NULL) AS number
FROM settlements WHERE tournament_id = :tournament_id
GROUP BY match_id HAVING count(*) FILTER (WHERE superseded_version IS NULL) <> 1 ORDER BY 1
"""
)
_LATE = text(
    """
SELECT match.id::text AS match, tournament.label
FROM match_results AS result
JOIN matches AS match ON match.id = result.match_id AND match.result_revision = result.revision
JOIN tournaments AS tournament ON tournament.id = match.tournament_id AND tournament.status <> 'CANCELLED'
WHERE match.result_state IN ('FINAL', 'VOID') AND result.accepted_at < clock_timestamp() - :after
    AND (CAST(:tournament_id AS uuid) IS NULL OR tournament.id = :tournament_id)
    AND NOT EXISTS (
        SELECT FROM settlements AS paid
        WHERE paid.match_id = match.id AND paid.superseded_version IS NULL AND paid.revision >= result.revision
    )
ORDER BY result.accepted_at
"""
).bindparams(bindparam("after", type_=Interval))
_STUCK = text(
    """
SELECT id::text AS execution, operation, state FROM executions
WHERE state = 'IN_PROGRESS' AND lease_until < clock_timestamp() - :after
    OR state = 'QUEUED' AND not_before < clock_timestamp() - :after
ORDER BY not_before
"""
).bindparams(bindparam("after", type_=Interval))


async def unfolded_scores(connection: "AsyncConnection", tournament_id: TournamentId) -> list[tuple[str, int, str]]:
    """Basis, how many members have other facts than the fold says, and one of them."""
    rows = await connection.execute(_ARE_FOLDED, {"tournament_id": tournament_id})
    return [(row.basis, row.members, row.one) for row in rows]


async def versions(connection: "AsyncConnection", tournament_id: TournamentId) -> tuple[int, int, int]:
    """The tournament's settled version, how many versions were recorded, and the highest of them."""
    row = (await connection.execute(_VERSIONS, {"tournament_id": tournament_id})).one()
    return row.settled_version, row.number, row.highest


async def not_once_active(connection: "AsyncConnection", tournament_id: TournamentId) -> list[tuple[str, int]]:
    """Matches with settlements of which not exactly one pays, and how many do."""
    rows = await connection.execute(_ACTIVE, {"tournament_id": tournament_id})
    return [(row.match, row.number) for row in rows]


async def late_settlements(
    connection: "AsyncConnection", tournament_id: TournamentId | None, after: timedelta
) -> list[tuple[str, str]]:
    """Matches whose accepted result has not been settled for that long, and their tournaments' labels; oldest first."""
    rows = await connection.execute(_LATE, {"tournament_id": tournament_id, "after": after})
    return [(row.match, row.label) for row in rows]


async def stuck_executions(connection: "AsyncConnection", after: timedelta) -> list[tuple[str, str, str]]:
    """Executions that nobody has taken up or kept for that long: id, operation, state."""
    rows = await connection.execute(_STUCK, {"after": after})
    return [(row.execution, row.operation, row.state) for row in rows]
