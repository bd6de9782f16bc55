"""SQL of a member who is taken off the boards of a tournament: out of the proofs, then every row of the member's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import any_, bindparam, delete, func, select, text, update

from domain.guess.tables import guess_revisions, guesses, tournament_members
from domain.ids import MatchId, MemberId, SettlementId, TournamentId
from domain.match.tables import matches
from domain.scoring.model import ScoreBasis
from domain.settlement.rules import Scoreline
from domain.settlement.store import read_scorelines
from domain.settlement.tables import judged_guesses, member_scores, settlement_scorelines, settlements
from domain.tables import Uuid, among, constant
from domain.tournament.tables import tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Delete, Table
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


def _deletions() -> "list[Delete]":
    """By whole keys: a table is as large as all that all members have ever played, and others wait meanwhile."""
    tournament_id, member_id = bindparam("of_tournament", type_=Uuid), bindparam("of_member", type_=Uuid)
    settled = select(settlements.c.id).where(settlements.c.tournament_id == tournament_id)
    played = select(matches.c.id).where(matches.c.tournament_id == tournament_id)
    keys: dict[Table, list[ColumnElement[bool]]] = {
        judged_guesses: [judged_guesses.c.settlement_id == any_(func.array(settled.scalar_subquery()))],
        guesses: [guesses.c.tournament_id == tournament_id],
        guess_revisions: [
            guess_revisions.c.tournament_id == tournament_id,
            guess_revisions.c.match_id == any_(func.array(played.scalar_subquery())),
        ],
        member_scores: [
            member_scores.c.tournament_id == tournament_id,
            member_scores.c.basis.in_([constant(basis) for basis in ScoreBasis]),
        ],
        tournament_members: [tournament_members.c.tournament_id == tournament_id],
    }
    return [delete(table).where(*key, table.c.member_id == member_id) for table, key in keys.items()]


_DELETIONS = _deletions()


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
    for statement in _DELETIONS:
        await connection.execute(statement, {"of_tournament": tournament_id, "of_member": member_id})


async def count_removal(connection: "AsyncConnection", tournament_id: TournamentId) -> None:
    """Have kept boards of earlier moments read anew."""
    raised = update(tournaments).where(tournaments.c.id == tournament_id)
    await connection.execute(raised.values(removals=tournaments.c.removals + 1))
