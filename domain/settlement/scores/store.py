"""SQL of members' settled facts: what a settlement adds, and the whole counted anew."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from domain.ids import MatchId, TournamentId
from domain.match.model import Goals
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement.rules import Delta

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# Memory for the guesses of one match: a million of those that change something take 55 MB, and less would make the
# join write them to files. Plans are made for the match at hand: of a million guesses one is needed that reads the
# tables through, of ten one that does not.
_PREPARE = text("SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true)")
# Each guess finds its delta by its place in a small array. To join a list of them instead costs a fifth more, and the
# planner, who cannot know how many guesses such a list will meet, then looks up each member by itself.
_ADD = text(
    f"""
UPDATE member_scores AS score
SET {", ".join(f"{fact} = score.{fact} + (CAST(:{fact} AS integer[]))[guess.place]" for fact in FACTS)}
FROM (
    SELECT member_id, (CAST(:places AS integer[]))[home + 1][away + 1] AS place
    FROM guesses WHERE tournament_id = :tournament_id AND match_id = :match_id
) AS guess
WHERE guess.place > 0
    AND score.tournament_id = :tournament_id AND score.basis = :basis AND score.member_id = guess.member_id
"""  # noqa: S608 - the names of our own columns
)


async def add(
    connection: "AsyncConnection", tournament_id: TournamentId, match_id: MatchId, changes: Iterable[Delta]
) -> int:
    """Add deltas, ordered by basis, to the facts of all who guessed their scores; the answer is the rows written.

    One statement for each basis; rows that stay as they are are not written.
    """
    await connection.execute(_PREPARE)
    written = 0
    for basis, of_basis in groupby(changes, key=lambda change: change.basis):
        match: dict[str, Any] = {"tournament_id": tournament_id, "match_id": match_id}
        written += (await connection.execute(_ADD, match | _values(basis, list(of_basis)))).rowcount
    return written


def _values(basis: ScoreBasis, changes: Sequence[Delta]) -> dict[str, Any]:
    facts = {fact: [change.facts[n] for change in changes] for n, fact in enumerate(FACTS)}
    return {"basis": basis, "places": _places([change.goals for change in changes]), **facts}


def _places(scores: Sequence[Goals]) -> list[list[int]]:
    """The place of each score among these, from 1, by home goals and away goals; 0 for others."""
    places = [[0] * (max(goals.away for goals in scores) + 1) for _ in range(max(goals.home for goals in scores) + 1)]
    for place, goals in enumerate(scores, start=1):
        places[goals.home][goals.away] = place
    return places


_RECOUNT = text(
    f"""
WITH paid AS (
    SELECT guess.member_id, line.basis, {", ".join(f"count(*) FILTER (WHERE line.{fact}) AS {fact}" for fact in FACTS)}
    FROM settlements AS settlement
    JOIN settlement_scorelines AS line ON line.settlement_id = settlement.id
    JOIN guesses AS guess ON guess.tournament_id = :tournament_id AND guess.match_id = settlement.match_id
        AND guess.home = line.home AND guess.away = line.away
    WHERE settlement.tournament_id = :tournament_id AND settlement.superseded_version IS NULL
    GROUP BY guess.member_id, line.basis
), wanted AS (
    SELECT score.member_id, score.basis, {", ".join(f"coalesce(paid.{fact}, 0) AS {fact}" for fact in FACTS)}
    FROM member_scores AS score
    LEFT JOIN paid ON paid.member_id = score.member_id AND paid.basis = score.basis
    WHERE score.tournament_id = :tournament_id
), changed AS (
    UPDATE member_scores AS score
    SET {", ".join(f"{fact} = wanted.{fact}" for fact in FACTS)}
    FROM wanted
    WHERE score.tournament_id = :tournament_id AND score.member_id = wanted.member_id AND score.basis = wanted.basis
        AND ({", ".join(f"score.{fact}" for fact in FACTS)}) <> ({", ".join(f"wanted.{fact}" for fact in FACTS)})
    RETURNING score.member_id
)
SELECT count(DISTINCT member_id) FROM changed
"""  # noqa: S608 - the names of our own columns
)


async def recount(connection: "AsyncConnection", tournament_id: TournamentId) -> int:
    """Count the facts of all members from guesses and active proofs, and write the rows that differ.

    The answer is how many members that changed.
    """
    changed: int = (await connection.execute(_RECOUNT, {"tournament_id": tournament_id})).scalar_one()
    return changed
