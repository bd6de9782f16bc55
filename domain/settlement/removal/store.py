"""SQL of a member who is taken off the boards of a tournament: out of the proofs, then every row of the member's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select, text, update

from domain.guess.tables import guess_revisions, guesses, tournament_members
from domain.ids import MatchId, MemberId, SettlementId, TournamentId
from domain.settlement.rules import Scoreline
from domain.settlement.store import read_scorelines
from domain.settlement.tables import judged_guesses, member_scores, settlement_scorelines, settlements
from domain.tables import among
from domain.tournament.tables import tournaments

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# What each settlement has judged of the member, superseded ones too: boards of earlier versions are made from them.
_DISCOUNT = text(
    """
WITH judged AS (
    SELECT settlement.id, guess.home, guess.away
    FROM settlements AS settlement
    JOIN guesses AS guess ON guess.tournament_id = :tournament_id AND guess.match_id = settlement.match_id
    WHERE settlement.tournament_id = :tournament_id AND guess.member_id = :member_id
        AND settlement.guesses > 0 AND NOT settlement.keeps_guesses
    UNION ALL
    SELECT settlement.id, guess.home, guess.away
    FROM settlements AS settlement
    JOIN judged_guesses AS guess ON guess.settlement_id = settlement.id
    WHERE settlement.tournament_id = :tournament_id AND guess.member_id = :member_id
), lines AS (
    UPDATE settlement_scorelines AS line SET guesses = line.guesses - 1
    FROM judged WHERE line.settlement_id = judged.id AND line.home = judged.home AND line.away = judged.away
)
UPDATE settlements SET guesses = settlements.guesses - 1 FROM judged WHERE settlements.id = judged.id
RETURNING settlements.id
"""
)


@dataclass(frozen=True, slots=True)
class Proof:
    """A settlement as it is left, whose digest is that of before."""

    id: SettlementId
    match_id: MatchId
    revision: int
    lines: Sequence[Scoreline]


async def discount(connection: "AsyncConnection", tournament_id: TournamentId, member_id: MemberId) -> list[Proof]:
    """Have settlements count without the member's guesses; those that had judged one, in order."""
    values = {"tournament_id": tournament_id, "member_id": member_id}
    ids = [SettlementId(row.id) for row in await connection.execute(_DISCOUNT, values)]
    line, settled = settlement_scorelines.c, settlements.c
    await connection.execute(delete(settlement_scorelines).where(among(line.settlement_id, ids), line.guesses == 0))
    lines = await read_scorelines(connection, ids)
    statement = select(settled.id, settled.match_id, settled.revision).where(among(settled.id, ids))
    rows = await connection.execute(statement.order_by(settled.match_id, settled.revision))
    return [Proof(row.id, row.match_id, row.revision, lines.get(row.id, ())) for row in rows]


async def write_digests(connection: "AsyncConnection", digests: Mapping[SettlementId, str]) -> None:
    """Store the digests that settlements have now."""
    statement = update(settlements).where(settlements.c.id == bindparam("of")).values(effect_digest=bindparam("digest"))
    if digests:
        await connection.execute(statement, [{"of": of, "digest": digest} for of, digest in digests.items()])


async def delete_rows(connection: "AsyncConnection", tournament_id: TournamentId, member_id: MemberId) -> None:
    """Remove guesses, their revisions, facts and membership. The database lets go of an erased member's only."""
    settled = select(settlements.c.id).where(settlements.c.tournament_id == tournament_id)
    of_member = judged_guesses.c.member_id == member_id
    await connection.execute(delete(judged_guesses).where(of_member, judged_guesses.c.settlement_id.in_(settled)))
    for table in (guesses, guess_revisions, member_scores, tournament_members):
        of_member = table.c.member_id == member_id
        await connection.execute(delete(table).where(table.c.tournament_id == tournament_id, of_member))


async def count_removal(connection: "AsyncConnection", tournament_id: TournamentId) -> None:
    """Have kept boards of earlier moments read anew."""
    raised = update(tournaments).where(tournaments.c.id == tournament_id)
    await connection.execute(raised.values(removals=tournaments.c.removals + 1))
