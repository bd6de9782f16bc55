"""SQL of members' settled facts: what a settlement adds, and the whole counted anew."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from domain.guess.rules import MOST_GOALS
from domain.ids import MatchId, TournamentId
from domain.match.model import Goals
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement.rules import Delta

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_AWAY = MOST_GOALS + 1
"""How many scores there are with the same goals at home."""
_LEAST = 1
"""A fact changes by one at most; bytes are not negative."""
# Memory for the guesses of one match: of a million those that change something take 80 MB (a hash may have twice what
# is set), and less would make the join write them to files. Plans are made for the match at hand: of a million guesses
# one is needed that reads the tables through, of ten one that does not. A planner without statistics, as of a season
# that has just been joined, would take the first for the second and compare each guess with each row of scores: a
# second for 2,000 members. Statements afterwards keep their plans.
_PREPARE = text(
    "SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true),"
    " set_config('enable_nestloop', :nested, true)"
)
_AFTERWARDS = text("SELECT set_config('plan_cache_mode', 'auto', true), set_config('enable_nestloop', 'on', true)")
_MANY = 500
"""So many rows to write are too many to be looked for one by one."""
# Each guess finds its deltas in tables with a byte for each score that there is, faster to read than arrays. With
# a list of deltas to join, the planner, who cannot know how many guesses it will meet, would look up each member by
# itself. OFFSET 0: else scores are worked out anew for each fact, and read from the table and not from its key.
_ADD = text(
    f"""
UPDATE member_scores AS score
SET {", ".join(f"{fact} = score.{fact} + get_byte(:{fact}, guess.score) - {_LEAST}" for fact in FACTS)}
FROM (
    SELECT member_id, home * {_AWAY} + away AS score FROM guesses
    WHERE tournament_id = :tournament_id AND match_id = :match_id AND get_byte(:changes, home * {_AWAY} + away) > 0
    OFFSET 0
) AS guess
WHERE score.tournament_id = :tournament_id AND score.basis = :basis AND score.member_id = guess.member_id
"""  # noqa: S608 - the names of our own columns
)


async def add(
    connection: "AsyncConnection", tournament_id: TournamentId, match_id: MatchId, changes: Iterable[Delta], rows: int
) -> int:
    """Add deltas, ordered by basis, to the facts of all who guessed their scores; the answer is the rows written.

    One statement for each basis; rows that stay as they are are not written. `rows`: how many there should be.
    """
    await connection.execute(_PREPARE, {"nested": "off" if rows >= _MANY else "on"})
    written = 0
    for basis, of_basis in groupby(changes, key=lambda change: change.basis):
        match: dict[str, Any] = {"tournament_id": tournament_id, "match_id": match_id}
        written += (await connection.execute(_ADD, match | _values(basis, list(of_basis)))).rowcount
    await connection.execute(_AFTERWARDS)
    return written


def _values(basis: ScoreBasis, changes: Sequence[Delta]) -> dict[str, Any]:
    """A table of bytes for each fact, and one that tells which scores change anything."""
    facts = {
        fact: _table({change.goals: _LEAST + change.facts[n] for change in changes}) for n, fact in enumerate(FACTS)
    }
    return {"basis": basis, "changes": _table({change.goals: 1 for change in changes}), **facts}


def _table(values: Mapping[Goals, int]) -> bytes:
    """A byte for each score that can be guessed; 0 for those that have no value."""
    table = bytearray(_AWAY * _AWAY)
    for goals, value in values.items():
        table[goals.home * _AWAY + goals.away] = value
    return bytes(table)


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
