"""SQL of the second way: facts straight from guesses and results, without scorelines and without what is added up.

It shares nothing with the settlement but the tables that both read: the rules are written down once more, in SQL.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ARRAY, Text, bindparam, delete, exists, insert, literal, select, text

from domain.correction.comparison import Copies
from domain.correction.proof.model import Line, MatchProof
from domain.guess.tables import tournament_members
from domain.ids import MatchId, TournamentId
from domain.leaderboard.fold.store import copy
from domain.match.model import Goals
from domain.scoring.model import Facts, ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement.tables import member_scores, settlement_scorelines, settlements
from domain.tables import Uuid

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# The score that counts in each settled match under each basis, and every guess of it judged by the five rules.
_JUDGED = """
WITH counted AS (
    SELECT settlement.match_id, settlement.tournament_id, basis.name AS basis,
        CASE WHEN result.kind = 'PLAYED' AND basis.name = 'REGULATION' THEN result.home_regulation
            ELSE coalesce(result.home_extra_time, result.home_regulation) END AS home,
        CASE WHEN result.kind = 'PLAYED' AND basis.name = 'REGULATION' THEN result.away_regulation
            ELSE coalesce(result.away_extra_time, result.away_regulation) END AS away
    FROM settlements AS settlement
    JOIN match_results AS result ON result.match_id = settlement.match_id AND result.revision = settlement.revision
    CROSS JOIN unnest(:bases) AS basis (name)
    WHERE settlement.tournament_id = :tournament_id AND settlement.superseded_version IS NULL AND result.kind <> 'VOID'
        AND (CAST(:match_id AS uuid) IS NULL OR settlement.match_id = :match_id)
), judged AS (
    SELECT guess.member_id, guess.match_id, counted.basis, guess.home, guess.away,
        sign(guess.home - guess.away) = sign(counted.home - counted.away) AS outcome,
        guess.home - guess.away = counted.home - counted.away
            AND (counted.home <> counted.away OR guess.home = counted.home) AS goal_difference,
        guess.home = counted.home AS home_goals,
        guess.away = counted.away AS away_goals,
        guess.home = counted.home AND guess.away = counted.away AS exact
    FROM counted
    JOIN guesses AS guess ON guess.tournament_id = counted.tournament_id AND guess.match_id = counted.match_id
    WHERE counted.home IS NOT NULL AND guess.tournament_id = :tournament_id
)
"""
_LINES = text(
    _JUDGED + f"SELECT match_id, basis, home, away, {', '.join(FACTS)}, count(*) AS guesses FROM judged "  # noqa: S608
    f"GROUP BY match_id, basis, home, away, {', '.join(FACTS)}"
)
_SUMS = (
    _JUDGED  # noqa: S608 - the names of our own columns
    + f"""
