"""SQL of audits: the fold and the ledger worked out a second way, straight from the rows."""

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import Interval, bindparam, text

from domain.ids import TournamentId
from domain.leaderboard.audit.model import LEDGER_STEP
from domain.scoring.tables import FACTS

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_SHOWN = 100
# ruff: noqa: S608 - only the names of our own columns stand in these texts

_ARE_FOLDED = text(
    f"""
WITH paying AS (
    SELECT * FROM settlements WHERE tournament_id = :tournament_id AND superseded_version IS NULL
), judged AS (
    SELECT paid.id, guess.member_id, guess.home, guess.away
    FROM paying AS paid JOIN guesses AS guess ON guess.match_id = paid.match_id
    WHERE guess.tournament_id = :tournament_id AND NOT paid.keeps_guesses
    UNION ALL
    SELECT paid.id, guess.member_id, guess.home, guess.away
    FROM paying AS paid JOIN judged_guesses AS guess ON guess.settlement_id = paid.id
    WHERE paid.keeps_guesses
), fold AS (
    SELECT line.basis, guess.member_id, {", ".join(f"count(*) FILTER (WHERE line.{fact}) AS {fact}" for fact in FACTS)}
    FROM judged AS guess
    JOIN settlement_scorelines AS line
        ON line.settlement_id = guess.id AND line.home = guess.home AND line.away = guess.away
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
# An accepted result that is not settled, or a match without a score; nobody tells when that one ended.
_LATE = """
SELECT match.id::text AS match, tournament.label
FROM matches AS match
JOIN tournaments AS tournament ON tournament.id = match.tournament_id AND tournament.status <> 'CANCELLED'
LEFT JOIN match_results AS result ON result.match_id = match.id AND result.revision = match.result_revision
LEFT JOIN settlements AS paid ON paid.match_id = match.id AND paid.superseded_version IS NULL
WHERE (CAST(:tournament_id AS uuid) IS NULL OR tournament.id = :tournament_id) AND (
    match.result_state IN ('FINAL', 'VOID') AND match.result_revision > coalesce(paid.revision, 0)
        AND result.accepted_at < clock_timestamp() - :after
    OR match.result_state = 'AWAITING_CONFIRMATION' AND match.status = 'ENDED'
        AND match.kick_off < clock_timestamp() - interval '3 hours' - :after
)
ORDER BY coalesce(result.accepted_at, match.kick_off)
"""
_STUCK = """
SELECT id::text AS execution, operation, state FROM executions
WHERE state = 'IN_PROGRESS' AND lease_until < clock_timestamp() - :after
    OR state = 'QUEUED' AND not_before < clock_timestamp() - :after
ORDER BY not_before
"""
_AFTER = bindparam("after", type_=Interval)
_LIST_LATE, _LIST_STUCK = (text(f"{found} LIMIT :limit").bindparams(_AFTER) for found in (_LATE, _STUCK))
# What the latest audits of all boards, and of single ones since, have found.
_BROKEN = """
WITH audits AS (
    SELECT DISTINCT ON (operation_key) id, tournament_id, finished_at
    FROM executions
    WHERE operation = 'VERIFY_PROJECTION' AND state IN ('COMPLETED', 'FAILED')
        AND finished_at > clock_timestamp() - interval '2 days'
    ORDER BY operation_key, finished_at DESC
)
SELECT coalesce(sum(step.failed), 0)
FROM audits JOIN execution_steps AS step ON step.execution_id = audits.id AND step.name = :step
WHERE audits.finished_at >= coalesce((SELECT finished_at FROM audits WHERE tournament_id IS NULL), '-infinity')
"""
_COUNT = text(
    f"SELECT ({_BROKEN}) AS broken, (SELECT count(*) FROM ({_LATE}) AS found) AS late,"
    f" (SELECT count(*) FROM ({_STUCK}) AS found) AS stuck"
).bindparams(_AFTER)


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
    """Up to a hundred matches that have ended and were not settled for so long, with their tournaments' labels."""
    values = {"tournament_id": tournament_id, "after": after, "limit": _SHOWN}
    rows = await connection.execute(_LIST_LATE, values)
    return [(row.match, row.label) for row in rows]


async def stuck_executions(connection: "AsyncConnection", after: timedelta) -> list[tuple[str, str, str]]:
    """Up to a hundred executions that nobody has taken up or kept for so long: id, operation, state."""
    rows = await connection.execute(_LIST_STUCK, {"after": after, "limit": _SHOWN})
    return [(row.execution, row.operation, row.state) for row in rows]


async def count(connection: "AsyncConnection", after: timedelta) -> tuple[int, int, int]:
    """Breaches of the ledger in the latest audits, and how much has not moved for so long: matches, executions."""
    row = (await connection.execute(_COUNT, {"step": LEDGER_STEP, "tournament_id": None, "after": after})).one()
    return int(row.broken), row.late, row.stuck