SELECT joined.member_id, {", ".join(f"CAST(coalesce(sums.{fact}, 0) AS integer) AS {fact}" for fact in FACTS)}
FROM tournament_members AS joined
LEFT JOIN (
    SELECT member_id, {", ".join(f"count(*) FILTER (WHERE {fact}) AS {fact}" for fact in FACTS)}
    FROM judged GROUP BY member_id
) AS sums ON sums.member_id = joined.member_id
WHERE joined.tournament_id = :tournament_id
"""  # noqa: S608 - the names of our own columns
)
_GUESSED = text(
    "SELECT settlement.match_id, count(guess.member_id) AS guesses FROM settlements AS settlement "
    "JOIN match_results AS result ON result.match_id = settlement.match_id AND result.revision = settlement.revision "
    "LEFT JOIN guesses AS guess ON guess.tournament_id = settlement.tournament_id "
    "AND guess.match_id = settlement.match_id AND result.kind <> 'VOID' AND guess.tournament_id = :tournament_id "
    "WHERE settlement.tournament_id = :tournament_id AND settlement.superseded_version IS NULL "
    "AND (CAST(:match_id AS uuid) IS NULL OR settlement.match_id = :match_id) GROUP BY settlement.match_id"
)


async def recorded_proofs(
    connection: "AsyncConnection", tournament_id: TournamentId, match_id: MatchId | None
) -> dict[MatchId, MatchProof]:
    """What the active settlements say, of all matches or one."""
    row = settlements
    chosen = [row.c.tournament_id == tournament_id, row.c.superseded_version.is_(None)]
    if match_id is not None:
        chosen.append(row.c.match_id == match_id)
    found = {
        MatchId(settled.match_id): MatchProof(
            MatchId(settled.match_id), settled.revision, settled.effect_digest, settled.guesses, {}
        )
        for settled in await connection.execute(select(row).where(*chosen))
    }
    line = settlement_scorelines
    lines = select(row.c.match_id, line).join_from(row, line, line.c.settlement_id == row.c.id).where(*chosen)
    for values in await connection.execute(lines):
        found[values.match_id].lines[ScoreBasis(values.basis), Goals(values.home, values.away)] = _line(values)
    return found


async def recomputed_proofs(
    connection: "AsyncConnection",
    recorded: dict[MatchId, MatchProof],
    tournament_id: TournamentId,
    match_id: MatchId | None,
    bases: Sequence[ScoreBasis],
) -> dict[MatchId, MatchProof]:
    """The same matches worked out anew from guesses and from the results that were settled."""
    values = {"tournament_id": tournament_id, "match_id": match_id}
    guesses = {row.match_id: row.guesses for row in await connection.execute(_GUESSED, values)}
    found = {key: MatchProof(key, proof.revision, "", guesses[key], {}) for key, proof in recorded.items()}
    lines = _LINES.bindparams(bindparam("bases", type_=ARRAY(Text)))
    for row in await connection.execute(lines, values | {"bases": [basis.value for basis in bases]}):
        found[row.match_id].lines[ScoreBasis(row.basis), Goals(row.home, row.away)] = _line(row)
    return found


async def copy_recomputed_scores(
    connection: "AsyncConnection", tournament_id: TournamentId, bases: Sequence[ScoreBasis]
) -> Copies:
    """Facts of all who joined, worked out anew over all settled matches."""
    copies = {}
    for basis in bases:
        statement = text(_SUMS).bindparams(
            bindparam("tournament_id", tournament_id, Uuid),
            bindparam("match_id", None, Uuid),
            bindparam("bases", [basis.value], ARRAY(Text)),
        )
        copies[basis] = await copy(connection, cast("Any", statement))
    return copies


async def tournaments_with_settlements(connection: "AsyncConnection") -> list[TournamentId]:
    """Tournaments that have something to verify, by id."""
    statement = select(settlements.c.tournament_id).distinct().order_by(settlements.c.tournament_id)
    return [TournamentId(row.tournament_id) for row in await connection.execute(statement)]


async def match_rows(connection: "AsyncConnection", tournament_id: TournamentId, bases: Sequence[ScoreBasis]) -> None:
    """Give every member of a tournament a row under each basis, and nobody else one."""
    joined_it = exists().where(
        tournament_members.c.tournament_id == tournament_id, tournament_members.c.member_id == member_scores.c.member_id
    )
    await connection.execute(delete(member_scores).where(member_scores.c.tournament_id == tournament_id, ~joined_it))
    for basis in bases:
        joined = select(tournament_members.c.tournament_id, literal(basis.value, Text), tournament_members.c.member_id)
        missing = joined.where(tournament_members.c.tournament_id == tournament_id).except_(
            select(member_scores.c.tournament_id, member_scores.c.basis, member_scores.c.member_id).where(
                member_scores.c.tournament_id == tournament_id
            )
        )
        statement = insert(member_scores).from_select(["tournament_id", "basis", "member_id"], missing)
        await connection.execute(statement)


def _line(row: Any) -> Line:
    return Line(Facts(*(int(getattr(row, fact)) for fact in FACTS)), row.guesses)
